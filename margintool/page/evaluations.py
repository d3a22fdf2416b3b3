"""Blocks about evaluations: metrics with intervals, differences, reliability, by margin.

What is read is the content of evaluation.json (mmpo_core/evaluate/evaluating.py says what is in
it). Read by gathering.py.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from margintool.page.folders import Result
from margintool.page.pictures import embedded
from margintool.page.trained_on import trained_on_unknown, trained_on_warnings
from margintool.page.views import Block, Gallery, Paragraph, Part, Picture, Table
from margintool.page.words import difference, estimate, maybe, parts, with_interval
from margintool.report.rows import Grid
from margintool.report.words import count, counted
from mmpo_core.evaluate.metrics import LESS, MAIN, METRICS, MORE

_BETTER = {MORE: " (more is better)", LESS: " (less is better)", None: ""}


def metric_blocks(evaluation: Result) -> list[Block]:
    """Return the main metrics with intervals, all of them folded, temperature, differences."""
    models = evaluation.content["models"]
    first = next(iter(models.values()))
    held = f"{counted(first['pairs'], 'pair')}, {counted(first['prompts'], 'prompt')}, "
    what = f"{held}{counted(first['ties'], 'tie')}{_intervals(evaluation)}"
    names = list(first["metrics"])
    blocks: list[Block] = [Paragraph(line) for line in trained_on_warnings(evaluation.content)]
    blocks.append(Table(what, _metrics(models, [one for one in MAIN if one in names])))
    unknown = trained_on_unknown(evaluation.content)
    blocks += [Paragraph(line, quiet=True) for line in unknown]
    blocks += _differences(evaluation.content.get("differences") or [])
    blocks.append(Part("All metrics", [Table(what, _metrics(models, names))], folded=True))
    return [*blocks, *_temperatures(models)]


def _intervals(evaluation: Result) -> str:
    settings = evaluation.content["settings"]
    resamples = settings["resamples"]
    if not resamples:
        return "; no intervals"
    return f"; {settings['level']:.0%} intervals from {count(resamples)} resamples of prompts"


def _metrics(models: Mapping[str, Any], names: Sequence[str]) -> Grid:
    rows = [
        (_label(name), *(with_interval(model["metrics"].get(name)) for model in models.values()))
        for name in names
    ]
    return Grid(("metric", *(f">{model}" for model in models)), rows)


def _label(name: str) -> str:
    metric = METRICS.get(name)
    return name if metric is None else metric.label + _BETTER[metric.better]


def _differences(found: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Return the paired differences, a table a pair of models, and all metrics folded."""
    if not found:
        return []
    main: list[Block] = []
    every: list[Block] = []
    for (a, b), group in groupby(found, key=lambda one: (one["a"], one["b"])):
        rows = list(group)
        title = f"{a} less {b}, on the same pairs"
        every.append(_difference_table(title, rows))
        main.append(_difference_table(title, [one for one in rows if one["metric"] in MAIN]))
    return [*main, Part("All differences", every, folded=True)]


def _difference_table(title: str, found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (_label(one["metric"]), difference(one), maybe(one["p"], "{:.3f}".format)) for one in found
    ]
    return Table(title, Grid(("metric", ">difference", ">p"), rows))


def _temperatures(models: Mapping[str, Any]) -> list[Block]:
    """Return the fitted temperatures, and what they change on pairs they were not fitted on."""
    rows, reasons = [], []
    for name, model in models.items():
        found = model.get("temperature") or {}
        if found.get("temperature") is None:
            reasons.append(f"{name}: {found.get('reason') or 'none fitted'}.")
            continue
        ece = found["metrics"]["ece"]
        cells = (found["temperature"], ece["before"], ece["after"])
        rows.append((name, *(with_interval(one) for one in cells)))
    blocks: list[Block] = []
    if rows:
        caption = "Temperature, fitted on one half of the prompts and tried on the other"
        titles = ("model", ">temperature", ">ECE before", ">ECE after")
        blocks.append(Table(caption, Grid(titles, rows)))
    return blocks + [Paragraph(f"No temperature for {line}", quiet=True) for line in reasons]


def reliability_blocks(evaluation: Result) -> list[Block]:
    """Return the pictures of an evaluation, and the reliability table of each model, folded."""
    pictures = list(_pictures(evaluation))
    blocks: list[Block] = [Gallery(pictures)] if pictures else []
    titles = (">predicted from", ">to", ">count", ">mean predicted", ">mean target")
    for name, model in evaluation.content["models"].items():
        rows = [
            (
                f"{row['low']:.2f}",
                f"{row['high']:.2f}",
                count(int(row["count"])),
                estimate(row["predicted"]),
                _between(row),
            )
            for row in model.get("reliability") or []
            if row["count"]
        ]
        if rows:
            table = Table(f"{name}, every pair counted both ways", Grid(titles, rows))
            blocks.append(Part(f"Reliability of {name} in numbers", [table], folded=True))
    return blocks


def _between(row: Mapping[str, Any]) -> str:
    return with_interval({"value": row["true"], "low": row["true_low"], "high": row["true_high"]})


def _pictures(evaluation: Result) -> list[Picture]:
    from mmpo_core.evaluate.plots import MARGINS, RELIABILITY, RISK_COVERAGE

    models = evaluation.content["models"]
    told = {
        RELIABILITY: ("Reliability diagram, what should be against what is predicted", "ece"),
        RISK_COVERAGE: ("Risk against coverage", "aurc"),
        MARGINS: ("Reward margin h against the margin in the file", "spearman"),
    }
    found = []
    for file, (title, metric) in told.items():
        numbers = "; ".join(
            f"{name}: {METRICS[metric].label} {with_interval(model['metrics'].get(metric))}"
            for name, model in models.items()
        )
        path = evaluation.folder / file
        if path.is_file():
            found.append(embedded(path, f"{title}. {numbers}."))
    return found


def breakdown_blocks(evaluation: Result) -> list[Block]:
    """Return the main metrics by margin, and by source and difference in length, folded."""
    blocks: list[Block] = []
    kinds = {
        "by_margin": "by margin",
        "by_source": "by source",
        "by_length_difference": "by tokens of chosen less those of rejected",
    }
    for key, words in kinds.items():
        tables: list[Block] = [
            Table(f"{name}, {'' if 'name' in rows[0] else _in(rows)}{words}", _breakdown(rows))
            for name, model in evaluation.content["models"].items()
            if (rows := model.get(key))
        ]
        if key == "by_margin":
            blocks += tables
        elif tables:
            blocks.append(Part(f"The same {words}", tables, folded=True))
    return blocks


def _in(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"in {parts(len(rows))} "


def _breakdown(rows: Sequence[Mapping[str, Any]]) -> Grid:
    named = "name" in rows[0]
    names = [name for name in MAIN if name in rows[0]["metrics"]]
    head = ("source",) if named else (">from", ">to")
    cells = [
        (
            *((row["name"],) if named else (f"{row['lowest']:.3g}", f"{row['highest']:.3g}")),
            count(int(row["pairs"])),
            *(with_interval(row["metrics"][name]) for name in names),
        )
        for row in rows
    ]
    return Grid((*head, ">pairs", *(f">{METRICS[name].label}" for name in names)), cells)
