"""Folders that `train`, `sft`, `sweep` and `evaluate` wrote, as they are. Read first by gather.

Nothing is computed here. A run that is not finished is read too, as far as its last checkpoint.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmpo_core.adapter_folder import read_json
from mmpo_core.checkpoints import numbered_checkpoints
from mmpo_core.errors import InputError
from mmpo_core.evaluate.rewardbench.running import REPORT as REWARD_BENCH
from mmpo_core.evaluate.running import EVALUATION
from mmpo_core.run_folder import RUN_FILE
from mmpo_core.short_names import short_names
from mmpo_core.sweep.files import SWEEP_FILE

# As run_folder.write_history writes it, when a run is finished.
HISTORY_FILE = "log_history.jsonl"
_READ = (RUN_FILE, SWEEP_FILE, EVALUATION, REWARD_BENCH)

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
class Sweep:
    """A sweep. content: of sweep.json."""

    name: str
    folder: Path
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """An evaluation.

    content: of evaluation.json (see mmpo_core/evaluate/evaluating.py), or of rewardbench.json.
    """

    name: str
    folder: Path
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Folders:
    """All that was given, in its order."""

    runs: list[Run] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    reward_benches: list[Evaluation] = field(default_factory=list)


def read_folders(paths: Iterable[Path]) -> Folders:
    """Read folders.

    Raises:
        InputError: if one is missing or damaged, holds none of what is read, or is given twice.
    """
    given = list(paths)
    _check(given)
    names = short_names([str(path) for path in given])
    found = Folders()
    for path in given:
        name = names[str(path)]
        if (path / RUN_FILE).is_file():
            found.runs.append(_run(path, name, name))
        if (path / SWEEP_FILE).is_file():
            sweep = Sweep(name, path, read_json(path / SWEEP_FILE))
            found.sweeps.append(sweep)
            found.runs.extend(_runs_of(sweep))
        if (path / EVALUATION).is_file():
            found.evaluations.append(_evaluation(path, name, EVALUATION))
        if (path / REWARD_BENCH).is_file():
            found.reward_benches.append(_evaluation(path, name, REWARD_BENCH))
    return found


def _check(given: Sequence[Path]) -> None:
    if not given:
        raise InputError("name at least one folder")
    seen: set[Path] = set()
    for path in given:
        if not path.is_dir():
            what = "is a file; a folder is wanted" if path.exists() else "no such folder"
            raise InputError(f"{path}: {what}")
        if not any((path / name).is_file() for name in _READ):
            raise InputError(
                f"{path}: holds no {', '.join(_READ[:-1])} or {_READ[-1]}. Give the folder of a "
                "`margintool train`, `sft`, `sweep` or `evaluate`"
            )
        if path.resolve() in seen:
            raise InputError(f"{path}: is given twice")
        seen.add(path.resolve())


def _evaluation(path: Path, name: str, file: str) -> Evaluation:
    content = read_json(path / file)
    if not isinstance(content.get("models"), dict):
        raise InputError(f"{path / file}: is not written by `margintool evaluate`: no models")
    return Evaluation(name, path, content)


def _runs_of(sweep: Sweep) -> list[Run]:
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
