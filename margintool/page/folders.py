"""Folders that the commands wrote, as they are. Read first by gathering.py.

Nothing is computed here. A run that is not finished is read too, as far as its last checkpoint. A
new kind of folder is a line in _KINDS, a field of Folders and a module that makes sections of it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from margintool.best_of_n.results import GENERATED
from margintool.best_of_n.results import RESULTS as BEST_OF_N
from margintool.mt_bench.results import ANSWERS
from margintool.mt_bench.results import RESULTS as MT_BENCH
from margintool.page.experiment_file import EXPERIMENT_FILE
from mmpo_core.adapter_folder import read_json
from mmpo_core.checkpoints import numbered_checkpoints
from mmpo_core.errors import InputError
from mmpo_core.evaluate.rewardbench.running import REPORT as REWARD_BENCH
from mmpo_core.evaluate.running import EVALUATION
from mmpo_core.run_folder import HISTORY_FILE, RUN_FILE
from mmpo_core.short_names import short_names
from mmpo_core.sweep.files import SWEEP_FILE

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A run of `train` or `sft`.

    Attributes:
        name: short and unique in the page.
        folder: where it is.
        record: content of run.json.
        history: its log entries, each with `step`.
        group: runs of one group are drawn alike: those of a sweep's setting, else `name`.
    """

    name: str
    folder: Path
    record: Mapping[str, Any]
    history: Sequence[Entry]
    group: str

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The options of the run."""
        found: Mapping[str, Any] = self.record["arguments"]
        return found

    @property
    def on_pairs(self) -> bool:
        """Whether it was trained on pairs; on conversations if not."""
        return "pairs" in self.record

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return bool(self.record["status"] == "finished")

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The last metrics; empty for a run that is not finished."""
        found: Mapping[str, Any] = self.record.get("metrics") or {}
        return found


@dataclass(frozen=True)
class Result:
    """What a command left in a folder; runs of `train` and `sft` are Run.

    Attributes:
        name: short and unique among the folders of the page.
        folder: where it is.
        file: the file that was read; the module that writes it says what is in it.
        content: of that file.
        experiment: name of the experiment that it is a part of; None if it was given by itself.
    """

    name: str
    folder: Path
    file: Path
    content: Mapping[str, Any]
    experiment: str | None = None


@dataclass(frozen=True)
class Folders:
    """All that was given, in its order."""

    runs: list[Run] = field(default_factory=list)
    sweeps: list[Result] = field(default_factory=list)
    evaluations: list[Result] = field(default_factory=list)
    reward_benches: list[Result] = field(default_factory=list)
    mt_benches: list[Result] = field(default_factory=list)
    best_of_ns: list[Result] = field(default_factory=list)
    experiments: list[Result] = field(default_factory=list)

    @property
    def results(self) -> list[Result]:
        """All but the runs."""
        return [one for kind in _KINDS.values() for one in getattr(self, kind.field)]


@dataclass(frozen=True)
class _Kind:
    """A kind of Result. needs: key that its file must have, with a value of that type."""

    field: str
    needs: str
    type: type


# file -> what it is
_KINDS = {
    EXPERIMENT_FILE: _Kind("experiments", "settings", dict),
    SWEEP_FILE: _Kind("sweeps", "runs", list),
    EVALUATION: _Kind("evaluations", "models", dict),
    REWARD_BENCH: _Kind("reward_benches", "models", dict),
    MT_BENCH: _Kind("mt_benches", "ratings", dict),
    BEST_OF_N: _Kind("best_of_ns", "expected", list),
}
_READ = (RUN_FILE, *_KINDS)
# What is there before a result is.
_BEFORE = (ANSWERS, GENERATED)


def read_folders(paths: Iterable[Path]) -> Folders:
    """Read folders, and the sweeps and evaluations in those of experiments.

    Raises:
        InputError: if one is missing or damaged, holds none of what is read, or is given twice.
    """
    given = list(paths)
    _check(given)
    # folder -> the experiment that it is a part of
    inside = {part: path for path in given for part in _parts(path)}
    own = {path.resolve() for path in given}
    every = [*given, *(part for part in inside if part.resolve() not in own)]
    names = short_names([str(path) for path in every])
    found = Folders()
    for path in every:
        name = names[str(path)]
        experiment = names[str(inside[path])] if path in inside and path not in given else None
        if (path / RUN_FILE).is_file():
            found.runs.append(_run(path, name, name))
        for file, kind in _KINDS.items():
            if (path / file).is_file():
                result = _result(path, name, file, experiment)
                getattr(found, kind.field).append(result)
    for sweep in found.sweeps:
        with understood(sweep):
            found.runs.extend(_runs_of(sweep))
    return found


