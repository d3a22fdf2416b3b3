"""What `sweep` prints: lines while it works, the plan, and the table at the end."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from margintool.cli.summary import print_rows
from margintool.cli.train_summary import log_lines

if TYPE_CHECKING:
    from mmpo_core.sweep.grid import Setting
    from mmpo_core.sweep.results import Average
    from mmpo_core.sweep.sweeping import SweepPlan, SweepResult

# Brier is in the files: the table has to fit 80 columns.
_COLUMNS = {"accuracy": "accuracy", "ece": "ECE", "nll": "NLL", "reward_margin": "margin"}


@contextmanager
def sweep_lines() -> Iterator[None]:
    """Show a sweep's lines, and of its single runs only warnings, each once."""
    train = logging.getLogger("mmpo_core.train")
    level, once = train.level, _Once()
    train.setLevel(logging.WARNING)
    train.addFilter(once)
    try:
        with log_lines():
            yield
    finally:
        train.removeFilter(once)
        train.setLevel(level)


class _Once(logging.Filter):
    """Lets every message through once: runs of a sweep have the same pairs to warn of."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message is new."""
        message = record.getMessage()
        new = message not in self._said
        self._said.add(message)
        return new


def print_plan(plan: "SweepPlan") -> None:
    """Print the runs, how far each is, and the optimizer steps of those that are to be done."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("steps", justify="right")
    table.add_column("state")
    for one in plan.runs:
        table.add_row(one.run.name, f"{plan.steps(one.run):,}", one.words())
    Console(highlight=False).print(table)
    left = [one for one in plan.runs if one.record is None]
    print_rows(
        [
            ("runs", f"{len(plan.runs):,}, {len(left):,} of them to do"),
            ("steps", f"{sum(plan.steps(one.run) for one in left):,} to do, at most"),
            ("train pairs", f"{plan.pairs['train']:,}"),
            ("held out", _held_out(plan)),
            ("folder", str(plan.options.folder)),
        ]
    )


def print_sweep(result: "SweepResult") -> None:
    """Print the table by setting, the best one and how sure that is, failures and the files."""
    from rich.console import Console
    from rich.table import Table

    from mmpo_core.sweep.grid import shown
    from mmpo_core.sweep.results import varied

    names = varied([one.setting for one in result.settings])
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for name in (*names, *_COLUMNS.values()):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for one in result.settings:
        best = result.best is not None and one.setting == result.best.setting
        table.add_row(
            *(shown(getattr(one.setting, name)) for name in names),
            *(_average(one.averages.get(name), name) for name in _COLUMNS),
            "best" if best else "",
            style="bold" if best else None,
        )
    Console(highlight=False).print(table)
    print_rows(_rows(result, names))


def _average(average: "Average | None", name: str) -> str:
    if average is None:
        return "-"
    digits = 2 if name == "reward_margin" else 3
    spread = "" if average.spread is None else f"±{average.spread:.{digits}f}"
    return f"{average.mean:.{digits}f}{spread}"


def _rows(result: "SweepResult", names: Sequence[str]) -> Iterator[tuple[str, str]]:
    from mmpo_core.sweep.results import total_tokens

    yield "held out", _held_out(result.plan)
    yield "best", _best(result, names)
    seeds = sorted({row["seed"] for row in result.rows})
    yield "seeds", f"{len(seeds)} a setting: {', '.join(map(str, seeds))}"
    if len(seeds) > 1:
        yield (
            "±",
            "standard deviation over seeds; chance in which pairs are held out is not in it",
        )
    tokens = total_tokens(result.rows)
    yield (
        "tokens",
        f"{tokens['training_tokens']:,} in training passes, {tokens['reference_tokens']:,} in the "
        "reference's",
    )
    for one in result.settings:
        if one.missing:
            yield "incomplete", f"{one.setting.words(names)}: without seeds {one.missing}"
    for row in result.failed:
        yield "failed", f"{row['run']}: {row['message']}"
    yield "files", f"{result.folder}: sweep.json, sweep.csv, sweep.png, runs/"


def _held_out(plan: "SweepPlan") -> str:
    target = plan.options.eval_gamma
    against = "the file's own p_chosen" if target == "file" else f"sigma({target:g} * margin)"
    return (
        f"{plan.pairs['eval']:,} pairs of {plan.held_out_prompts:,} prompts, the same in every "
        f"run, against {against}"
    )


def _best(result: "SweepResult", names: Sequence[str]) -> str:
    best = result.best
    if best is None:
        return "no setting has all its runs"
    said = f"{best.setting.words(names)}, by mean NLL"
    whole = [one for one in result.settings if not one.missing]
    if len(whole) == 1:
        return f"{said}: the only setting with all its runs"
    if best.close is None:
        return f"{said}; with one seed nothing says how far chance goes: give --seeds 3"
    if not best.close:
        return f"{said}; all others are further away than the seeds' spread"
    return f"{said}; but within the seeds' spread of it: {_list(best.close, names)}"


def _list(settings: "Sequence[Setting]", names: Sequence[str]) -> str:
    return "; ".join(setting.words(names) for setting in settings)
