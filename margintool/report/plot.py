"""One picture of a pair file in three panels, as PNG. Drawn from numbers; read by inspecting.py.

Works for three pairs and for three million: many points become a density.
"""

from pathlib import Path
from typing import Any

import numpy as np

from margintool.report.drawing import check_png
from margintool.report.facts import PairReport
from margintool.report.scan import Floats, Scan
from mmpo_core.bradley_terry import probability
from mmpo_core.drawing import BLUE, GREY, MOST_POINTS, ORANGE, axis_end, plain, points, save_png
from mmpo_core.errors import InputError

CURVE_POINTS = 60


def plot_report(report: PairReport, found: Scan, path: Path) -> None:
    """Write the PNG: histogram of margins, targets on the gamma curve, margin against length.

    Raises:
        InputError: if the file has no margins, or the picture cannot be written.
    """
    from matplotlib.figure import Figure

    if not can_plot(found):
        raise InputError(f"{report.path}: nothing to plot, the file has no finite margin")
    check_png(path)
    figure = Figure(figsize=(15, 4.8), dpi=130, layout="constrained")
    for axes, draw in zip(figure.subplots(1, 3), (margins, targets, length), strict=True):
        draw(axes, report, found)
    figure.suptitle(f"{Path(report.path).name}: {report.pairs:,} pairs", fontsize=13)
    save_png(figure, path)


def can_plot(found: Scan) -> bool:
    """Whether there is anything to draw: a finite margin."""
    margin = found.numbers.get("margin")
    return margin is not None and bool(np.isfinite(margin).any())


def margins(axes: Any, report: PairReport, found: Scan) -> None:
    """Draw the histogram of margins, ties apart."""
    margin = found.numbers["margin"]
    shown = margin[np.isfinite(margin)]
    edge = axis_end(shown)
    bins = np.linspace(min(0.0, float(shown.min())), edge, 41)
    axes.hist(shown[shown != 0], bins, color=BLUE, label="pairs")
    ties = int((shown == 0).sum())
    if ties:
        width = bins[1] - bins[0]
        axes.bar(-width, ties, width, color=ORANGE, label=f"ties: {ties:,}")
    beyond = int((shown > edge).sum())
    axes.plot([], [], " ", label=f"beyond the right edge: {beyond:,}") if beyond else None
    axes.axvline(np.median(shown), color=GREY, ls="--", label=f"median {np.median(shown):.3g}")
    axes.set(title="Margins", xlabel=_margin_label(report), ylabel="pairs")
    axes.legend(frameon=False)
    plain(axes)


def _margin_label(report: PairReport) -> str:
    normalizer = report.metadata.get("normalizer")
    name = normalizer.get("name") if isinstance(normalizer, dict) else None
    return f"margin (normalised: {name})" if name else "margin"


def targets(axes: Any, report: PairReport, found: Scan) -> None:
    """Draw targets against margins, on the curve of the file's gamma."""
    margin, target = found.numbers["margin"], found.numbers.get("p_chosen")
    shown = margin[np.isfinite(margin) & (margin >= 0)]
    edge = axis_end(shown) if shown.size else 1.0
    gamma = report.gamma
    if gamma is not None:
        line = np.linspace(0, edge, 400)
        label = rf"$\sigma(\gamma m)$, $\gamma$ = {gamma:.4g}"
        axes.plot(line, probability(line, gamma), color=BLUE, lw=2, label=label)
    if target is not None:
        both = np.isfinite(margin) & np.isfinite(target)
        x, y = _by_rank(margin[both], target[both])
        which = f" ({x.size} of {int(both.sum()):,}, by rank)" if x.size < both.sum() else ""
        axes.plot(x, y, "o", color=ORANGE, ms=5, alpha=0.6, label=f"pairs' targets{which}")
        if both.any():
            mean = float(target[both].mean())
            axes.axhline(mean, color=GREY, ls="--", label=f"mean target {mean:.4g}")
    axes.set(title="Targets", xlabel=_margin_label(report), ylabel="p_chosen")
    axes.set(xlim=(-0.02 * edge, 1.02 * edge), ylim=(0.48, 1.02))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower right")
    plain(axes)


def _by_rank(margin: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Return at most CURVE_POINTS pairs, evenly spaced in the ranking by margin."""
    order = np.argsort(margin, kind="stable")
    picked = order[np.unique(np.linspace(0, len(order) - 1, CURVE_POINTS).astype(int))]
    return margin[picked], target[picked]


def length(axes: Any, report: PairReport, found: Scan) -> None:
    """Draw margins against how much longer the chosen answer is."""
    axes.set(title="Length bias", xlabel="characters: chosen - rejected")
    axes.set(ylabel=_margin_label(report))
    plain(axes)
    if not {"chosen", "rejected"} <= found.characters.keys():
        axes.text(0.5, 0.5, "no text columns", ha="center", transform=axes.transAxes)
        return
    margin = found.numbers["margin"]
    longer_by = (found.characters["chosen"] - found.characters["rejected"]).astype(np.float64)
    kept = np.isfinite(margin)
    x, y = longer_by[kept], margin[kept]
    reach = axis_end(np.abs(x))
    top = axis_end(y)
    inside = (np.abs(x) <= reach) & (y <= top)
    points(axes, x[inside], y[inside], dense=x.size > MOST_POINTS)
    axes.axvline(0, color=GREY, lw=1)
    axes.set(xlim=(-1.05 * reach, 1.05 * reach))
    low = min(0.0, float(y.min()))
    # A fifth is left free above the points, for the words.
    axes.set(ylim=(low - 0.06 * (top - low), top + 0.2 * (top - low)))
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none"}
    axes.text(
        0.99, 0.98, _bias_words(report), ha="right", va="top", bbox=box, transform=axes.transAxes
    )


def _bias_words(report: PairReport) -> str:
    bias = report.length_bias[0]
    if bias.share_longer is None:
        return "no pair with a winner"
    words = f"chosen is longer in {bias.share_longer:.1%}"
    return words if bias.spearman is None else f"{words}\nSpearman {bias.spearman:+.3f}"
