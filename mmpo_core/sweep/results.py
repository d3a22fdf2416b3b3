"""What came of a sweep's runs: a row for each, means and spread over seeds, and which is best.

Pure. Read by sweeping.py, plot.py and margintool/cli/sweep_summary.py.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmpo_core.sweep.grid import PlannedRun, Setting

Row = dict[str, Any]

# column -> the metric of run.json; all of held-out pairs, against the targets of eval_gamma
METRICS = {
    "accuracy": "eval_accuracy",
    "ece": "eval_ece",
    "nll": "eval_nll",
    "brier": "eval_brier",
    "reward_margin": "eval_rewards/margins",
}
# The reference's, and those of the training passes; positions computed, padding included.
TOKENS = ("reference_tokens", "training_tokens")


def row_of(run: PlannedRun, record: Mapping[str, Any] | None, message: str | None = None) -> Row:
    """Return a run's row of the table.

    Args:
        run: the run.
        record: its run.json if it is finished.
        message: why it failed, if it did.
    """
    setting = vars(run.setting)
    status = "failed" if message is not None else "to do" if record is None else "finished"
    row: Row = {"run": run.name, "status": status, **setting, "seed": run.seed}
    metrics = {} if record is None else record["metrics"]
    row |= {column: metrics.get(name) for column, name in METRICS.items()}
    record = {} if record is None else record
    row["steps"], row["seconds"] = record.get("steps"), record.get("seconds")
    reference = record.get("reference") or {}
    row["reference_tokens"] = reference.get("forward_tokens", 0) if record else None
    row["training_tokens"] = metrics.get("num_input_tokens_seen")
    return row | {"message": message}


@dataclass(frozen=True)
class Average:
    """Mean over seeds, and their standard deviation (n - 1); None for a single one."""

    mean: float
    spread: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Average":
        """Average one number a seed."""
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(float(np.mean(values)), spread)


@dataclass(frozen=True)
class SettingResult:
    """A setting over its seeds.

    Attributes:
        setting: what was run.
        seeds: those with finished runs.
        missing: seeds whose run failed or is not done.
        averages: column of METRICS -> mean and spread; empty without a finished run, and without
            those that are not finite.
    """

    setting: Setting
    seeds: list[int]
    missing: list[int]
    averages: dict[str, Average]

    def to_dict(self) -> dict[str, Any]:
        """Return it for sweep.json."""
        averages = {name: vars(average) for name, average in self.averages.items()}
        return {**vars(self.setting), "seeds": self.seeds, "missing": self.missing, **averages}


def by_setting(rows: Iterable[Row]) -> list[SettingResult]:
    """Return rows of one setting together, in the order in which settings first appear."""
    groups: dict[Setting, list[Row]] = {}
    for row in rows:
        setting = Setting(row["loss"], row["gamma"], row["beta"], row["lr"])
        groups.setdefault(setting, []).append(row)
    return [_setting_result(setting, group) for setting, group in groups.items()]


def _setting_result(setting: Setting, rows: Sequence[Row]) -> SettingResult:
    finished = [row for row in rows if row["status"] == "finished"]
    averages = {}
    for name in METRICS:
        values = [row[name] for row in finished]
        if values and None not in values:
            averages[name] = Average.of(values)
    return SettingResult(
        setting,
        [row["seed"] for row in finished],
        [row["seed"] for row in rows if row["status"] != "finished"],
        averages,
    )


@dataclass(frozen=True)
class Best:
    """The setting with the least mean NLL on held-out pairs, and how sure that is.

    Attributes:
        setting: the setting.
        close: settings whose mean NLL is not further away than the spread of the seeds: the
            standard deviation of the difference of two runs, one of each. None where no spread is
            known: a setting has one seed.
    """

    setting: Setting
    close: list[Setting] | None


def best_of(results: Sequence[SettingResult]) -> Best | None:
    """Return the best setting of those without a missing seed; None if there is none."""
    whole = [one for one in results if not one.missing and "nll" in one.averages]
    if not whole:
        return None
    best = min(whole, key=lambda one: one.averages["nll"].mean)
    others = [one for one in whole if one is not best]
    least = best.averages["nll"]
    if any(one.averages["nll"].spread is None for one in whole):
        return Best(best.setting, None)
    close = [one.setting for one in others if _within(least, one.averages["nll"])]
    return Best(best.setting, close)


def _within(least: Average, other: Average) -> bool:
    assert least.spread is not None
    assert other.spread is not None
    return other.mean - least.mean <= math.hypot(least.spread, other.spread)


def varied(settings: Iterable[Setting]) -> list[str]:
    """Return the names of what differs between settings; gamma if nothing does."""
    settings = list(settings)
    names = [name for name in vars(settings[0]) if len({vars(one)[name] for one in settings}) > 1]
    return names or ["gamma"]


def total_tokens(rows: Iterable[Row]) -> dict[str, int]:
    """Return what all finished runs computed, over their rows."""
    rows = list(rows)
    return {name: sum(row[name] or 0 for row in rows) for name in TOKENS}
