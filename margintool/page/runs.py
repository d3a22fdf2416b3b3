"""Sections about runs: what they were, how training went, whether they overfit.

Read by gathering.py.
"""

import math
from collections.abc import Sequence

from margintool.page.curves import HELD_OUT, TRAINING, pictures, points
from margintool.page.folders import Run
from margintool.page.held_out import comparability
from margintool.page.views import Block, Gallery, Paragraph, Part, Section, Table, unless_long
from margintool.page.words import estimate, maybe
from margintool.report.rows import Grid
from margintool.report.words import count, counted

# option -> title of its column
_OPTIONS = {
    "loss": "loss",
    "gamma": ">gamma",
    "beta": ">beta",
    "lr": ">learning rate",
    "seed": ">seed",
}


def runs_section(runs: Sequence[Run]) -> Section:
    """Return what the runs were."""
    given = [name for name in _OPTIONS if any(run.arguments.get(name) is not None for run in runs)]
    titles = ("run", "kind", "state", *(_OPTIONS[name] for name in given), ">steps", ">time")
    cells = [
        (
            run.name,
            kind_of(run),
            str(run.record["status"]),
            *(_option(run, name) for name in given),
            maybe(run.record.get("steps"), count),
            maybe(run.record.get("seconds"), _time),
        )
        for run in runs
    ]
    blocks: list[Block] = [unless_long(Table(counted(len(runs), "run"), Grid(titles, cells)))]
    blocks += [Paragraph(line, quiet=True) for line in _remarks(runs)]
    return Section("runs", "Runs", blocks)


def kind_of(run: Run) -> str:
    """Return what a run made, in words."""
    if not run.on_pairs:
        return "supervised"
    return "reward model" if run.arguments.get("objective") == "reward" else "policy"


def _option(run: Run, name: str) -> str:
    value = run.arguments.get(name)
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _time(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.3g} s"


# what a run's record counts -> of what
_ALSO_TRAINED_ON = {
    "eval_prompts_also_trained_on": "prompt",
    "eval_conversations_also_trained_on": "conversation",
}


def _remarks(runs: Sequence[Run]) -> list[str]:
    """Return what a reader must know of runs that are not as they should be."""
    lines = []
    if any(run.on_pairs and run.arguments.get("gamma") is None for run in runs):
        lines.append("No gamma: targets are those of the pair file.")
    open_runs = [run.name for run in runs if not run.finished]
    if open_runs:
        lines.append(
            f"Not finished: {', '.join(open_runs)}. Curves end at the last checkpoint, if there is "
            "one."
        )
    for run in runs:
        for key, noun in _ALSO_TRAINED_ON.items():
            shared = run.record.get(key)
            if shared:
                were = "was" if shared == 1 else "were"
                lines.append(
                    f"{run.name}: {counted(shared, noun)} of its held-out data {were} trained on "
                    "too, so its held-out numbers are too good."
                )
    return lines


def training_section(runs: Sequence[Run]) -> Section | None:
    """Return the curves of training; None where no run logged anything."""
    parts: list[Block] = []
    for title, some in _by_kind(runs):
        shown = pictures(some, TRAINING)
        if shown:
            parts.append(Part(title, [Gallery(shown)]))
    if not parts:
        return None
    if len({run.arguments.get("loss") for run in runs if run.on_pairs}) > 1:
        note = "Losses of different kinds are different quantities: compare their course, not size."
        parts.insert(0, Paragraph(note, quiet=True))
    return Section("training", "Training curves", parts)


def _by_kind(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Return runs that can stand in one picture, under a title."""
    kinds: dict[str, list[Run]] = {}
    for run in runs:
        kinds.setdefault(kind_of(run), []).append(run)
    titles = {"policy": "Policies", "reward model": "Reward models", "supervised": "Supervised"}
    return [(titles[kind], some) for kind, some in kinds.items()]


def overfitting_section(runs: Sequence[Run]) -> Section | None:
    """Return held-out numbers over the steps; None unless a run was evaluated on the way."""
    parts: list[Block] = []
    for title, some in _by_kind(runs):
        over_time = [run for run in some if any(len(points(run, name)) > 1 for name in HELD_OUT)]
        shown = pictures(over_time, HELD_OUT)
        if not shown:
            continue
        blocks: list[Block] = [Gallery(shown)]
        rows = [row for run in over_time if (row := _turning(run))]
        if rows:
            heads = "run|>least NLL|>at step|>NLL at the end|>margin there|>margin at the end"
            caption = "Where held-out NLL was least, and where the run ended"
            blocks.append(Table(caption, Grid(heads.split("|"), rows)))
        blocks += [Paragraph(line, quiet=True) for line in comparability(over_time)]
        parts.append(Part(title, blocks))
    if not parts:
        return None
    lead = (
        "A run that overfits goes on to widen its reward margins while the NLL of pairs it has not "
        "seen rises again."
    )
    return Section("overfitting", "Overfitting", [Paragraph(lead), *parts])


def _turning(run: Run) -> list[str] | None:
    nll = [(step, value) for step, value in points(run, "eval_nll") if math.isfinite(value)]
    margins = dict(points(run, "eval_rewards/margins"))
    if not nll:
        return None
    (least_at, least), (end_at, end) = min(nll, key=lambda one: one[1]), nll[-1]
    return [
        run.name,
        estimate(least),
        count(least_at),
        estimate(end),
        estimate(margins.get(least_at)),
        estimate(margins.get(end_at)),
    ]
