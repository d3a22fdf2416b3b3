"""What runs logged over their steps, several runs in one picture. Read by runs.py.

A line is a run; runs of one group (the seeds of a sweep's setting) look alike.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from margintool.page.folders import Run
from margintool.page.pictures import drawn
from margintool.page.views import Picture
from margintool.report.words import number
from mmpo_core.drawing import GREY, line_style, plain

# metric of the log -> what it is
TRAINING = {
    "loss": "training loss",
    "rewards/margins": "reward margin h on training pairs",
    "rewards/accuracies": "accuracy on training pairs",
    "perplexity": "perplexity on training conversations",
}
HELD_OUT = {
    "eval_nll": "held-out NLL in nats",
    "eval_rewards/margins": "held-out reward margin h",
    "eval_ece": "held-out calibration error, ECE",
    "eval_accuracy": "held-out accuracy",
    "eval_perplexity": "held-out perplexity",
}
_SHARES = ("rewards/accuracies", "eval_accuracy")
# Beyond so many, a text instead of the picture says the range only.
_TOLD = 6
# Inches: of the picture without its legend, and of a line of the legend, which takes no room away.
_WIDTH, _HEIGHT, _LINE = 4.8, 3.4, 0.19


def points(run: Run, metric: str) -> list[tuple[int, float]]:
    """Return (step, value) where a run logged a metric; what is not finite is NaN."""
    found = ((entry["step"], entry[metric]) for entry in run.history if metric in entry)
    return [(step, math.nan if value is None else float(value)) for step, value in found]


def pictures(runs: Sequence[Run], metrics: Mapping[str, str]) -> list[Picture]:
    """Return a picture for each metric that a run logged."""
    return [
        _picture(logged, metric, title)
        for metric, title in metrics.items()
        if (logged := {run.name: (run, at) for run in runs if (at := points(run, metric))})
    ]


def _picture(
    logged: Mapping[str, tuple[Run, list[tuple[int, float]]]], metric: str, title: str
) -> Picture:
    groups = list(dict.fromkeys(run.group for run, _ in logged.values()))

    def draw(axes: Any) -> None:
        named: set[str] = set()
        for run, at in logged.values():
            steps, values = zip(*at, strict=True)
            style = line_style(groups.index(run.group))
            label = None if run.group in named else run.group
            named.add(run.group)
            marker = "o" if len(at) < 30 else ""
            axes.plot(steps, values, marker=marker, ms=3, lw=1.6, label=label, **style)
        if metric in _SHARES:
            axes.set_ylim(-0.02, 1.02)
            axes.axhline(0.5, color=GREY, lw=0.8, ls=":")
        axes.set(xlabel="step")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(title, loc="left", fontsize=11)
        axes.grid(alpha=0.25)
        plain(axes)
        _legend(axes)

    return drawn(draw, _alt(logged, title), size=(_WIDTH, _HEIGHT + _LINE * len(groups)))


def _legend(axes: Any) -> None:
    """Put the legend below, where it hides nothing; names of runs are no formulas."""
    handles, labels = axes.get_legend_handles_labels()
    legend = axes.figure.legend(
        handles, labels, loc="outside lower left", frameon=False, fontsize=9
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _alt(logged: Mapping[str, tuple[Run, list[tuple[int, float]]]], title: str) -> str:
    """Return how each line begins and ends, or where they end where there are many."""
    ends = {name: (at[0], at[-1]) for name, (_, at) in logged.items()}
    if len(ends) > _TOLD:
        last = [end[1] for _, end in ends.values()]
        return f"{title} over steps, {len(ends)} runs; they end {_range(last)}."
    told = [
        f"{name} from {number(first[1])} at step {first[0]} to {number(end[1])} at step {end[0]}"
        for name, (first, end) in ends.items()
    ]
    return f"{title} over steps: {'; '.join(told)}."


def _range(values: Iterable[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "at no finite number"
    return f"between {number(min(finite))} and {number(max(finite))}"
