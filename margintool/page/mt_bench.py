"""The section about MT-bench: ratings by category and turn, of several folders side by side.

From mt_bench.json and mt_bench.parquet (margintool/mt_bench/results.py); the judges' words and what
they cost are in mt_bench_judgments.py. Read by gathering.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from margintool.mt_bench.table import COLUMNS as TURNS
from margintool.page.folders import Result, understood
from margintool.page.mt_bench_answers import answer_blocks
from margintool.page.mt_bench_judgments import used_by_judges
from margintool.page.views import Block, Facts, Paragraph, Part, Section, Table
from margintool.report.rows import Fact, Grid
from margintool.report.words import count
from mmpo_core.interval_words import with_interval

_ALL = "all"
# What counts most first: a phone shows the first columns.
_COLUMNS = sorted(TURNS, key=lambda name: -len(TURNS[name]))
_CAPTION = "Mean rating from 1 to 10 by category"


def mt_bench_section(benches: Sequence[Result], examples: int) -> Section | None:
    """Return ratings, how they came about, and answers; None if there is no folder.

    Args:
        benches: folders of `evaluate --suite mt-bench`.
        examples: how many of the lowest and of the highest ratings are shown of each.
    """
    if not benches:
        return None
    blocks: list[Block] = []
    if len(benches) > 1:
        blocks.append(_compared(benches))
        blocks += [Paragraph(line) for line in _comparability(benches)]
    for bench in benches:
        with understood(bench):
            own = _blocks(bench, examples)
        blocks += [Part(_label(bench), own)] if len(benches) > 1 else own
    blocks.append(_published(benches[0]))
    return Section("mt-bench", "MT-bench", blocks)


def _label(bench: Result) -> str:
    """Return the folder's name, and the model where that says more."""
    model = str(bench.content["model"])
    return bench.name if model == bench.name else f"{bench.name} ({model})"


def _blocks(bench: Result, examples: int) -> list[Block]:
    ratings = bench.content["ratings"]
    heads = (f">{name.replace('_', ' ')}" for name in _COLUMNS)
    lines = {**ratings["by_category"], _ALL: ratings["overall"]}
    rows = [
        (name, *(_mean(line[column]) for column in _COLUMNS), count(line["both"]["unrated"]))
        for name, line in lines.items()
    ]
    table = Table(_caption(bench), Grid(("category", *heads, ">without a rating"), rows))
    return [table, Facts(_facts(bench)), *answer_blocks(bench, examples)]


def _caption(bench: Result) -> str:
    resamples = bench.content["bootstrap"]
    if not resamples:
        return f"{_CAPTION}; no intervals"
    return f"{_CAPTION}; 95% intervals from {count(resamples)} resamples of questions"


def _mean(found: Mapping[str, Any]) -> str:
    low, high = found["interval"] or (None, None)
    return with_interval(found["mean"], low, high, lambda value: f"{value:.2f}")


def _facts(bench: Result) -> list[Fact]:
    content = bench.content
    both = content["ratings"]["overall"]["both"]
    facts = [
        ("model", str(content["model"])),
        ("judges", ", ".join(content["judge"]["judge_model"])),
        ("answers rated", count(both["rated"])),
        ("without a rating", count(both["unrated"])),
    ]
    facts += [(f"of these: {why}", count(n)) for why, n in content["without_verdict"].items()]
    cut = (content.get("answers") or {}).get("ended_by_max_new_tokens")
    if cut is not None:
        facts.append(("ended by --max-new-tokens", count(int(cut))))
    return [*facts, *used_by_judges(bench)]


def _compared(benches: Sequence[Result]) -> Table:
    """Return the mean ratings of both turns, a column a folder."""
    found: dict[str, dict[str, str]] = {}
    for bench in benches:
        with understood(bench):
            ratings = bench.content["ratings"]
            for name, line in {**ratings["by_category"], _ALL: ratings["overall"]}.items():
                found.setdefault(name, {})[bench.name] = _mean(line["both"])
    # A category that the first folder lacks comes after its own; the mean of all stays last.
    order = [name for name in found if name != _ALL] + [_ALL]
    rows = [(name, *(found[name].get(one.name, "-") for one in benches)) for name in order]
    titles = ("category", *(f">{bench.name}" for bench in benches))
    return Table(f"{_CAPTION}, both turns, 95% intervals", Grid(titles, rows))


def _comparability(benches: Sequence[Result]) -> list[str]:
    """Return why ratings of these folders may not be set beside each other."""
    asked = {str((one.content.get("questions") or {}).get("fingerprint")) for one in benches}
    judged = {str(sorted((one.content.get("judge") or {}).items())) for one in benches}
    shown = {str((one.content.get("references") or {}).get("fingerprint")) for one in benches}
    lines = []
    if len(asked) > 1:
        lines.append("The questions were not the same, so the ratings cannot be compared.")
    if len(judged) > 1 or len(shown) > 1:
        lines.append(
            "The judges, what they were asked or the reference answers that they were shown were "
            "not the same, so the ratings cannot be compared."
        )
    return lines


def _published(bench: Result) -> Part:
    """Return the paper's numbers, folded: other judges and prompts."""
    with understood(bench):
        published = bench.content["published"]
        rows = [
            (one["model"], one["trained_on"], f"{one['dpo']:.2f}", f"{one['mmpo']:.2f}")
            for one in published["scores"]
        ]
        source = str(published["source"])
    table = Table(
        f"{source}; other runs and another prompt, for orientation only",
        Grid(("model", "trained on", ">DPO", ">MMPO"), rows),
    )
    return Part("Published ratings", [table], folded=True)
