"""A sweep's options to its runs: every combination of loss, gamma, beta, lr and seed, each once.

Read by sweeping.py.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmpo_core.errors import InputError
from mmpo_core.sweep.options import SweepOptions, Values, listed, seeds_of
from mmpo_core.train_options import TrainOptions, checked_options

if TYPE_CHECKING:
    from mmpo_core.losses import Loss

FILE = "file"
# So that run.json says how many tokens the training passes computed, padding included.
COUNT_TOKENS = "include_num_input_tokens_seen=all"
_REFERENCE = ("reference", "reference_logps", "reference_cache")


@dataclass(frozen=True)
class Setting:
    """What is compared: a run but for its seed.

    Attributes:
        loss: name of the loss.
        gamma: a number, "inf", or "file" for the file's own targets; None where the loss does not
            read the margins.
        beta: of a policy; None for a reward model.
        lr: peak learning rate.
    """

    loss: str
    gamma: float | str | None
    beta: float | None
    lr: float

    def words(self, names: Sequence[str]) -> str:
        """Return some of the values in words, such as `gamma 0.3, beta 0.1`."""
        said = [f"{name} {shown(getattr(self, name))}" for name in names]
        return ", ".join(said)


@dataclass(frozen=True)
class PlannedRun:
    """A run of the grid: its name, which is its folder's too, and the checked options of train."""

    name: str
    setting: Setting
    seed: int
    options: TrainOptions


def shown(value: float | str | None) -> str:
    """Return a setting's value for names and tables; `-` for one that there is not."""
    return "-" if value is None else f"{value:.12g}" if isinstance(value, float) else value


def planned_runs(options: SweepOptions) -> list[PlannedRun]:
    """Return the runs of a grid, all settings with the first seed first.

    Settings that come to the same are one: a loss that does not read the margins is run once
    whatever the gammas. An option of some losses goes to the runs of those.

    Args:
        options: checked options.

    Raises:
        InputError: for an option that a run refuses.
    """
    losses = [str(name) for name in listed("loss", options.loss)]
    entries = [_entry(options, name) for name in losses]
    grid = itertools.product(
        seeds_of(options.seeds),
        zip(losses, entries, strict=True),
        _numbers("lr", options.lr),
        [None] if options.beta is None else _numbers("beta", options.beta),
        _gammas(options.gamma),
    )
    runs: dict[str, PlannedRun] = {}
    for seed, (loss, entry), lr, beta, gamma in grid:
        values = _values(options) | _left_out(options, entry, entries)
        if entry.reads is None:  # margin_raw asks for a gamma; inf is what hard labels are
            gamma = None if options.margin_column == "margin" else math.inf
        values |= {"loss": loss, "lr": lr, "beta": beta, "gamma": gamma, "seed": seed}
        run = _planned(options, TrainOptions(**values), reads_margin=entry.reads is not None)
        runs.setdefault(run.name, run)
    return list(runs.values())


def _planned(options: SweepOptions, given: TrainOptions, *, reads_margin: bool) -> PlannedRun:
    run = checked_options(given)
    gamma: float | str | None = None
    if reads_margin:
        gamma = FILE if run.gamma is None else "inf" if run.gamma == math.inf else run.gamma
    setting = Setting(run.loss, gamma, run.beta, run.lr)
    parts: list[str] = [run.loss]
    for name in ("gamma", "beta", "lr"):
        value = getattr(setting, name)
        parts += [] if value is None else [f"{name}{shown(value)}"]
    name = "_".join([*parts, f"seed{run.seed}"])
    folder = options.folder / "runs" / name
    return PlannedRun(name, setting, run.seed, dataclasses.replace(run, out=folder))


def _values(options: SweepOptions) -> dict[str, Any]:
    """Return the options that all runs share, as those of train."""
    shared = {
        field.name: getattr(options, field.name) for field in dataclasses.fields(TrainOptions)
    }
    return shared | {"overwrite": False, "set": (*options.set, COUNT_TOKENS)}


def _left_out(options: SweepOptions, entry: "Loss", entries: "Sequence[Loss]") -> dict[str, Any]:
    """Return, at their defaults, the options that other losses of the sweep have and not this one.

    What none of them has stays, for checked_options to refuse.
    """
    from mmpo_core.losses import OBJECTIVES

    every = {name for loss in OBJECTIVES[options.objective].values() for name in loss.options}
    names = [
        name
        for name in every
        if name not in entry.options and any(name in other.options for other in entries)
    ]
    if entry.reference_free and not all(other.reference_free for other in entries):
        names += _REFERENCE
    return {name: getattr(TrainOptions, name) for name in names}


def _entry(options: SweepOptions, loss: str) -> "Loss":
    from mmpo_core.loss_options import chosen_loss

    values = _values(options) | {"loss": loss, "gamma": None, "beta": None, "lr": TrainOptions.lr}
    return chosen_loss(TrainOptions(**values))


def _gammas(values: Values) -> list[float | None]:
    items = listed("gamma", values)
    return [None if item == FILE else _number("gamma", item, f", inf or {FILE}") for item in items]


def _numbers(name: str, values: Values) -> list[float]:
    return [_number(name, item) for item in listed(name, values)]


def _number(name: str, item: str | float, others: str = "") -> float:
    try:
        return float(item)
    except ValueError:
        raise InputError(f"{name}: expected numbers{others}, got {item!r}") from None