def _parts(path: Path) -> list[Path]:
    """Return the folders of an experiment that hold a result; those of one under way may not."""
    if not (path / EXPERIMENT_FILE).is_file():
        return []
    every = [*sorted(path.glob("sweeps/*")), *sorted(path.glob("evaluations/*"))]
    return [one for one in every if any((one / file).is_file() for file in _KINDS)]


def _check(given: Sequence[Path]) -> None:
    if not given:
        raise InputError("name at least one folder")
    seen: set[Path] = set()
    for path in given:
        if not path.is_dir():
            what = "is a file; a folder is wanted" if path.exists() else "no such folder"
            raise InputError(f"{path}: {what}")
        if not any((path / name).is_file() for name in _READ):
            if any((path / name).is_file() for name in _BEFORE):
                raise InputError(
                    f"{path}: holds answers and no result yet. Give the command that made them "
                    "again; MT-bench needs a --judge-model for its result"
                )
            raise InputError(
                f"{path}: holds no {', '.join(_READ[:-1])} or {_READ[-1]}. Give the folder of a "
                "`margintool train`, `sft`, `sweep`, `evaluate`, `best-of-n` or `experiment`"
            )
        if path.resolve() in seen:
            raise InputError(f"{path}: is given twice")
        seen.add(path.resolve())


def _result(path: Path, name: str, file: str, experiment: str | None) -> Result:
    content, kind = read_json(path / file), _KINDS[file]
    if not isinstance(content.get(kind.needs), kind.type):
        raise InputError(f"{path / file}: is not written by margintool: no {kind.needs}")
    return Result(name, path, path / file, content, experiment)


@contextmanager
def understood(result: Result) -> Iterator[None]:
    """Name the file whose content is not as this version reads it.

    Raises:
        InputError: in place of the errors of keys and values that are absent or of another type.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        versions = result.content.get("versions")
        by = versions.get("margintool") if isinstance(versions, Mapping) else None
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{result.file}: cannot be shown: {what}. It is damaged, or written by another version "
            f"of margintool ({by or 'it does not say which'}): give its command again"
        ) from error


def _runs_of(sweep: Result) -> list[Run]:
    """Return the runs of a sweep that have begun."""
    from mmpo_core.sweep.grid import Setting
    from mmpo_core.sweep.results import varied

    rows = sweep.content["runs"]
    keys = ("loss", "gamma", "beta", "lr")
    settings = {row["run"]: Setting(*(row[key] for key in keys)) for row in rows}
    names = ["loss", *(n for n in varied(settings.values()) if n != "loss")] if settings else []
    runs = []
    for row in rows:
        folder = sweep.folder / "runs" / row["run"]
        if (folder / RUN_FILE).is_file():
            own = [name for name in names if row[name] is not None]
            group = f"{sweep.name}: {settings[row['run']].words(own)}"
            runs.append(_run(folder, f"{sweep.name}: {row['run']}", group))
    return runs


def _run(folder: Path, name: str, group: str) -> Run:
    record = read_json(folder / RUN_FILE)
    missing = [key for key in ("status", "arguments") if key not in record]
    if missing:
        raise InputError(f"{folder / RUN_FILE}: is not the record of a run: no {missing[0]}")
    return Run(name, folder, record, _history(folder, record["status"]), group)


def _history(folder: Path, status: str) -> list[Entry]:
    path = folder / HISTORY_FILE
    if status == "finished":
        return _lines(path)
    checkpoints = [one for _, one in sorted(numbered_checkpoints(folder))]
    states = [one / "trainer_state.json" for one in checkpoints]
    whole = [one for one in states if one.is_file()]
    return list(read_json(whole[-1]).get("log_history", [])) if whole else []


def _lines(path: Path) -> list[Entry]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    entries: list[Entry] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: line {number} is not JSON ({error})") from error
        if not isinstance(entry, dict) or "step" not in entry:
            raise InputError(f"{path}: line {number} is no log entry: it has no step")
        entries.append(entry)
    return entries
