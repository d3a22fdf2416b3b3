"""Where a fit is written: OUT.unfinished while it goes on, OUT in one step once it is finished.

    OUT.unfinished/fit.json       what was asked for: the sign that a fit made the folder
    OUT.unfinished/checkpoints/   whole checkpoints, from which --resume goes on
    OUT.unfinished/model/         the finished model, before it is renamed to OUT

OUT is a whole model or not there. Read by fitting.py; record.py makes fit.json's content.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from margintool.similarity.fit.options import FitOptions
from mmpo_core.errors import InputError
from mmpo_core.locking import locked

FIT_FILE = "fit.json"
PREDICTIONS = "fit-predictions.parquet"
MADE_BY = "margintool similarity fit"


class FitFolder:
    """The folders of one fit.

    Args:
        options: of the fit.

    Attributes:
        out: where the finished model goes.
        work: where everything is until then.
    """

    def __init__(self, options: FitOptions) -> None:
        self._options = options
        self.out = options.out.absolute()
        self.work = self.out.with_name(f"{self.out.name}.unfinished") if self.out.name else self.out
        self.checkpoints = self.work / "checkpoints"
        self.model = self.work / "model"

    def check(self) -> None:
        """Refuse before anything is written or loaded.

        Raises:
            InputError: if OUT or its work folder holds something else, or a fit and neither resume
                nor overwrite was asked for; if there is nothing to resume; if the base model is
                read from there.
        """
        if not self.out.name:
            raise InputError(
                f"{self._options.out}: cannot be a model's folder; choose another --out"
            )
        _check_ours(self.out, self._options.out)
        _check_ours(self.work, self.work)
        self._check_base()
        finished, resumable = _is_fit(self.out), self.resumable()
        if self._options.resume and not resumable:
            what = "this fit is finished" if finished else "there is no interrupted fit"
            if _is_fit(self.work):
                what = "the fit has no checkpoint yet"
            raise InputError(
                f"{self._options.out}: {what}; there is nothing to resume. Leave out --resume"
            )
        if self._options.resume or self._options.overwrite:
            return
        if resumable:
            raise InputError(
                f"{self._options.out}: a fit was interrupted there. --resume goes on with it, "
                "--overwrite starts again"
            )
        if finished:
            raise InputError(
                f"{self._options.out}: already holds a fitted model. --overwrite replaces it, "
                "--out takes another folder"
            )

    def resumable(self) -> bool:
        """Whether an interrupted fit left a whole checkpoint to go on from."""
        return _is_fit(self.work) and self._last_checkpoint() is not None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the work folder against other processes.

        However the fit ends, without a checkpoint to go on from the folder is gone afterwards.

        Raises:
            InputError: if another process fits into it, or it cannot be written to.
        """
        kept = True  # where the lock is another's, so is all that is in the folder
        try:
            with locked(self.work / "fit", what="fit", instead="choose another --out"):
                try:
                    yield
                finally:
                    kept = self.resumable()
                    if not kept:
                        self._clear()
        finally:
            if not kept:
                shutil.rmtree(self.work, ignore_errors=True)

    def begin(self, record: dict[str, Any]) -> None:
        """Start a new fit: what an interrupted one left is removed."""
        self._clear()
        write_record(self.work, record)
        self.checkpoints.mkdir()

    def checkpoint(self) -> Path:
        """Return the last whole checkpoint; later ones that are torn are removed.

        Raises:
            InputError: if there is none any more.
        """
        from mmpo_core.checkpoints import numbered_checkpoints

        last = self._last_checkpoint()
        if last is None:
            raise InputError(
                f"{self.checkpoints}: no checkpoint is left. Start again without --resume"
            )
        for _, path in numbered_checkpoints(self.checkpoints):
            if int(path.name.rpartition("-")[2]) > int(last.name.rpartition("-")[2]):
                shutil.rmtree(path)
        return last

    def publish(self) -> None:
        """Put the finished model in its place, and remove what led to it.

        Raises:
            InputError: if OUT was filled with something else meanwhile.
        """
        for path in self.model.rglob("*"):
            if path.is_file():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        _check_ours(self.out, f"{self._options.out} (the model is in {self.model})")
        replaced = self.work / "replaced"
        shutil.rmtree(replaced, ignore_errors=True)
        if self.out.exists():
            self.out.rename(replaced)
        self.model.rename(self.out)
        self._clear()

    def _last_checkpoint(self) -> Path | None:
        from mmpo_core.checkpoints import last_checkpoint

        return last_checkpoint(self.checkpoints)

    def _clear(self) -> None:
        """Remove all but the lock; last of all the sign that a fit made the folder."""
        paths = list(self.work.iterdir()) if self.work.is_dir() else []
        for path in sorted(paths, key=lambda path: path.name == FIT_FILE):
            if not _is_lock(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _check_base(self) -> None:
        base = self._options.base_model
        if base is None or not Path(base).expanduser().is_dir():
            return
        read = Path(base).expanduser().resolve()
        for mine in (self.out.resolve(), self.work.resolve()):
            if read == mine or mine in read.parents:
                raise InputError(
                    f"{self._options.out}: the base model is read from here; choose another --out"
                )


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return fit.json's content, or None where no fit wrote one."""
    try:
        content = json.loads((folder / FIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and content.get("made_by") == MADE_BY else None


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write fit.json, whole or not at all."""
    from mmpo_core.run_folder import write_json

    write_json(folder / FIT_FILE, record)


def _is_fit(folder: Path) -> bool:
    return read_record(folder) is not None


def _is_lock(path: Path) -> bool:
    return path.name.startswith("fit.lock")


def _check_ours(folder: Path, shown: object) -> None:
    """Refuse a folder that may not be written over: one that holds what no fit wrote."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{shown}: is a file; --out must be a folder")
    held = {path.name for path in folder.iterdir() if not _is_lock(path)}
    if not held:
        return
    record = read_record(folder)
    if record is None:
        raise InputError(
            f"{shown}: holds files that no fit made ({', '.join(sorted(held)[:3])}); choose "
            "another --out"
        )
    foreign = held - set(record["files"]) if "files" in record else set()
    if foreign:
        raise InputError(
            f"{shown}: holds files beside those of its fit ({', '.join(sorted(foreign)[:3])}). "
            "Move them, or choose another --out"
        )
