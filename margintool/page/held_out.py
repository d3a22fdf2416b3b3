"""What runs recorded of held-out data, and whether their numbers may stand side by side.

Read by gathering.py and runs.py.
"""

from collections.abc import Sequence
from typing import Any

from margintool.page.folders import Run
from margintool.page.views import Block, Paragraph, Part, Table, unless_long
from margintool.page.words import estimate, maybe, parts
from margintool.report.rows import Grid
from margintool.report.words import count, counted

# metric of run.json -> title of its column
_METRICS = {
    "eval_accuracy": "accuracy",
    "eval_nll": "NLL",
    "eval_brier": "Brier",
    "eval_ece": "ECE",
    "eval_rewards/margins": "reward margin",
    "eval_perplexity": "perplexity",
}


def held_out_part(runs: Sequence[Run]) -> list[Block]:
    """Return what runs recorded of held-out data at their end; empty where they have nothing."""
    measured = [run for run in runs if any(name in run.metrics for name in _METRICS)]
    if not measured:
        return []
    names = [name for name in _METRICS if any(name in run.metrics for run in measured)]
    cells = [
        (
            run.name,
            maybe(_held_out_pairs(run), count),
            *(estimate(run.metrics.get(name)) for name in names),
        )
        for run in measured
    ]
    titles = ("run", ">held out", *(f">{_METRICS[name]}" for name in names))
    caption = "At the end of each run. Intervals are given by margintool evaluate"
    blocks: list[Block] = [unless_long(Table(caption, Grid(titles, cells)))]
    blocks += [Paragraph(line, quiet=True) for line in comparability(measured)]
    return blocks


def _held_out_pairs(run: Run) -> int | None:
    data = run.record.get("data") or {}
    found = (data.get("eval") or {}).get("kept") if run.on_pairs else None
    splits = run.record.get("splits") or {}
    return found if run.on_pairs else (splits.get("eval") or {}).get("conversations")


def comparability(runs: Sequence[Run]) -> list[str]:
    """Return why numbers of these runs may not be set beside each other; empty if they may."""
    on_pairs = [run for run in runs if run.on_pairs]
    lines = []
    if len({_held_out_key(run) for run in on_pairs}) > 1:
        lines.append("The runs did not hold out the same pairs.")
    if len({_target_key(run) for run in on_pairs}) > 1:
        lines.append(
            "The runs were measured against different targets (gamma, eval_gamma), so their NLL, "
            "Brier and ECE cannot be compared."
        )
    return lines


def _held_out_key(run: Run) -> tuple[Any, ...]:
    held_out = run.record.get("eval_pairs")
    if held_out:
        return (held_out.get("fingerprint"),)
    options = run.arguments
    seed = options.get("split_seed")
    seed = options.get("seed") if seed is None else seed
    fingerprint = run.record["pairs"].get("fingerprint")
    return (fingerprint, options.get("eval_split"), seed, options.get("limit"))


def _target_key(run: Run) -> tuple[Any, ...]:
    """Return what the targets of held-out pairs come from, as train_data.eval_gamma says."""
    options = run.arguments
    gamma = options.get("eval_gamma")
    gamma = options.get("gamma") if gamma is None else gamma
    return ("file",) if gamma in (None, "file") else (gamma, options.get("margin_column"))


def by_margin_part(runs: Sequence[Run]) -> list[Block]:
    """Return accuracy and probability by margin as runs recorded them, folded, one table a run."""
    titles = (">margin from", ">to", ">pairs", ">accuracy", ">mean predicted", ">mean target")
    keys = ("accuracy", "predicted", "target")
    blocks: list[Block] = []
    for run in runs:
        rows = run.record.get("eval_by_margin") or []
        cells = [
            (
                estimate(row["lowest_margin"]),
                estimate(row["highest_margin"]),
                count(int(row["pairs"])),
                *(estimate(row[key]) for key in keys),
            )
            for row in rows
        ]
        if cells:
            caption = f"{run.name}, held-out pairs in {parts(len(cells))} by margin"
            blocks.append(Table(caption, Grid(titles, cells)))
    if len(blocks) <= 3:
        return blocks
    return [Part(f"By margin, {counted(len(blocks), 'run')}", blocks, folded=True)]
