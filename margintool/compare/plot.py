"""The picture of a comparison: a row of panels for every later file, as PNG. Read by comparing.py.

Left: the first file's margin against the later one's signed margin, each pair turned so that the
first file's winner stands first: above 0 the later file names the same winner. Right: how often
that happens at each p_chosen of the first file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from margintool.compare.facts import Comparison, FileFacts, TwoFiles
from margintool.compare.joining import Joined
from margintool.compare.measures import winners
from margintool.compare.reading import Floats
from margintool.report.drawing import check_png
from margintool.report.words import count, counted, share
from mmpo_core.calibration import BINS, both_ways, reliability
from mmpo_core.drawing import BLUE, GREY, MOST_POINTS, ORANGE, axis_end, plain, points, save_png

GROUPS = 10
LONGEST_LABEL = 70


def plot_comparison(comparison: Comparison, joined: Sequence[Joined], path: Path) -> None:
    """Write the PNG.

    Args:
        comparison: what was found.
        joined: the common pairs of the first file and each later one.
        path: of the picture.

    Raises:
        InputError: if the picture cannot be written.
    """
    from matplotlib.figure import Figure

    check_png(path)
    rows = len(joined)
    figure = Figure(figsize=(13, 5.6 * rows), dpi=130, layout="constrained")
    first = comparison.files[0]
    for at, (panel, pairs) in enumerate(
        zip(figure.subfigures(rows, 1, squeeze=False)[:, 0], joined, strict=True)
    ):
        two, other = comparison.comparisons[at], comparison.files[at + 1]
        grid = panel.add_gridspec(2, 2, width_ratios=[1.5, 1], height_ratios=[5, 1])
        _margins(panel.add_subplot(grid[:, 0]), two, (first, other), pairs)
        curve = panel.add_subplot(grid[0, 1])
        _reliability(curve, two, (first, other), pairs)
        _predictions(panel.add_subplot(grid[1, 1], sharex=curve), first, pairs)
        panel.suptitle(
            f"{_name(first)} and {_name(other)}: {counted(two.pairs, 'pair')} of "
            f"{counted(two.prompts, 'prompt')}",
            fontsize=12,
        )
    save_png(figure, path)


def _name(file: FileFacts) -> str:
    # A dollar sign would begin a formula.
    return f"{file.name} ({_cut(Path(file.path).name)})".replace("$", r"\$")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 3] + "..."


def _label(file: FileFacts) -> str:
    unit = f" in {file.unit}" if file.unit else ""
    about = f", {file.estimator}" if file.estimator else ""
    return _cut(f"margin_raw of {file.name}{about}{unit}").replace("$", r"\$")


def turned(pairs: Joined) -> tuple[Floats, Floats]:
    """Return (N,) margins >= 0 of the first file, and of the other the signed ones beside them."""
    direction = np.where(pairs.margin_a < 0, -1.0, 1.0)
    return direction * pairs.margin_a, direction * pairs.margin_b


def _margins(axes: Any, two: TwoFiles, files: tuple[FileFacts, FileFacts], pairs: Joined) -> None:
    x, y = turned(pairs)
    right, reach = axis_end(x), axis_end(np.abs(y))
    inside = (x <= right) & (np.abs(y) <= reach)
    points(axes, x[inside], y[inside], dense=x.size > MOST_POINTS)
    axes.axhline(0, color=GREY, lw=1)
    at, mean = tenths(x, y)
    label = f"mean of {two.b} in each tenth of the pairs, by {two.a}"
    axes.plot(at, mean, "o-", color=ORANGE, ms=5, label=label)
    beyond = int((~inside).sum())
    axes.plot([], [], " ", label=f"beyond the edges: {count(beyond)}") if beyond else None
    decided = two.same_winner + two.other_winner
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none"}
    for height, words, n in (
        (0.985, "same winner", two.same_winner),
        (0.015, "other winner", two.other_winner),
    ):
        axes.text(
            0.99,
            height,
            f"{words} {share(n, decided)}",
            ha="right",
            va="top" if height > 0.5 else "bottom",
            bbox=box,
            transform=axes.transAxes,
        )
    low, high = -1.45 * reach, 1.25 * reach  # room for the legend and the words
    axes.set(xlim=(-0.02 * right, 1.02 * right), ylim=(low, high), title="Margins")
    axes.set(xlabel=_label(files[0]), ylabel=f"{_label(files[1])}\n> 0: same winner")
    axes.legend(frameon=False, loc="lower left")
    plain(axes)


def tenths(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the means of x and of y in up to GROUPS groups of equally many pairs, by rank of x.

    Equal x stay together, so that the order of the pairs does not count.
    """
    edges = np.unique(np.quantile(x, np.linspace(0, 1, GROUPS + 1)[1:-1]))
    group = np.searchsorted(edges, x, side="left")
    size = np.bincount(group)
    used = size > 0
    mean_x, mean_y = (np.bincount(group, weights=v)[used] / size[used] for v in (x, y))
    return mean_x, mean_y


def _reliability(
    axes: Any, two: TwoFiles, files: tuple[FileFacts, FileFacts], pairs: Joined
) -> None:
    """Draw the half from 0.5 up: both ways round, the other half is its mirror image."""
    axes.plot([0.5, 1], [0.5, 1], color=GREY, ls="--", lw=1, label="perfect calibration")
    scores = two.calibration[0]
    kinds = (
        ("winner", ORANGE, winners(pairs.margin_b), scores.against_outcome["ece"]),
        ("p_chosen", BLUE, pairs.target_b, scores.against_target["ece"]),
    )
    lowest = 0.5
    for name, colour, truth, ece in kinds:
        table = reliability(*both_ways(pairs.target_a, truth), bins=2 * BINS)
        shown = (table.count > 0) & (table.low >= 0.5 - 1e-9)
        label = f"{two.b}'s {name} (ECE {ece.value:.3f})"
        predicted, true = table.mean_predicted[shown], table.mean_true[shown]
        axes.plot(predicted, true, "o-", color=colour, label=label)
        lowest = min(lowest, float(np.min(true, initial=0.5)))
    # Room above 1 for the legend.
    axes.set(xlim=(0.49, 1.01), ylim=(lowest - 0.02, 1.0 + 0.3 * (1.0 - lowest)))
    axes.set(title=f"Reliability of {two.a}", yticks=np.arange(np.ceil(10 * lowest), 11) / 10)
    axes.set(ylabel=f"share of {two.b} for {two.a}'s winner")
    axes.tick_params(labelbottom=False)
    axes.legend(frameon=False, loc="upper left")
    plain(axes)


def _predictions(axes: Any, first: FileFacts, pairs: Joined) -> None:
    sure = np.maximum(pairs.target_a, 1 - pairs.target_a)
    axes.hist(sure, np.linspace(0.5, 1.0, BINS + 1), color=GREY, alpha=0.6)
    axes.set(xlabel=f"p_chosen of {first.name}", ylabel="pairs")
    plain(axes)
