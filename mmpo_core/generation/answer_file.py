"""A file of answers that only grows: JSON Lines, each answer under the key of its question.

Answers are appended as they come and synced to the disk, so that whoever is killed loses the
batch under way and no more. Read by fill.py.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from mmpo_core.errors import InputError
from mmpo_core.generation.asked import Answer, Asked
from mmpo_core.locking import locked

logger = logging.getLogger(__name__)


class AnswerFile:
    """The answers in a file, by key; made by `open_answers`."""

    def __init__(self, path: Path, file: BinaryIO, answers: dict[str, Answer]) -> None:
        self.path = path
        self._file = file
        self._answers = answers

    def __len__(self) -> int:
        """The number of answers held."""
        return len(self._answers)

    def get(self, key: str) -> Answer | None:
        """Return the answer under a key, or None."""
        return self._answers.get(key)

    def append(self, rows: Mapping[str, tuple[Asked, Answer]], source: str) -> None:
        """Add answers, durably, before they are seen by `get`.

        Args:
            rows: key -> the question and its answer.
            source: what answered, for whoever reads the file.

        Raises:
            InputError: if the disk is full or the file cannot be written.
        """
        lines = "".join(
            json.dumps(_record(key, source, asked, answer)) + "\n"
            for key, (asked, answer) in rows.items()
        )
        try:
            self._file.write(lines.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error
        self._answers |= {key: answer for key, (_, answer) in rows.items()}


def _record(key: str, source: str, asked: Asked, answer: Answer) -> dict[str, Any]:
    return {
        "key": key,
        "source": source,
        "messages": [dict(message) for message in asked.messages],
        "sample": asked.sample,
        "sampling": asdict(asked.sampling),
        **asdict(answer),
    }


@contextmanager
def open_answers(path: Path) -> Iterator[AnswerFile]:
    """Open a file of answers, made where there is none, and hold its lock.

    A last line without its end, which a killed process leaves, is taken away.

    Raises:
        InputError: if another process writes it, it cannot be written, or is no file of answers.
    """
    with locked(path, what="file of answers", instead="another folder with --out"):
        try:
            file = path.open("ab+")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        try:
            yield AnswerFile(path, file, dict(_read(path, file)))
        finally:
            # what `append` could not write is tried once more, and has been told of
            with suppress(OSError):
                file.close()


def _read(path: Path, file: BinaryIO) -> Iterator[tuple[str, Answer]]:
    file.seek(0)
    whole = 0
    for number, line in enumerate(file, start=1):
        if not line.endswith(b"\n"):
            logger.warning("%s, line %d: cut off, and taken away", path, number)
            file.truncate(whole)
            return
        whole += len(line)
        yield _parsed(line, f"{path}, line {number}")


def _parsed(line: bytes, where: str) -> tuple[str, Answer]:
    try:
        row = json.loads(line)
        answer = Answer(
            row["text"],
            row["finish"],
            row["tokens"],
            row["prompt_cut"],
            row.get("own_temperature", False),
        )
        return row["key"], answer
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"{where}: not an answer as margintool keeps it ({error}). Delete the line, or name "
            "another folder with --out"
        ) from error
