"""A .json file: a list of records, read record by record, or JSON Lines under that name.

Python's own parser reads the list in blocks of text. It takes what Python's json.dumps writes
(NaN too), and its errors have line numbers.
"""

import codecs
import json
import re
from collections.abc import Generator, Iterator

from margintool.storage.columns import Wanted
from margintool.storage.files import ByteSource, InputFile
from margintool.storage.json_errors import (
    DECODER,
    describe,
    must_be_object,
    not_utf8,
)
from margintool.storage.json_kinds import Pieces
from margintool.storage.json_lines import chunks_of, read_json_lines
from margintool.storage.json_values import Record
from margintool.storage.stream import Chunk
from mmpo_core.errors import InputError

_TEXT_BLOCK = 4 << 20
_LONGEST_RECORD = 512 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
# Longest token that a block can cut so that it looks wrong before its end: "-Infinity".
_TOKEN = 16


def read_json(
    file: InputFile, wanted: Wanted | None, batch_bytes: int
) -> Generator[Chunk, None, None]:
    """Yield the records of a .json file, about `batch_bytes` of text at a time.

    Raises:
        InputError: the file is neither a list of records nor JSON Lines, or breaks off; with
            the line number.
    """
    if _holds_lines(file):
        yield from read_json_lines(file, wanted, batch_bytes)
        return
    with file.open() as source:
        scanner = ListScanner(source, file.name)
        pieces = Pieces(file.name, wanted)
        records: list[Record] = []
        start = 0
        for record in scanner.records():
            records.append(record)
            if scanner.consumed - start >= batch_bytes:
                yield from chunks_of(pieces.of_records(records), source.position)
                records, start = [], scanner.consumed
        if records:
            yield from chunks_of(pieces.of_records(records), source.position)


def _holds_lines(file: InputFile) -> bool:
    """Whether the file is JSON Lines: a first line that is an object, and more after it."""
    with file.open() as source:
        head = source.read(_TEXT_BLOCK).lstrip()
        while head.startswith(b"{") and b"\n" not in head and len(head) < _LONGEST_RECORD:
            if not (more := source.read(len(head))):
                break
            head += more
    if head.startswith(b"["):
        return False
    expected = f"{file.name}: expected a list of records, [{{...}}, ...], or JSON Lines"
    if not head.startswith(b"{"):
        raise InputError(f"{expected}; the file starts with {head[:20].decode(errors='replace')!r}")
    first, _, rest = head.partition(b"\n")
    if rest.strip() and _is_json(first):
        return True
    raise InputError(
        f"{expected}, found a single object. If each line is a record, name the file .jsonl"
    )


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


class ListScanner:
    """Takes a JSON list apart into its records, keeping only one block of text in memory."""

    def __init__(self, source: ByteSource, name: str) -> None:
        self._source = source
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0  # next character in _text
        self._dropped = 0  # characters before _text
        self._line = 1  # line of _text's first character
        self._ended = False

    @property
    def consumed(self) -> int:
        """Characters taken so far."""
        return self._dropped + self._at

    def records(self) -> Iterator[Record]:
        """Yield the list's records in order."""
        self._next_char()  # the opening bracket: the caller has seen it
        self._at += 1
        number = 0
        while (char := self._next_char()) != "]":
            if number and char and char != ",":
                raise self._error("expected ',' or ']' after a record")
            if number:
                self._at += 1
            number += 1
            yield self._record(number)
        self._at += 1
        if self._next_char():
            raise self._error("text after the end of the list")

    def _record(self, number: int) -> Record:
        if not self._next_char():
            raise self._error("the list breaks off")
        value = self._value()
        if isinstance(value, dict):
            return value
        line = self._line_at(self._at)  # counts: too slow to do for every record
        return must_be_object(value, f"{self._name}, record {number} (line {line})")

    def _value(self) -> object:
        """Parse the value at the current place, reading on where the block cuts it."""
        while True:
            try:
                value, self._at = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._read_on_after(error)
            except (ValueError, RecursionError) as error:
                raise self._error(describe(error)) from error
            else:
                return value

    def _read_on_after(self, error: json.JSONDecodeError) -> None:
        """Read on if `error` may come from the block's end, else raise it with its line."""
        unterminated = error.msg.startswith("Unterminated")
        if self._ended and (unterminated or error.pos >= len(self._text.rstrip())):
            raise self._error("the list breaks off inside a record", error.pos) from error
        cut = unterminated or error.pos > len(self._text) - _TOKEN
        if self._ended or not cut or len(self._text) - self._at > _LONGEST_RECORD:
            raise self._error(f"not valid JSON: {error.msg}", error.pos) from error
        self._read_on()

    def _next_char(self) -> str:
        """Move over white space; return the next character, or "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._read_on()

    def _read_on(self) -> None:
        """Drop the text already taken and append a block at least as long as what is left."""
        self._line = self._line_at(self._at)
        self._dropped += self._at
        left = self._text[self._at :]
        data = self._source.read(max(_TEXT_BLOCK, len(left)))
        try:
            self._text = left + self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self._line + left.count("\n") + data.count(b"\n", 0, error.start)
            raise not_utf8(f"{self._name}, line {line}", error) from error
        self._at = 0
        self._ended = not data

    def _line_at(self, at: int) -> int:
        return self._line + self._text.count("\n", 0, at)

    def _error(self, what: str, at: int | None = None) -> InputError:
        line = self._line_at(self._at if at is None else at)
        return InputError(f"{self._name}, line {line}: {what}")
