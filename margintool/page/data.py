"""Sections about a pair file: what is in it, its margins and targets. From margintool.report.

Read by writing.py; the pairs of `inspect --sample` are shown as examples.py shows its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from margintool.page.pictures import drawn
from margintool.page.texts import begins, said
from margintool.page.views import (
    Block,
    Example,
    Facts,
    Gallery,
    Paragraph,
    Part,
    Picture,
    Section,
    Table,
)
from margintool.report import rows
from margintool.report.facts import PairReport
from margintool.report.plot import can_plot, length, margins, targets
from margintool.report.scan import Scan
from margintool.report.words import count, number
from mmpo_core.drawing import BLUE, GREY, plain

_BINS = 25


def summary_blocks(report: PairReport) -> list[Block]:
    """Return what is in a pair file: counts, origin, lengths, repetition, columns."""
    blocks: list[Block] = [Paragraph(f"{', '.join(rows.overview(report))}.")]
    blocks += [Paragraph(line) for line in _contract(report)]
    blocks.append(Facts(rows.origin(report)))
    if report.length_bias:
        grid = rows.bias_grid(report.length_bias)
        caption = f"Length bias: do longer answers win? Ties left out; {rows.BIAS_NOTE}"
        blocks.append(Table(caption, grid))
    if report.duplicates:
        blocks.append(
            Part("Repeated pairs", [Facts(rows.duplicates(report.duplicates))], folded=True)
        )
    if report.lengths:
        lengths = Table("Lengths of the texts", rows.length_grid(report))
        blocks.append(Part("Lengths of the texts", [lengths], folded=True))
    columns = Table("Columns of the file", rows.column_grid(report))
    return [*blocks, Part("Columns of the file", [columns], folded=True)]


def _contract(report: PairReport) -> list[str]:
    first, *breaches = rows.contract(report)
    return [f"The contract of pair files is {first}", *breaches]


def target_blocks(report: PairReport, found: Scan) -> list[Block]:
    """Return margins and targets in pictures and numbers; empty where the file has no margins."""
    if not can_plot(found):
        return []
    table = Table("Scores, margins and targets", rows.quantile_grid(report.quantiles))
    return [Gallery(_pictures(report, found)), table]


def _pictures(report: PairReport, found: Scan) -> list[Picture]:
    margin, target = report.quantiles["margin"], report.quantiles.get("p_chosen")
    spread = _spread(margin)
    pictures = [
        drawn(
            lambda axes: margins(axes, report, found),
            f"Histogram of the margins of {count(report.pairs)} pairs: {spread}; "
            f"{count(report.ties)} ties.",
        )
    ]
    if target:
        gamma = "" if report.gamma is None else f" with gamma {number(report.gamma)}"
        pictures += [
            drawn(
                lambda axes: _target_histogram(axes, found),
                f"Histogram of the targets p_chosen, from 0.5 to 1: {_spread(target)}.",
            ),
            drawn(
                lambda axes: targets(axes, report, found),
                f"Targets against margins{gamma}: from {number(target['min'])} to "
                f"{number(target['max'])} as the margin grows.",
            ),
        ]
    if report.length_bias:
        bias = report.length_bias[0]
        longer = "no pair has a winner"
        if bias.share_longer is not None:
            longer = f"the chosen answer is longer in {bias.share_longer:.0%} of pairs"
        pictures.append(
            drawn(
                lambda axes: length(axes, report, found),
                f"Margins against the difference in length of the answers: {longer}.",
            )
        )
    return pictures


def _spread(found: Mapping[str, float]) -> str:
    middle = f"median {number(found['50%'])}, mean {number(found['mean'])}"
    return f"{middle}, from {number(found['min'])} to {number(found['max'])}"


def _target_histogram(axes: Any, found: Scan) -> None:
    target = found.numbers["p_chosen"]
    shown = target[np.isfinite(target)]
    low, high = min(0.5, float(shown.min())), max(1.0, float(shown.max()))
    axes.hist(shown, np.linspace(low, high, _BINS + 1), color=BLUE)
    mean = float(shown.mean())
    axes.axvline(mean, color=GREY, ls="--", label=f"mean {mean:.3g}")
    axes.set(title="Targets of the pairs", xlabel="p_chosen", ylabel="pairs")
    axes.legend(frameon=False)
    plain(axes)


def sample_pairs(report: PairReport) -> list[Example]:
    """Return the pairs that were drawn from the file."""
    return [
        Example(
            f"Pair in row {count(pair['row'])}: {begins(pair.get('prompt'))}",
            pair_facts(pair),
            said(pair),
        )
        for pair in report.sample
    ]


def pair_facts(pair: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a pair's numbers and where it came from; what the file lacks is left out."""
    numbers = ("score_chosen", "score_rejected", "margin_raw", "margin", "p_chosen", "weight")
    texts = ("source", "origin", "pair_id")
    found = [(name, number(pair[name])) for name in numbers if pair.get(name) is not None]
    return found + [(name, str(pair[name])) for name in texts if pair.get(name) is not None]


def data_sections(report: PairReport, found: Scan) -> tuple[list[Section], list[str]]:
    """Return the sections of a page about one file, and what is left out."""
    sections = [Section("data", "Data", summary_blocks(report))]
    left_out = []
    blocks: Sequence[Block] = target_blocks(report, found)
    if blocks:
        sections.append(Section("targets", "Margins and targets", blocks))
    else:
        left_out.append(f"Margins and targets: {Path(report.path).name} has no finite margin")
    if report.longest_prompts:
        sections.append(Section("longest", "Longest prompts", [_longest(report)]))
    if report.sample:
        sections.append(Section("pairs", "Pairs", sample_pairs(report)))
    return sections, left_out


def _longest(report: PairReport) -> Table:
    cells = [
        (count(one.row), count(one.characters), count(one.words), begins(one.begins))
        for one in report.longest_prompts
    ]
    return Table("Longest prompts", rows.Grid((">row", ">chars", ">words", "begins"), cells))
