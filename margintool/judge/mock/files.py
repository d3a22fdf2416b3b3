"""Files that the stand-in holds: uploads, and the output and error files of batches."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

from margintool.judge.mock.errors import ApiError

Purpose = Literal["batch", "batch_output"]


@dataclass(frozen=True)
class StoredFile:
    """A file's bytes and what OpenAI's File object says about it."""

    id: str
    data: bytes
    filename: str
    purpose: Purpose
    created_at: int = field(default_factory=lambda: int(time.time()))

    def as_json(self) -> dict[str, Any]:
        """Return the File object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """The files by id, oldest first."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}

    def add(self, data: bytes, filename: str, purpose: Purpose) -> StoredFile:
        """Keep a file under a new id."""
        stored = StoredFile(f"file-mock{len(self._files) + 1}", data, filename, purpose)
        self._files[stored.id] = stored
        return stored

    def get(self, name: str) -> StoredFile:
        """Return a file.

        Raises:
            ApiError: 404, if there is none.
        """
        if name not in self._files:
            raise ApiError(404, f"No such File object: {name}", param="id")
        return self._files[name]

    def all(self) -> list[StoredFile]:
        """Return every file, newest first."""
        return list(reversed(self._files.values()))
