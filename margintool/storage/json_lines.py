"""JSON Lines: one object a line, read in blocks, at about the speed of pyarrow's reader.

A block that pyarrow refuses is parsed again line by line by Python, which either gives the
rows (json_kinds.py) or the exact error: file, line, what is wrong.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import closing

import pyarrow as pa
import pyarrow.json as pj

from margintool.storage.columns import Wanted
from margintool.storage.files import ByteSource, InputFile
from margintool.storage.json_errors import decode_line
from margintool.storage.json_kinds import Piece, Pieces
from margintool.storage.json_values import Record
from margintool.storage.stream import Chunk, prefetch
from mmpo_core.errors import InputError

LONGEST_LINE = 512 << 20  # bytes; far above any record, far below what an Arrow string holds
_ARROW_BLOCK = 1 << 20  # pyarrow parses a block in parallel pieces of this size
# pyarrow's reader overflows the stack at about 20,000 levels. Such text has long runs of
# brackets; Python's reader refuses it with an error.
_DEEP = (b"[" * 256, b"]" * 256, b"}" * 256, b"}]" * 128)


def read_json_lines(
    file: InputFile, wanted: Wanted | None, batch_bytes: int
) -> Generator[Chunk, None, None]:
    """Yield the records of a JSON Lines file. Blank lines are skipped.

    Args:
        file: the file; its lines are UTF-8.
        wanted: columns to keep, of those that a block has; None keeps all.
        batch_bytes: size of a block of text, which makes one batch.

    Raises:
        InputError: at the first line that is not a JSON object, or where the first block lacks
            columns.
    """
    parser = BlockParser(file.name, wanted)
    with (
        file.open() as source,
        closing(prefetch(line_blocks(source, file.name, batch_bytes))) as blocks,
    ):
        for block, position in blocks:
            yield from chunks_of(parser.parse(block), position)


def chunks_of(pieces: list[Piece], position: int) -> Iterator[Chunk]:
    """Yield the pieces of one block as chunks."""
    for number, (table, places) in enumerate(pieces, start=1):
        yield Chunk(table, position, places, more=number < len(pieces))


def line_blocks(
    source: ByteSource, name: str, size: int
) -> Generator[tuple[bytes, int], None, None]:
    """Yield (whole lines of about `size` bytes together, position in the file)."""
    held: list[bytes] = []
    while data := source.read(size):
        end = data.rfind(b"\n") + 1
        held.append(data[:end] if end else data)
        if end:
            yield b"".join(held), source.position
            held = [data[end:]]
        elif sum(map(len, held)) > LONGEST_LINE:
            raise InputError(
                f"{name}: a line is longer than {LONGEST_LINE >> 20} MB. If the file is a JSON "
                "list, name it .json"
            )
    if last := b"".join(held):
        yield last, source.position


class BlockParser:
    """Parses blocks of whole lines in the file's order, and keeps count of the lines."""

    def __init__(self, name: str, wanted: Wanted | None) -> None:
        self._name = name
        self._wanted = wanted
        self._pieces = Pieces(name, wanted)
        self._line = 1  # number of the next block's first line
        self._types: pa.Schema | None = None  # as found in the blocks so far

    def parse(self, block: bytes) -> list[Piece]:
        """Return the records in `block`, with the wanted columns, one piece per kind of row."""
        newlines = block.count(b"\n")
        table = self._by_arrow(block)
        if table is None or not _is_row_per_line(table, block, newlines) or self._contested(table):
            pieces = self._pieces.of_records(self._by_python(block))
        else:
            pieces = self._pieces.of_table(table)
        self._line += newlines
        return pieces

    def _by_arrow(self, block: bytes) -> pa.Table | None:
        """Return the block as pyarrow reads it, or None where it refuses."""
        if any(run in block for run in _DEEP):
            return None
        table = None
        if self._types is not None:
            types, unexpected = self._expected(self._types, block)
            table = _parse(block, _ARROW_BLOCK, types, unexpected)
            if table is not None and unexpected == "ignore":
                table = table.select([name for name in types.names if name in self._types.names])
        if table is None:
            table = _infer(block)
            if table is not None:
                self._types = _merge(self._types, table.schema)
        return table

    def _expected(self, types: pa.Schema, block: bytes) -> tuple[pa.Schema, str]:
        """Leave unwanted columns unparsed, where that cannot hide a wanted column or field."""
        if self._wanted is None or _may_hold(self._wanted.globs, block):
            return types, "infer"
        for group in self._wanted.groups:
            seen = [name for name in group if name in types.names]
            if seen and (seen[0] != group[0] or types.field(seen[0]).type.num_fields):
                return types, "infer"
        # A column not seen yet is null so far: pyarrow refuses the block that has a value of it.
        known = {name: types.field(name).type for name in types.names}
        wanted = [(name, known.get(name, pa.null())) for name in self._wanted.names]
        return pa.schema(wanted), "ignore"

    def _contested(self, table: pa.Table) -> bool:
        """Whether rows may differ in the name by which a column is found."""
        groups = [] if self._wanted is None else self._wanted.contested(table.column_names)
        return any(
            table.column(first).null_count
            and any(table.column(name).null_count < table.num_rows for name in others)
            for first, *others in groups
        )

    def _by_python(self, block: bytes) -> list[Record]:
        lines = enumerate(block.split(b"\n"), start=self._line)
        return [decode_line(line, self._name, number) for number, line in lines if line.strip()]


def _may_hold(globs: tuple[str, ...], block: bytes) -> bool:
    """Whether a key that a glob stands for may be in the block."""
    starts = [re.split(r"[*?[]", glob, maxsplit=1)[0] for glob in globs]
    return any(b'"' + start.encode() in block for start in starts)


def _parse(
    block: bytes, piece: int, types: pa.Schema | None = None, unexpected: str = "infer"
) -> pa.Table | None:
    """Return the block as pyarrow reads it; None if it refuses, or where a text is not UTF-8."""
    try:
        table = pj.read_json(
            pa.BufferReader(block),
            read_options=pj.ReadOptions(block_size=piece, use_threads=piece < len(block)),
            parse_options=pj.ParseOptions(
                explicit_schema=types, unexpected_field_behavior=unexpected
            ),
        )
        table.validate(full=True)
    except (pa.ArrowException, ValueError):
        return None
    return table


def _infer(block: bytes) -> pa.Table | None:
    """Parse without known types. Texts that look like times stay texts."""
    table = _parse(block, _ARROW_BLOCK)
    if table is None:  # a record may be longer than pyarrow's piece
        table = _parse(block, len(block))
    if table is None:
        return None
    types = pa.schema([field.with_type(_times_as_text(field.type)) for field in table.schema])
    return table if types.equals(table.schema) else _parse(block, len(block), types)


def _times_as_text(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_times_as_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_times_as_text(field.type)) for field in kind])
    return kind


def _merge(known: pa.Schema | None, found: pa.Schema) -> pa.Schema:
    """Return types that fit both; those just found where none do."""
    if known is None:
        return found
    try:
        return pa.unify_schemas([known, found], promote_options="permissive")
    except pa.ArrowException:
        return found


def _is_row_per_line(table: pa.Table, block: bytes, newlines: int) -> bool:
    """Whether every line gave one row. pyarrow takes several objects in a line, or `null`."""
    lines = newlines + (not block.endswith(b"\n"))
    if lines != table.num_rows:
        lines = sum(1 for line in block.split(b"\n") if line.strip())
    may_hold_null = all(column.null_count for column in table.columns) and b"null" in block
    return lines == int(table.num_rows) and not may_hold_null
