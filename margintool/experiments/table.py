"""How a finished experiment looks, in the terminal and in Markdown.

Reads experiment.json's content and computes nothing. docs/insert_results.py puts the Markdown into
docs/experiments.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from margintool.experiments.comparing import interval_words
from margintool.experiments.record import EXPERIMENT_FILE
from mmpo_core.errors import InputError

DIFFERENCES = ("difference", "mean", "95%, seeds", "95%, prompts", "verdict")
Content = Mapping[str, Any]
NOTE = (
    "A difference is called one way or the other only where its 95% intervals leave out 0: over "
    "training seeds (t) and over held-out prompts (bootstrap)."
)


def print_experiment(content: Content, out: Path) -> None:
    """Print the tables, the verdicts, and where everything is."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for one in content["tables"]:
        table = Table("", *one["columns"], title=f"{one['title']}, mean ± sd", title_justify="left")
        for row in one["rows"]:
            table.add_row(row["name"], *map(_cell, row["cells"]))
        console.print(table)
    found = Table(*DIFFERENCES, title="Differences", title_justify="left")
    for one in content["differences"]:
        found.add_row(*_difference(one))
    console.print(found)
    for one in content["claims"]:
        console.print(f"{one['claim']}: {one['outcome']}", markup=False)
    console.print(NOTE, style="dim", markup=False)
    console.print(f"Everything is in {out / EXPERIMENT_FILE}", markup=False, soft_wrap=True)
    console.print(
        f"As a page: margintool report {out}/sweeps/* {out}/evaluations/*",
        markup=False,
        soft_wrap=True,
    )


def markdown(content: Content) -> str:
    """Return tables, differences and claims as Markdown, for docs/experiments.md."""
    data = "; ".join(
        f"{one['what']}: {one['pairs']} pairs, {one['held_out_pairs']} held out"
        for one in content["data"]
    )
    seeds = ", ".join(map(str, content["seeds"]))
    parts = [f"{data}. Seeds {seeds}; {content['seconds_of_this_command']:.0f} s."]
    for table in content["tables"]:
        rows = [[row["name"], *map(_cell, row["cells"])] for row in table["rows"]]
        parts.append(_rows([table["title"], *table["columns"]], rows))
    parts.append(_rows(DIFFERENCES, [_difference(one) for one in content["differences"]]))
    claims = [[one["claim"], one["here"], one["outcome"]] for one in content["claims"]]
    parts.append(_rows(["claim", "here", "the paper"], claims))
    return "\n\n".join(parts) + "\n"


def with_results(page: str, content: Content) -> str:
    """Return the page with an experiment's results in their place, in that of earlier ones.

    The place is between `<!-- results: NAME -->` and `<!-- end -->`.

    Args:
        page: Markdown.
        content: of experiment.json.

    Raises:
        InputError: if the experiment is not finished, or the page has no such place.
    """
    name = content["experiment"]
    if "verdicts" not in content:
        raise InputError(f"experiment {name} is not finished: start it again")
    begin, end = f"<!-- results: {name} -->\n", "<!-- end -->"
    head, found, rest = page.partition(begin)
    if not found or end not in rest:
        raise InputError(f"the page has no place for results of {name}")
    return f"{head}{begin}{markdown(content)}{end}{rest.partition(end)[2]}"


def _difference(one: Mapping[str, Any]) -> list[str]:
    intervals = [interval_words(one[name]) for name in ("over_seeds", "over_prompts")]
    return [one["what"], f"{one['mean']:+.3f}", *intervals, one["verdict"]]


def _cell(cell: Mapping[str, Any]) -> str:
    spread = "" if cell["sd"] is None else f" ± {cell['sd']:.3f}"
    return f"{cell['mean']:.3f}{spread}"


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
