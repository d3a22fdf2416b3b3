"""The section about an experiment: tables, claims with what came out, pictures.

From experiment.json (margintool/experiments/record.py says what is in it). Its sweeps and
evaluations are shown as those given by themselves. Read by gathering.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from margintool.page.folders import Result
from margintool.page.pictures import embedded
from margintool.page.views import Block, Facts, Gallery, Paragraph, Part, Picture, Section, Table
from margintool.report.rows import Fact, Grid
from margintool.report.words import count, number
from mmpo_core.interval_words import interval

_NOTE = (
    "A difference is called one way or the other only where its 95% intervals leave out 0: over "
    "training seeds and, where prompts were drawn, over held-out prompts."
)
_UNFINISHED = "It is not finished: the same command goes on with what is left."


def experiment_section(experiment: Result, place: int) -> Section:
    """Return what an experiment came to.

    Args:
        experiment: its folder.
        place: of the section in the page, from 1.
    """
    content = experiment.content
    title = f"Experiment: {content['experiment']}"
    settings = Part("Settings", [Facts(_settings(content))], folded=True)
    blocks: list[Block] = []
    if "verdicts" not in content:
        blocks = [Paragraph(_UNFINISHED), settings]
        return Section(f"experiment-{place}", title, blocks)
    blocks += [Paragraph(_data(content)), _claims(content["claims"]), Paragraph(_NOTE, quiet=True)]
    blocks += [_table(table) for table in content["tables"]]
    pictures = list(_pictures(experiment))
    blocks += [Gallery(pictures)] if pictures else []
    blocks += [_differences(content["differences"]), settings]
    return Section(f"experiment-{place}", title, blocks)


def _data(content: Mapping[str, Any]) -> str:
    read = "; ".join(
        f"{one['what']}: {count(one['pairs'])} pairs, {count(one['held_out_pairs'])} held out"
        for one in content["data"]
    )
    return f"{read}. Seeds {', '.join(map(str, content['seeds']))}."


def _claims(claims: Sequence[Mapping[str, str]]) -> Table:
    names = ["claim", "outcome", "here"]
    names += ["whose"] if any("whose" in one for one in claims) else []
    rows = [[one[name] for name in names] for one in claims]
    return Table("Claims, and what came out", Grid(names, rows), wraps=True)


def _table(table: Mapping[str, Any]) -> Table:
    rows = [(row["name"], *map(_cell, row["cells"])) for row in table["rows"]]
    titles = ("arm", *(f">{name}" for name in table["columns"]))
    return Table(f"{table['title']}: mean over seeds ± standard deviation", Grid(titles, rows))


def _cell(cell: Mapping[str, Any]) -> str:
    spread = "" if cell["sd"] is None else f" ± {cell['sd']:.3f}"
    return f"{cell['mean']:.3f}{spread}"


def _differences(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["what"],
            _signed(one["mean"]),
            *(_between(one[name]) for name in _INTERVALS),
            one["verdict"],
        )
        for one in found
    ]
    titles = ("difference", ">mean", *(f">{words}" for words in _INTERVALS.values()), "verdict")
    return Table("Differences, paired by seed", Grid(titles, rows), wraps=True)


_INTERVALS = {"over_seeds": "95% over seeds", "over_prompts": "95% over prompts"}


def _between(bounds: Sequence[float] | None) -> str:
    low, high = bounds or (None, None)
    return interval(low, high, _signed)


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _settings(content: Mapping[str, Any]) -> list[Fact]:
    shown = {name: value for name, value in content["settings"].items() if value is not None}
    return [
        (name, number(value) if isinstance(value, float) else str(value))
        for name, value in shown.items()
    ]


def _pictures(experiment: Result) -> list[Picture]:
    """Return its pictures; what each shows in numbers is the first column of the tables."""
    content = experiment.content
    told = "; ".join(_means(table) for table in content["tables"])
    found = []
    for file in content["pictures"]:
        path = experiment.folder / file
        if path.is_file():
            found.append(embedded(path, f"Picture of {content['experiment']}. {told}."))
    return found


def _means(table: Mapping[str, Any]) -> str:
    means = ", ".join(f"{row['name']} {row['cells'][0]['mean']:.3f}" for row in table["rows"])
    return f"{table['title']}, {table['columns'][0]}: {means}"
