"""The experiments' pictures: dots by arm, lines of h over gamma * margin, curves over epochs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from margintool.experiments.comparing import Measured, Predicted
from mmpo_core.drawing import GREY, Floats, axis_end, line_style, plain, save_png

# name -> (E,) values over the measurements of a run
Curve = Mapping[str, Floats]
CURVE_TITLES = {
    "nll": "NLL, held-out pairs",
    "reward_margin": "reward margin, held-out pairs",
    "ece": "ECE, held-out pairs",
}


PANELS_A_ROW = 4


def plot_arms(
    measured: Measured,
    columns: Mapping[str, str],
    labels: Mapping[str, str],
    path: Path,
    title: str,
) -> None:
    """Write a PNG: one panel a metric, a dot a seed, a line at the mean of each arm."""
    rows = -(-len(columns) // PANELS_A_ROW)
    across = -(-len(columns) // rows)
    figure = _figure(2.9 * across, (0.45 * len(labels) + 1.2) * rows + 0.3)
    panels = figure.subplots(rows, across, sharey=True, squeeze=False).flat
    for axes, (metric, heading) in zip(panels, columns.items(), strict=False):
        for place, by_seed in enumerate(measured.values()):
            values = np.array([one[metric].value for one in by_seed.values()])
            color = line_style(place)["color"]
            axes.plot(values, np.full(len(values), place), "o", color=color, alpha=0.6, ms=5)
            axes.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=color, lw=2)
        axes.set(title=heading)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x", alpha=0.3)
        plain(axes)
    for axes in panels[len(columns) :]:
        axes.remove()
    panels[0].set_yticks(range(len(labels)), list(labels.values()))
    panels[0].invert_yaxis()
    figure.suptitle(f"{title}: a dot a seed, bars are means")
    save_png(figure, path)


def plot_lines(
    predicted: Predicted, gammas: Mapping[str, float], labels: Mapping[str, str], path: Path
) -> None:
    """Write a PNG: learned h over gamma * margin, a panel an arm, all seeds."""
    figure = _figure(3.1 * len(predicted), 3.6)
    panels = figure.subplots(1, len(predicted), squeeze=False)[0]
    for axes, (arm, by_seed) in zip(panels, predicted.items(), strict=True):
        x = np.concatenate([gammas[arm] * one.margin for one in by_seed.values()])
        h = np.concatenate([one.h for one in by_seed.values()])
        end = axis_end(x)
        axes.plot(x, h, "o", ms=2.5, alpha=0.35, mew=0, color=line_style(0)["color"])
        axes.plot([0, end], [0, end], color=GREY, ls="--", lw=1, label="h = γm")
        if np.ptp(x) > 0:
            fitted = np.polynomial.Polynomial.fit(x, h, 1)
            ends = np.array([0.0, end])
            axes.plot(ends, fitted(ends), color=line_style(1)["color"], label="fitted line")
        axes.set(
            title=labels[arm],
            xlabel=f"{gammas[arm]:g} × true margin",
            xlim=(-0.02 * end, 1.02 * end),
        )
        plain(axes)
    panels[0].set_ylabel("learned h")
    panels[0].legend(frameon=False, fontsize=8)
    figure.suptitle("Held-out pairs, all seeds")
    save_png(figure, path)


def plot_curves(
    curves: Mapping[str, Mapping[int, Curve]], labels: Mapping[str, str], path: Path
) -> None:
    """Write a PNG: measurements over epochs; thin lines are seeds, thick ones their means."""
    figure = _figure(4.0 * len(CURVE_TITLES), 3.8)
    panels = figure.subplots(1, len(CURVE_TITLES), squeeze=False)[0]
    for axes, (name, title) in zip(panels, CURVE_TITLES.items(), strict=True):
        for place, (arm, by_seed) in enumerate(curves.items()):
            style = line_style(place)
            for one in by_seed.values():
                axes.plot(one["epoch"], one[name], lw=0.7, alpha=0.5, **style)
            epoch = next(iter(by_seed.values()))["epoch"]
            mean = np.mean([one[name] for one in by_seed.values()], axis=0)
            axes.plot(epoch, mean, lw=2.2, label=labels[arm], **style)
        axes.set(title=title, xlabel="epoch")
        plain(axes)
    panels[0].legend(frameon=False)
    save_png(figure, path)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")
