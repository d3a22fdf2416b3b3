"""How a finished experiment looks, in the terminal and in Markdown.

Reads experiment.json's content and computes nothing. docs/insert_results.py puts the Markdown into
docs/experiments.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from margintool.experiments.comparing import interval_words
from margintool.experiments.record import EXPERIMENT_FILE, PAGE_FILE
from mmpo_core.errors import InputError

DIFFERENCES = ("difference", "mean", "95%, seeds", "95%, prompts", "verdict")
Content = Mapping[str, Any]
_PLAIN: dict[str, Any] = {"box": None, "pad_edge": False, "title_justify": "left"}
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
        table = Table("", *one["columns"], title=f"{one['title']}, mean ± sd", **_PLAIN)
        for row in one["rows"]:
            table.add_row(row["name"], *map(_cell, row["cells"]))
        console.print(table, "")
    found = Table(title="Differences", **_PLAIN)
    for name in DIFFERENCES:
        found.add_column(name, no_wrap=name != DIFFERENCES[0])
    for one in content["differences"]:
        found.add_row(*_difference(one))
    console.print(found, "")
    for one in content["claims"]:
        console.print(f"{one['claim']}: {one['outcome']} [{one['whose']}]", markup=False)
    console.print(NOTE, style="dim", markup=False)
    for what, path in (("Everything is in", EXPERIMENT_FILE), ("As a page:", PAGE_FILE)):
        console.print(f"{what} {out / path}", markup=False, soft_wrap=True)


def markdown(content: Content) -> str:
    """Return tables, differences and claims as Markdown, for docs/experiments.md."""
    data = "; ".join(
        f"{one['what']}: {one['pairs']} pairs, {one['held_out_pairs']} held out"
        for one in content["data"]
    )
    seeds = ", ".join(map(str, content["seeds"]))
    minutes = content["seconds_of_training"] / 60
    parts = [f"{data}. Seeds {seeds}; {minutes:.1f} minutes of training."]
    for table in content["tables"]:
        rows = [[row["name"], *map(_cell, row["cells"])] for row in table["rows"]]
        parts.append(_rows([table["title"], *table["columns"]], rows))
    parts.append(_rows(DIFFERENCES, [_difference(one) for one in content["differences"]]))
    names = ("claim", "whose", "here", "outcome")
    parts.append(_rows(names, [[one[name] for name in names] for one in content["claims"]]))
    return "\n\n".join(parts) + "\n"


def place(content: Content) -> str:
    """Return the name of the place that an experiment's results have on the page."""
    own = ", own data" if content["settings"].get("data") else ""
    return f"{content['experiment']}{own}"


def with_results(page: str, content: Content, pictures: Sequence[str] = ()) -> str:
    """Return the page with an experiment's results in their place, in that of earlier ones.

    The place is between `<!-- results: NAME -->` and `<!-- end -->`, with NAME from `place`.

    Args:
        page: Markdown.
        content: of experiment.json.
        pictures: their paths from the page; shown above the tables.

    Raises:
        InputError: if the experiment is not finished, or the page has no such place.
    """
    name = place(content)
    if "verdicts" not in content:
        raise InputError(f"experiment {name} is not finished: start it again")
    begin, end = f"<!-- results: {name} -->\n", "<!-- end -->"
    head, found, rest = page.partition(begin)
    if not found or end not in rest:
        raise InputError(f"the page has no place for results of {name}")
    shown = "".join(f"![Results of {name}, as in the tables below]({one})\n\n" for one in pictures)
    return f"{head}{begin}{shown}{markdown(content)}{end}{rest.partition(end)[2]}"


def _difference(one: Mapping[str, Any]) -> list[str]:
    intervals = [interval_words(one[name]) for name in ("over_seeds", "over_prompts")]
    return [one["what"], f"{one['mean']:+.3f}", *intervals, one["verdict"]]


def _cell(cell: Mapping[str, Any]) -> str:
    spread = "" if cell["sd"] is None else f" ± {cell['sd']:.3f}"
    return f"{cell['mean']:.3f}{spread}"


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
