"""The demo's picture: reliability of both arms, and every measure with every seed's dot.

Drawn from results and predictions; whatever they are, they are drawn the same way.
"""

from pathlib import Path
from typing import Any

import numpy as np

from margintool.demo.heldout import Floats, Heldout, sigmoid
from margintool.demo.outcome import MEASURES, Gaps
from margintool.demo.results import Results
from mmpo_core.calibration import both_ways, reliability
from mmpo_core.pair_file import whole_file

COLOURS = {"mmpo": "#2f6f9f", "hard": "#d1743c"}
GREY = "#8a8a8a"
BINS = 20  # of width 0.05 over [0, 1]; the half from 0.5 up is drawn


def plot_results(results: Results, heldout: Heldout, gaps: Gaps, path: Path) -> None:
    """Write the PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.6), dpi=140, layout="constrained")
    grid = figure.add_gridspec(2, 4, height_ratios=[5, 1], width_ratios=[2.3, 1, 1, 1])
    curve = figure.add_subplot(grid[0, 0])
    _reliability(curve, results, heldout, gaps)
    _histogram(figure.add_subplot(grid[1, 0], sharex=curve), gaps)
    for column, name in enumerate(MEASURES, start=1):
        _dots(figure.add_subplot(grid[:, column]), results, name)
    seeds = len(results["settings"]["training_seeds"])
    figure.suptitle(
        "margintool demo: reward models trained on SIMULATED votes\n"
        f"{results['training_pairs']} training pairs, {results['heldout_pairs']} held-out pairs "
        f"of {results['heldout_prompts']} other prompts, {seeds} seed{'s' * (seeds > 1)} per arm "
        "(dots; bars are means), same budget",
        fontsize=12,
    )
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _reliability(axes: Any, results: Results, heldout: Heldout, gaps: Gaps) -> None:
    """One thin line a seed, a thick one for all seeds' predictions together; 0.5 to 1."""
    axes.plot([0.5, 1], [0.5, 1], color=GREY, ls="--", lw=1, label="perfect calibration")
    for words, x, y in (("underconfident", 0.62, 0.76), ("overconfident", 0.88, 0.62)):
        axes.text(x, y, words, color=GREY, style="italic", ha="center", va="center")
    for name, per_seed in gaps.items():
        for gap in per_seed.values():
            axes.plot(*_curve(sigmoid(gap), heldout.p_true), color=COLOURS[name], lw=0.8, alpha=0.4)
        pooled = np.concatenate([sigmoid(gap) for gap in per_seed.values()])
        truth = np.tile(heldout.p_true, len(per_seed))
        label = results["arms"][name]["label"]
        axes.plot(*_curve(pooled, truth), "o-", color=COLOURS[name], lw=2.2, ms=5, label=label)
    axes.plot([], [], color=GREY, lw=0.8, label="thin: one seed each")
    axes.set(xlim=(0.49, 1.01), ylim=(min(0.49, axes.get_ylim()[0]), 1.01))
    axes.set(ylabel="true probability that a voter prefers it", title="Reliability")
    axes.tick_params(labelbottom=False)
    axes.legend(frameon=False, loc="upper left")
    _plain(axes)


def _curve(predicted: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """Return mean prediction and mean truth of the filled bins from 0.5 up."""
    table = reliability(*both_ways(predicted, truth), bins=BINS)
    shown = (table.count > 0) & (table.low >= 0.5)
    return table.mean_predicted[shown], table.mean_true[shown]


def _histogram(axes: Any, gaps: Gaps) -> None:
    edges = np.linspace(0.5, 1.0, BINS // 2 + 1)
    for name, per_seed in gaps.items():
        predicted = np.concatenate([sigmoid(np.abs(gap)) for gap in per_seed.values()])
        share = np.full(predicted.size, 1 / predicted.size)
        axes.hist(predicted, edges, weights=share, color=COLOURS[name], alpha=0.45)
    axes.set(xlabel="predicted probability of the answer that the model prefers", ylabel="share")
    _plain(axes)


def _dots(axes: Any, results: Results, name: str) -> None:
    """Every seed's number as a dot, the arm's mean as a bar, on an axis of its own."""
    measure = MEASURES[name]
    for place, (arm_name, arm) in enumerate(results["arms"].items()):
        values = np.array([row[name] for row in arm["seeds"].values()])
        offsets = np.linspace(-0.12, 0.12, values.size) if values.size > 1 else np.zeros(1)
        axes.bar(place, arm["mean"][name], 0.62, color=COLOURS[arm_name], alpha=0.35)
        axes.plot(place + offsets, values, "o", color=COLOURS[arm_name], ms=6)
        axes.annotate(
            _mean_sd(arm, name),
            (place, max(values.max(), arm["mean"][name])),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
        )
    labels = [arm["label"].replace(" ", "\n") for arm in results["arms"].values()]
    axes.set_xticks(range(len(labels)), labels)
    if name == "accuracy":
        axes.axhline(0.5, color=GREY, ls="--", lw=1)
        axes.text(0.5, 0.5, "chance", color=GREY, style="italic", ha="center", va="bottom")
    axes.margins(y=0.12)
    axes.set_title(
        f"{measure.label}\n({'higher' if measure.higher_is_better else 'lower'} is better)"
    )
    axes.set_ylim(bottom=0.0)
    _plain(axes)


def _mean_sd(arm: dict[str, Any], name: str) -> str:
    mean, sd = arm["mean"][name], arm["sd"][name]
    return f"{mean:.3f}" if sd is None else f"{mean:.3f}\n± {sd:.3f}"


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
