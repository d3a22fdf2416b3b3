"""The pictures of an evaluation, as PNG: reliability, risk against coverage, margins.

Drawn from evaluation.json's content (evaluating.py) and, for the margins, from predictions. Names
of models are the caller's and are drawn as they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from mmpo_core.drawing import (
    GREY,
    MOST_POINTS,
    axis_end,
    line_style,
    plain,
    points,
    save_png,
)
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.interval_words import with_interval

RELIABILITY, RISK_COVERAGE, MARGINS = "reliability.png", "risk_coverage.png", "margins.png"

DIAGONAL = "perfect calibration (above it: too unsure, below: too sure)"

# Inches: narrow enough that words can be read on a phone, where the picture fills the screen.
WIDTH = 5.6

_MARKERS = "osD^vP*"
_FAINT = 0.15
_LEGEND_LETTERS = 70  # as many as WIDTH holds
_COLUMNS = 3


def plot_evaluation(
    evaluation: Mapping[str, Any], models: Mapping[str, Predictions], folder: Path
) -> list[Path]:
    """Write all pictures of an evaluation into a folder.

    Args:
        evaluation: what evaluate_predictions returned.
        models: the predictions that it was given.
        folder: where the PNGs go.

    Returns:
        Their paths.

    Raises:
        InputError: if a picture cannot be written.
    """
    paths = [folder / name for name in (RELIABILITY, RISK_COVERAGE, MARGINS)]
    plot_reliability(evaluation, paths[0])
    plot_risk_coverage(evaluation, paths[1])
    plot_margins(models, paths[2])
    return paths


def plot_reliability(evaluation: Mapping[str, Any], path: Path) -> None:
    """Draw what share of pairs should go the model's way against what it predicts.

    Every pair is turned so that the answer that the model prefers stands first, so that the axis
    runs from 0.5 to 1. Bars and bands are 95% intervals; below, how many pairs stand behind each
    point.
    """
    with _figure(path, (WIDTH, 5.8 + 0.2 * len(evaluation["models"]))) as figure:
        grid = figure.add_gridspec(2, 1, height_ratios=[4, 1])
        curve = figure.add_subplot(grid[0])
        below = figure.add_subplot(grid[1], sharex=curve)
        curve.plot([0.5, 1], [0.5, 1], color=GREY, lw=1, label=DIAGONAL)
        models = evaluation["models"]
        for number, (name, model) in enumerate(models.items()):
            rows = [row for row in model["reliability"] if row["count"] and row["high"] > 0.5]
            _reliability(curve, rows, name, number, model["metrics"]["ece"])
            _counts(below, rows, number, len(models))
        curve.set(xlim=(0.49, 1.01), ylabel="truth: mean target of the same answer")
        curve.set_title(_title("Reliability", evaluation), loc="left", fontsize=11)
        curve.tick_params(labelbottom=False)
        below.set(xlabel="predicted probability of the answer that the model prefers")
        below.set(ylabel="share of\npairs", ylim=(0, None))
        plain(curve)
        plain(below)
        _legend(figure, curve)


def _reliability(
    axes: Any, rows: Sequence[Mapping[str, Any]], name: str, number: int, ece: Mapping[str, Any]
) -> None:
    style = line_style(number)
    x = [row["predicted"] for row in rows]
    # None, where there is no interval, becomes NaN and is not drawn
    low, high = (np.array([row[end] for row in rows], float) for end in ("true_low", "true_high"))
    axes.fill_between(x, low, high, color=style["color"], alpha=_FAINT, lw=0)
    axes.vlines(x, low, high, color=style["color"], alpha=0.5, lw=1)  # seen without neighbours too
    label = f"{name}: ECE {_with_interval(ece)}"
    marker = _MARKERS[number % len(_MARKERS)]
    axes.plot(x, [row["true"] for row in rows], marker=marker, ms=5, lw=1.8, label=label, **style)


def _counts(axes: Any, rows: Sequence[Mapping[str, Any]], number: int, models: int) -> None:
    """Draw a bar for each bin: its share of pairs, models beside each other."""
    total = sum(row["count"] for row in rows)
    width = rows[0]["high"] - rows[0]["low"] if rows else 0.1
    slot = 0.9 * width / models
    for row in rows:
        middle = (row["low"] + row["high"]) / 2 + slot * (number - (models - 1) / 2)
        axes.bar(middle, row["count"] / total, slot, color=line_style(number)["color"])


def plot_risk_coverage(evaluation: Mapping[str, Any], path: Path) -> None:
    """Draw how often a model errs if it answers only the pairs that it is surest of."""
    with _figure(path, (WIDTH, 4.2 + 0.2 * len(evaluation["models"]))) as figure:
        axes = figure.add_subplot()
        for number, (name, model) in enumerate(evaluation["models"].items()):
            rows = model["risk_coverage"]
            area = _with_interval(model["metrics"]["aurc"])
            x, y = [row["coverage"] for row in rows], [row["risk"] for row in rows]
            label = f"{name}: area {area}"
            style = line_style(number) | {"marker": "o" if len(x) == 1 else ""}
            axes.plot(x, y, lw=1.8, label=label, clip_on=False, **style)
        axes.set(xlim=(0, 1.01), ylim=(0, None), xlabel="coverage: share of pairs, surest first")
        axes.set_ylabel("risk: share of them decided wrongly")
        axes.set_title(_title("Risk against coverage", evaluation), loc="left", fontsize=11)
        axes.grid(alpha=0.25)
        plain(axes)
        _legend(figure, axes)


def plot_margins(models: Mapping[str, Predictions], path: Path) -> None:
    """Draw each model's reward margin h against the file's margin, a panel a model.

    The line is h = gamma * margin, where the loss of MMPO has its least value; there is none where
    gamma is not known or infinite. Many points become a density.
    """
    columns = min(len(models), _COLUMNS)
    rows = -(-len(models) // columns)
    with _figure(path, (max(5.4 * columns, 6.4), 4.4 * rows)) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        panels = [*grid.flat]
        edge = axis_end(np.concatenate([one.margin for one in models.values()]))
        reach = axis_end(np.abs(np.concatenate([one.h for one in models.values()])))
        for axes, (name, one) in zip(panels, models.items(), strict=False):
            _margins(axes, one, edge, reach)
            pairs = _counted(len(one), "pair")
            axes.set_title(f"{name}: {pairs}", loc="left", fontsize=11)
        for axes in panels[len(models) :]:
            axes.set_visible(False)
        for axes in panels[max(0, len(models) - columns) : len(models)]:
            axes.set_xlabel("margin in the file (unit-free)")
            axes.tick_params(labelbottom=True)
        for row in grid:
            row[0].set_ylabel("reward margin h (log-odds)")
        panels[0].set_xlim(-0.03 * edge, 1.03 * edge)


def _margins(axes: Any, one: Predictions, edge: float, reach: float) -> None:
    inside = (one.margin <= edge) & (np.abs(one.h) <= reach)
    if inside.any():
        points(axes, one.margin[inside], one.h[inside], dense=len(one) > MOST_POINTS)
    axes.axhline(0, color=GREY, lw=1)
    if one.gamma is not None and np.isfinite(one.gamma):
        label = rf"h = $\gamma$ margin, $\gamma$ = {one.gamma:.3g}"
        # Where the line would leave the picture far behind the pairs it ends at their reach.
        end = min(edge, reach / one.gamma) if one.gamma > 0 else edge
        color = line_style(1)["color"]
        axes.plot([0, end], [0, one.gamma * end], color=color, lw=1.8, label=label)
    beyond = int((~inside).sum())
    if beyond:
        axes.plot([], [], " ", label=f"beyond the edges: {beyond:,}")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower right", fontsize=9)
    plain(axes)


def _legend(figure: Any, axes: Any) -> None:
    """Put the legend below the axes, where it hides nothing however many models there are."""
    handles, labels = axes.get_legend_handles_labels()
    labels = [fill(label, _LEGEND_LETTERS) for label in labels]
    figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=9)


def _title(what: str, evaluation: Mapping[str, Any]) -> str:
    first = next(iter(evaluation["models"].values()))
    level = evaluation["settings"]["level"]
    drawn = "" if first["metrics"]["accuracy"]["low"] is None else f", {level:.0%} intervals"
    pairs, prompts = _counted(first["pairs"], "pair"), _counted(first["prompts"], "prompt")
    return f"{what}: {pairs} of {prompts}{drawn}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _with_interval(estimate: Mapping[str, Any]) -> str:
    return with_interval(estimate["value"], estimate["low"], estimate["high"], "{:.3f}".format)


@contextmanager
def _figure(path: Path, size: tuple[float, float]) -> Iterator[Any]:
    """Yield an empty figure, and write it when it is drawn."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    yield figure
    save_png(figure, path)
