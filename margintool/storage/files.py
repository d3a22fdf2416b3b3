"""One input file: its format and compression by suffix, and its bytes, decompressed.

Every reader (json_lines.py, json_list.py, delimited.py, parquet.py) opens files through here,
so damaged, misnamed and wrongly encoded files give the same errors everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from mmpo_core.errors import InputError

FORMATS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
SUPPORTED = f"{', '.join(FORMATS)}, each also with {' or '.join(COMPRESSIONS)}"

_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_UTF8_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


@dataclass(frozen=True)
class InputFile:
    """A file on disk. `name` is the path as the user gave it: messages and origins carry it."""

    path: Path
    name: str
    format: str
    compression: str | None
    size: int

    def open(self) -> "ByteSource":
        """Open the decompressed bytes. Raises InputError where the file cannot be read."""
        return ByteSource(self)


def has_known_suffix(name: str) -> bool:
    """Whether the file name ends like a file that can be read."""
    return _format_of(name)[0] is not None


def _format_of(name: str) -> tuple[str | None, str | None]:
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    return (FORMATS.get(suffixes[-1]) if suffixes else None), compression


def input_file(path: Path, name: str) -> InputFile:
    """Look at a file and return what it is, unread.

    Raises:
        InputError: an unknown suffix, an empty file, or one that may not be read.
    """
    form, compression = _format_of(path.name)
    if form is None:
        raise InputError(f"{name}: unknown file type. Known suffixes: {SUPPORTED}")
    size = reading(name, lambda: path.stat().st_size)
    if size == 0:
        raise InputError(f"{name}: the file is empty")
    return InputFile(path, name, form, compression, size)


def reading(name: str, action: Callable[[], Any]) -> Any:
    """Return `action()`; an OSError becomes an InputError that names the file and the cause."""
    try:
        return action()
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file or folder") from error
    except PermissionError as error:
        raise InputError(f"{name}: no permission to read it") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error})") from error


class ByteSource:
    """A readable, closable stream of a file's decompressed bytes (a context manager).

    A UTF-8 byte order mark is dropped; UTF-16 and UTF-32 are refused, by name.
    """

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self._raw = reading(file.name, lambda: pa.OSFile(str(file.path)))
        self._stream = self._raw
        self.last_byte = b""  # of those read, the last that is not white space
        try:
            self._check_magic()
            if file.compression:
                self._stream = pa.CompressedInputStream(self._raw, file.compression)
            self._ahead = b"" if file.format == "parquet" else self._without_bom()
        except BaseException:
            self.close()
            raise

    def _check_magic(self) -> None:
        """Compare the first bytes with what the suffix promises."""
        head = reading(self._file.name, lambda: self._raw.read(4))
        self._raw.seek(0)
        found = next((kind for kind, magic in _MAGIC.items() if head.startswith(magic)), None)
        if found == self._file.compression:
            return
        if found:
            suffix = next(key for key, kind in COMPRESSIONS.items() if kind == found)
            raise InputError(
                f"{self._file.name}: the content is {found}-compressed, which the name does not "
                f"say. Rename it to end with {suffix}"
            )
        raise InputError(
            f"{self._file.name}: not a {self._file.compression} file, though its name says so. "
            "If it is not compressed, rename it"
        )

    def _without_bom(self) -> bytes:
        head = self._read(4)
        for bom, encoding in _WIDE_BOMS.items():
            if head.startswith(bom):
                raise InputError(
                    f"{self._file.name}: the text is {encoding}, expected UTF-8. Convert it: "
                    f"iconv -f {encoding} -t UTF-8"
                )
        return head.removeprefix(_UTF8_BOM)

    def _read(self, size: int) -> bytes:
        try:
            data: bytes = self._stream.read(size)
        except OSError as error:
            kind = self._file.compression
            if kind and "Truncated" in str(error):
                raise InputError(
                    f"{self._file.name}: the {kind} data ends too early: the file is cut off. "
                    "Copy or download it again"
                ) from error
            raise InputError(
                f"{self._file.name}: damaged {kind} data ({error})"
                if kind
                else f"{self._file.name}: cannot be read ({error})"
            ) from error
        return data

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer only at the end, where it gives b""."""
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        data = data + self._read(size - len(data)) if data else self._read(size)
        self.last_byte = data[-64:].rstrip()[-1:] or self.last_byte
        return data

    @property
    def position(self) -> int:
        """How many bytes of the file on disk have been read (compressed bytes, if it is)."""
        return int(self._raw.tell())

    @property
    def closed(self) -> bool:
        """Whether `close` was called (part of Python's file protocol, for pyarrow.csv)."""
        return bool(self._raw.closed)

    def readable(self) -> bool:
        """Return True (part of Python's file protocol, for pyarrow.csv)."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def __enter__(self) -> "ByteSource":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
