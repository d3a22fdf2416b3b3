"""CSV and TSV, streamed by pyarrow. Every value is text; an empty, unquoted one is null."""

import csv
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc

from margintool.storage.columns import Wanted, check_unique, columns_to_read
from margintool.storage.files import ByteSource, InputFile
from margintool.storage.json_errors import not_utf8
from margintool.storage.stream import Chunk, regroup
from mmpo_core.errors import InputError

# pyarrow parses whole blocks, and reads up to 32 of them ahead. So the blocks are small, and
# only where a row is longer than one is the file read again in longer ones.
BLOCKS = (1 << 20, 16 << 20, 64 << 20)
_DELIMITERS = {"csv": ",", "tsv": "\t"}


def read_delimited(
    file: InputFile, wanted: Wanted | None, batch_bytes: int
) -> Generator[Chunk, None, None]:
    """Yield the rows of a CSV or TSV file, all columns as strings.

    Quoted values may hold newlines; a doubled quote inside quotes is one quote.

    Raises:
        InputError: no header, an empty or repeated column name, a row with too many or too few
            values, a quote that is never closed, text that is not UTF-8; with the row.
    """
    rows = done = 0
    for block in BLOCKS:
        try:
            for chunk in regroup(_read(file, wanted, block), batch_bytes):
                table = chunk.table
                rows += table.num_rows
                if rows > done:
                    new = table.slice(max(0, table.num_rows - (rows - done)))
                    yield Chunk(new, chunk.position)
                    done = rows
            return
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise _explained(file, error) from error
            rows = 0
    raise InputError(
        f'{file.name}: a row is longer than {BLOCKS[-1] >> 20} MB, or a quote (") is opened and '
        "never closed"
    )


def _read(file: InputFile, wanted: Wanted | None, block: int) -> Iterator[Chunk]:
    """Yield all rows. Raises pyarrow's error where a row is longer than `block` bytes."""
    names = _header(file, block)
    schema = pa.schema([(name, pa.string()) for name in names])
    columns = columns_to_read(file.name, wanted, schema)
    convert = pc.ConvertOptions(
        column_types=schema,
        # The last column too: a quote that is never closed shows there.
        include_columns=list(dict.fromkeys([*columns, names[-1]])),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    last = None
    with file.open() as source:
        for batch in _open(file, source, block, convert):
            last = batch if batch.num_rows else last
            yield Chunk(pa.Table.from_batches([batch]).select(columns), source.position)
        if last is not None and _ends_in_quotes(last, source):
            raise InputError(
                f'{file.name}: a quote (") is opened and never closed, so that the last value '
                "takes in the rest of the file"
            )


def _open(file: InputFile, source: ByteSource, block: int, convert: pc.ConvertOptions) -> Any:
    return pc.open_csv(
        pa.PythonFile(source, mode="r"),
        read_options=pc.ReadOptions(block_size=block),
        parse_options=pc.ParseOptions(delimiter=_DELIMITERS[file.format], newlines_in_values=True),
        convert_options=convert,
    )


def _header(file: InputFile, block: int) -> list[str]:
    """Return the column names, checked."""
    with file.open() as source:
        names: list[str] = _open(file, source, block, pc.ConvertOptions()).schema.names
    if "" in names:
        raise InputError(
            f"{file.name}: column {names.index('') + 1} of the header has no name. The first row "
            "must name every column"
        )
    check_unique(file.name, names)
    return names


def _ends_in_quotes(last: pa.RecordBatch, source: ByteSource) -> bool:
    """Whether the last value has newlines, so was quoted, and no quote ends the file."""
    tail = last.column(last.num_columns - 1)[-1].as_py()
    return tail is not None and "\n" in tail and source.last_byte not in b'"'


def _explained(file: InputFile, error: pa.ArrowInvalid) -> InputError:
    """Return what is wrong and in which row, which pyarrow's streaming reader cannot tell."""
    if "Empty CSV" in str(error):
        return InputError(f"{file.name}: no rows; expected a header row and rows below it")
    with file.open() as source:
        return _first_bad_row(file, source) or InputError(f"{file.name}: {error}")


def _first_bad_row(file: InputFile, source: ByteSource) -> InputError | None:
    """Read again by Python's csv, slower, up to the first bad row."""
    limit = csv.field_size_limit(sys.maxsize)
    rows = csv.reader(_lines(file, source), delimiter=_DELIMITERS[file.format])
    try:
        header: list[str] = []
        for number, row in enumerate(filter(None, rows)):  # the header is row 0
            header = header or row
            if len(row) != len(header):
                return InputError(
                    f"{file.name}, row {number} (line {rows.line_num}): {len(row)} values, the "
                    f"header has {len(header)}"
                )
    except InputError as error:
        return error
    finally:
        csv.field_size_limit(limit)
    return None


def _lines(file: InputFile, source: ByteSource) -> Iterator[str]:
    """Yield the file's lines as text. Raises InputError at one that is not UTF-8."""
    rest, number = b"", 0
    while data := source.read(1 << 20):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            number += 1
            yield _text(file, line, number) + "\n"
    if rest:
        yield _text(file, rest, number + 1)


def _text(file: InputFile, line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(f"{file.name}, line {number}", error) from error
