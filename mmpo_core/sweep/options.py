"""What `sweep` can be asked for: the options of `train`, some of them as lists. No torch here.

Read by margintool/cli/sweep.py and sweeping.py; grid.py makes runs of it.
"""

import dataclasses
from pathlib import Path
from typing import Literal, get_type_hints

from mmpo_core.errors import InputError
from mmpo_core.processes import refuse_several
from mmpo_core.train_options import TrainOptions
from mmpo_core.typed_values import typed

# 0.3, or "0.3,1.1" as on the command line, or several of them
Values = str | float | tuple[str | float, ...]

# Options of train that a sweep sets itself.
SET_BY_SWEEP = ("seed", "resume")
# Options of train that a sweep has no use for: its runs would overwrite one another there.
NOT_IN_SWEEP = ("push_to_hub", "hub_private")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepOptions(TrainOptions):
    """Options of `sweep`: those of `train`, for every run, and lists of what differs.

    Args:
        out: Folder of the sweep; sweeps/MODEL-OBJECTIVE if not given.
        loss: Losses to try, with commas between them.
        gamma: Gammas to try, with commas between them: numbers, inf, or file for the file's own
            p_chosen.
        beta: Betas to try, with commas between them; the loss's own default if not given.
        lr: Peak learning rates to try, with commas between them; tiny wants 3e-4 to 1e-3.
        seeds: How many seeds every setting is run with (3 for 0, 1 and 2), or a list of them (4,7
            for two, 7, with a comma for one).
        split_seed: Seed of the split: all runs hold out the same prompts, whatever their seeds.
        eval_gamma: Targets that all runs are measured against, so that their numbers can be
            compared: sigma(eval_gamma * margin), inf for hard labels, or file for the file's own
            p_chosen.
        keep_models: Keep the model of every run; else only its metrics (run.json,
            log_history.jsonl, train.png) are kept once it is finished.
        overwrite: Do the runs of the grid that are in the folder again.
        dry_run: List the runs, which of them are done, and their optimizer steps; train nothing.
    """

    out: Path | None = None
    # Lists where train has one value: not a TrainOptions for a type checker, whence `ignore`.
    loss: Values = "mmpo"  # type: ignore[assignment]
    gamma: Values = "file"  # type: ignore[assignment]
    beta: Values | None = None  # type: ignore[assignment]
    lr: Values = TrainOptions.lr  # type: ignore[assignment]
    seeds: str | int = 1
    split_seed: int = TrainOptions.seed
    eval_gamma: float | Literal["file"] = "file"
    keep_models: bool = False
    overwrite: bool = False
    dry_run: bool = False

    @property
    def folder(self) -> Path:
        """The sweep's folder: `out`, or sweeps/MODEL-OBJECTIVE."""
        if self.out is not None:
            return Path(self.out)
        return Path("sweeps") / f"{Path(self.model).name}-{self.objective}"


def checked_sweep(options: SweepOptions) -> SweepOptions:
    """Return the options with every value in its field's type.

    What a single run would refuse is refused by grid.py, run by run.

    Raises:
        InputError: for a wrong type, an option that a sweep sets itself, nothing held out, or more
            than one process.
    """
    hints = get_type_hints(SweepOptions)
    values = {name: typed(getattr(options, name), hint, name) for name, hint in hints.items()}
    options = SweepOptions(**values)
    for name in SET_BY_SWEEP:
        if getattr(options, name) != getattr(TrainOptions, name):
            raise InputError(f"{name}: a sweep sets this itself. Leave it out (see seeds)")
    for name in NOT_IN_SWEEP:
        if getattr(options, name) != getattr(TrainOptions, name):
            raise InputError(
                f"{name}: a sweep makes many models and uploads none. Train the best setting with "
                "`margintool train`"
            )
    if options.eval_pairs is None and options.eval_split == 0:
        raise InputError(
            "eval_split 0 holds nothing out, and a sweep compares its runs on held-out pairs. Give "
            "a share, or eval_pairs"
        )
    refuse_several("sweep")
    return options


def listed(name: str, values: Values | int) -> list[str | float]:
    """Return the items of a list option: texts are cut at commas.

    Raises:
        InputError: if there is none, or one is empty.
    """
    given = values if isinstance(values, tuple) else (values,)
    items: list[str | float] = []
    for value in given:
        items += [part.strip() for part in value.split(",")] if isinstance(value, str) else [value]
    if items and items[-1] == "":  # one value and a comma is a list of one
        items.pop()
    if not items or "" in items:
        raise InputError(f"{name}: expected values with commas between them, got {values!r}")
    return items


def lists_of(options: SweepOptions) -> dict[str, list[str]]:
    """Return the list options that were given, as texts."""
    given = {name: getattr(options, name) for name in ("loss", "gamma", "beta", "lr")}
    return {
        name: [str(item) for item in listed(name, values)]
        for name, values in given.items()
        if values is not None
    }


def seeds_of(seeds: str | int) -> list[int]:
    """Return the seeds: 0 to N - 1 for one number N, else those listed; `7,` lists one.

    Raises:
        InputError: if one is no whole number, or N is 0.
    """
    items = listed("seeds", seeds)
    try:
        numbers = [int(item) for item in items]
    except ValueError:
        raise InputError(f"seeds: expected whole numbers, got {seeds!r}") from None
    if len(numbers) > 1 or (isinstance(seeds, str) and "," in seeds):
        return numbers
    if numbers[0] < 1:
        raise InputError(f"seeds must be at least 1, got {numbers[0]}")
    return list(range(numbers[0]))
