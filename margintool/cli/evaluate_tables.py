"""What `evaluate` prints of evaluation.json's content, 80 columns wide for one or two models.

Names of models are untrusted: nothing in them is read as markup, and control characters are
replaced.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmpo_core.interval_words import interval, with_interval

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

# With more models a table of all metrics with their intervals is too wide to be read.
_SIDE_BY_SIDE = 2
_PARTS = {
    "by_margin": "By margin",
    "by_source": "By source",
    "by_length_difference": "By length: tokens of chosen less those of rejected",
}
_SHOWN = ("accuracy", "nll", "brier", "ece")
_LEGEND = (
    "Truth is the target sigma(gamma * margin); hard labels: who won in the file, ties 1/2. "
    "h: reward margin, chosen less rejected. ECE, MCE, L2: mean, largest and root mean square "
    "calibration error of bins; chance raises ECE, and MCE most, where pairs are few, and is taken "
    "off the debiased L2. Spearman: of h and margin. AURC: area under risk against coverage."
)


def print_evaluation(report: Mapping[str, Any], console: "Console | None" = None) -> None:
    """Print metrics, parts, temperature and differences of an evaluation.

    Args:
        report: the content of evaluation.json, or the part of it that
            mmpo_core.evaluate.evaluating.evaluate_predictions returns.
        console: where to; standard output if not given.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = console or Console(highlight=False)
    for title, body in _sections(report):
        console.print(Text(f"\n{title}" if title else "", style="bold"))
        console.print(Padding.indent(body, 2))


def _sections(report: Mapping[str, Any]) -> "Iterator[tuple[str, RenderableType]]":
    from rich.text import Text

    models = report["models"]
    yield _title(report), _metrics(models)
    yield "", Text(_LEGEND, style="dim")
    if seen := list(_trained_on(report)):
        yield "Trained on too", Text("\n".join(seen))
    for name, model in models.items():
        of = f", {_visible(name)}" if len(models) > 1 else ""
        for key, title in _PARTS.items():
            if len(model[key]) > 1:
                yield f"{title}{of}", _part(model[key])
    yield "Temperature", Text("\n".join(_temperature(models)))
    if report["differences"]:
        yield "Differences, on the same resamples", _differences(report["differences"])


def _title(report: Mapping[str, Any]) -> str:
    from margintool.report.words import counted

    first = next(iter(report["models"].values()))
    ties = f"{counted(first['ties'], 'tie')} ({first['tie_share']:.1%})"
    pairs, prompts = counted(first["pairs"], "pair"), counted(first["prompts"], "prompt")
    drawn = first["metrics"]["accuracy"]["low"] is not None
    level = f"; {report['settings']['level']:.0%} intervals over prompts" if drawn else ""
    return f"{pairs} of {prompts}, {ties}{level}"


def _trained_on(report: Mapping[str, Any]) -> Iterator[str]:
    known = report.get("data", {}).get("trained_on", {})
    for name, seen in known.items():
        if seen and seen["prompts"]:
            yield (
                f"{_visible(name)}: {seen['pairs']:,} of these pairs, {seen['prompts']:,} of their "
                "prompts. Its numbers are not those of new ones"
            )


def _metrics(models: Mapping[str, Any]) -> "Table":
    """A row for each metric, a column for each model; with many models without intervals."""
    from rich.text import Text

    from mmpo_core.evaluate.metrics import METRICS

    table = _grid("", *map(_visible, models))
    cell = _with_interval if len(models) <= _SIDE_BY_SIDE else _number
    for name, metric in METRICS.items():
        better = f" ({metric.better} is better)" if metric.better and len(models) == 1 else ""
        row = [cell(model["metrics"][name]) for model in models.values()]
        table.add_row(Text(f"{metric.label}{better}"), *row)
    return table


def _part(rows: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.text import Text

    table = _grid("", "pairs", "accuracy", "", "NLL", "ECE", "mean h")
    for row in rows:
        metrics = row["metrics"]
        where = row["name"] if "name" in row else f"{row['lowest']:.3g} to {row['highest']:.3g}"
        table.add_row(
            Text(_visible(where)),
            f"{row['pairs']:,}",
            _number(metrics["accuracy"]),
            Text(_interval(metrics["accuracy"]), style="dim"),
            *(_number(metrics[name]) for name in ("nll", "ece", "reward_margin")),
        )
    return table


def _temperature(models: Mapping[str, Any]) -> Iterator[str]:
    for name, model in models.items():
        of = f"{_visible(name)}: " if len(models) > 1 else ""
        found = model["temperature"]
        if found["temperature"] is None:
            # said by the reason too, where it was tried
            reason = found["reason"].removeprefix("no temperature fits: ")
            yield f"{of}not fitted: {reason}"
            continue
        ece = found["metrics"]["ece"]
        yield (
            f"{of}T = {_with_interval(found['temperature'])} from {found['fitted_on']['pairs']:,} "
            f"pairs; on {found['tried_on']['pairs']:,} of other prompts ECE is "
            f"{_number(ece['before'])}, with h / T {_with_interval(ece['after'])}"
        )


def _differences(rows: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.text import Text

    from mmpo_core.evaluate.metrics import METRICS

    table = _grid("", "", "difference", "", "p")
    pair = None
    for row in rows:
        if row["metric"] not in _SHOWN:
            continue
        names = f"{_visible(row['a'])} less {_visible(row['b'])}"
        table.add_row(
            Text(names if names != pair else ""),
            METRICS[row["metric"]].label,
            "-" if row["value"] is None else f"{row['value']:+.3f}",
            Text(_interval(row, "+"), style="dim"),
            "-" if row["p"] is None else f"{row['p']:.3f}",
        )
        pair = names
    return table


def _grid(*titles: str) -> "Table":
    """Return an empty table whose columns after the first are right-aligned."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for at, title in enumerate(titles):
        # Only the first may be broken: numbers are read in one piece.
        table.add_column(Text(title), justify="right" if at else "left", no_wrap=at > 0)
    return table


def _number(estimate: Mapping[str, Any]) -> str:
    return "-" if estimate["value"] is None else f"{estimate['value']:.3f}"


def _interval(estimate: Mapping[str, Any], sign: str = "") -> str:
    write = f"{{:{sign}.3f}}".format
    return interval(estimate["low"], estimate["high"], write, none="")


def _with_interval(estimate: Mapping[str, Any]) -> str:
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    return with_interval(value, low, high, "{:.3f}".format)


def _visible(text: str) -> str:
    from margintool.report.words import visible

    return visible(text)
