"""Reference log-probs on disk, so that none is computed twice: an append-only cache in parts.

    FOLDER/MODEL_KEY/model.json, CHECKSUM.parquet, ...

A reference model, and the way it is computed, has a folder of its own (reference_model.py). Rows
are found by their pair's token ids, which the tokenizer, chat template, lengths and splits all
decide: where one of them changes, the pairs that it changes are others and are computed, the rest
are found. Any number of processes read and write at once: parts are written whole, under a lock,
and a pair that is there already keeps its numbers. A damaged part is set aside with a warning and
its pairs computed again: everything in the cache can be. Read by reference.py and
train_reference.py.
"""

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmpo_core.encoded_pairs import Digests, Ints
from mmpo_core.errors import InputError
from mmpo_core.locking import locked
from mmpo_core.pair_file import whole_file
from mmpo_core.reference_part import (
    SUFFIX,
    DamagedPartError,
    ReferenceRows,
    joined,
    no_rows,
    read_part,
    write_part,
)

logger = logging.getLogger("mmpo_core.train")

ABSENT = -1
NO_CACHE = "none"
_INSTEAD = "give another folder with --reference-cache, or `none`"
# A part takes milliseconds to write; whoever holds the lock longer than this has been stopped.
_PATIENCE = 60.0


def default_cache_folder() -> Path:
    """Return where reference log-probs are kept if no folder is named.

    MARGINTOOL_CACHE/reference, or margintool/reference in the user's cache folder (XDG_CACHE_HOME,
    ~/.cache).
    """
    named = os.environ.get("MARGINTOOL_CACHE")
    if named:
        return Path(named).expanduser() / "reference"
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(user).expanduser() / "margintool" / "reference"


def cache_folder(option: str | None) -> Path | None:
    """Return the folder that --reference-cache names, made; None for `none`.

    Raises:
        InputError: if it cannot be made or written to.
    """
    if option == NO_CACHE:
        return None
    folder = default_cache_folder() if option is None else Path(option).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}): {_INSTEAD}") from error
    if not writable:
        raise InputError(f"{folder}: reference log-probs cannot be written there: {_INSTEAD}")
    return folder


class ReferenceCache:
    """Log-probs of pairs under one reference model, in memory and, if it has a folder, on disk.

    Args:
        folder: where caches are kept, one model beside another; None keeps the log-probs in
            memory alone.
        model_key: what determines them beside the pair, as letters and digits.
        about: the same in words, for model.json.
    """

    def __init__(
        self, folder: Path | None = None, model_key: str = "", about: dict[str, Any] | None = None
    ) -> None:
        self.folder = folder and folder / model_key
        self.model_key = model_key
        self._about = about or {}
        self._names: set[str] = set()
        self._rows = no_rows()
        self._read_parts()

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, pairs: Digests) -> Ints:
        """Return the (N,) row of each of (N, 16) pair digests, for `logps`; ABSENT where none."""
        at = pc.index_in(_binary(pairs), value_set=_binary(self._rows.pair))
        return np.asarray(pc.fill_null(at, ABSENT).to_numpy(), dtype=np.int64)

    def logps(self, rows: Ints) -> npt.NDArray[np.float32]:
        """Return the (2, N) log-probs of rows that `find` gave, chosen before rejected."""
        return self._rows.logps[:, rows]

    def add(self, rows: ReferenceRows) -> None:
        """Add pairs, each once; one that another process has written since keeps its numbers.

        Raises:
            InputError: if the folder cannot be written to.
        """
        if self.folder is None:
            self._take(rows)
            return
        with locked(self.folder, what="reference cache", instead=_INSTEAD, patience=_PATIENCE):
            self._read_parts()
            rows = rows.where(self.find(rows.pair) == ABSENT)
            if len(rows):
                self._clean()
                self._names.add(write_part(self.folder, self.model_key, rows).name)
                self._take(rows)

    def _take(self, *rows: ReferenceRows) -> None:
        self._rows = joined([self._rows, *rows])

    def _read_parts(self) -> None:
        """Read the parts that were written since."""
        found = sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder else []
        parts = []
        for path in found:
            if path.name in self._names:
                continue
            self._names.add(path.name)
            try:
                parts.append(read_part(path, self.model_key))
            except FileNotFoundError:  # set aside by another process
                continue
            except DamagedPartError as error:
                _set_aside(path, error)
                self._names.discard(path.name)  # its pairs, computed again, may have this name
        self._take(*parts)

    def _clean(self) -> None:
        """Make the folder ready for a part: no leftovers of killed processes, model.json there."""
        assert self.folder is not None
        for left_behind in self.folder.glob(".*.partial"):
            left_behind.unlink(missing_ok=True)
        path = self.folder / "model.json"
        if not path.exists():
            with whole_file(path) as temporary:
                temporary.write_text(json.dumps(self._about, indent=2, default=str))


def _set_aside(path: Path, why: DamagedPartError) -> None:
    aside = path.with_name(f"{path.name}.damaged")
    logger.warning(
        "reference cache: %s is damaged (%s). Its pairs are computed again; the file is set aside "
        "as %s",
        path,
        why,
        aside.name,
    )
    with suppress(OSError):  # then it is found damaged, and said so, the next time as well
        path.rename(aside)


def _binary(digests: Digests) -> pa.Array:
    buffer = pa.py_buffer(np.ascontiguousarray(digests))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(digests), [None, buffer])
