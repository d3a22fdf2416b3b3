"""The section about RewardBench, from rewardbench.json. Read by gathering.py."""

from collections.abc import Mapping
from typing import Any

from margintool.page.folders import Result
from margintool.page.trained_on import trained_on_unknown, trained_on_warnings
from margintool.page.views import Block, Paragraph, Section, Table
from margintool.page.words import maybe
from margintool.report.rows import Grid
from margintool.report.words import counted
from mmpo_core.evaluate.rewardbench.sections import SECTIONS
from mmpo_core.interval_words import with_interval

_AVERAGE = "average"


def reward_bench_section(bench: Result, number: int) -> Section:
    """Return section scores with intervals, and the paper's published ones beside them.

    Args:
        bench: content of rewardbench.json.
        number: of the section in the page, from 1.
    """
    models = bench.content["models"]
    published = bench.content["published"]
    beside: Mapping[str, Mapping[str, float]] = published["scores"]
    rows = [
        (
            name,
            *(_percent(_score(found, name)) for found in models.values()),
            *(
                maybe(figures.get(name), lambda value: f"{value:.1f}")
                for figures in beside.values()
            ),
        )
        for name in (*SECTIONS, _AVERAGE)
    ]
    titles = ("section", *(f">{label}" for label in models), *(f">{name}*" for name in beside))
    source = f"* published, for orientation only: {published['source']}"
    blocks: list[Block] = [Paragraph(line) for line in trained_on_warnings(bench.content)]
    blocks.append(Table(f"Scores in percent; {source}", Grid(titles, rows)))
    blocks += [
        Paragraph(
            f"{label}: {counted(found['ties'], 'tie')}, counted as misses, as RewardBench does.",
            quiet=True,
        )
        for label, found in models.items()
        if found["ties"]
    ]
    blocks += [Paragraph(line, quiet=True) for line in trained_on_unknown(bench.content)]
    return Section(f"rewardbench-{number}", "RewardBench", blocks)


def _score(found: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    score: Mapping[str, Any] | None = (
        found[_AVERAGE] if name == _AVERAGE else found["sections"].get(name)
    )
    return score


def _percent(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "-"
    return with_interval(score["value"], score["low"], score["high"], lambda v: f"{100 * v:.1f}")
