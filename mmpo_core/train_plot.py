"""train.png: the numbers that matter over the steps of a run, from its log history."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmpo_core.pair_file import whole_file

_PANELS = (
    ("loss", "loss"),
    ("rewards/margins", "reward margin h (chosen - rejected)"),
    ("rewards/accuracies", "accuracy (chosen above rejected)"),
    ("perplexity", "perplexity (of the assistant's tokens)"),
)
_BLUE, _ORANGE, _GREY = "#2a6fbb", "#d9822b", "#777777"


def plot_history(history: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Draw a run's log history as a PNG.

    Args:
        history: log entries, each with `step`; training entries have `loss`, evaluations
            `eval_loss`; further keys under TRL's names. What no entry has gets no panel.
        path: where the PNG goes.
        title: shown above.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    logged = {name.removeprefix("eval_") for entry in history for name in entry}
    panels = [panel for panel in _PANELS if panel[0] in logged]
    figure = Figure(figsize=(4.3 * len(panels), 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    grid = figure.subplots(1, len(panels), squeeze=False)
    for axes, (name, label) in zip(grid[0], panels, strict=True):
        _line(axes, history, name, _BLUE, "training")
        _line(axes, history, f"eval_{name}", _ORANGE, "held out", marker="o")
        axes.set_title(label, fontsize=10)
        axes.set_xlabel("step")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if name == "rewards/accuracies":
            axes.set_ylim(-0.02, 1.02)
            axes.axhline(0.5, color=_GREY, linewidth=0.8, linestyle=":")
        axes.legend(fontsize=8, frameon=False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _line(
    axes: Any,
    history: Sequence[Mapping[str, Any]],
    name: str,
    color: str,
    label: str,
    marker: str = ".",
) -> None:
    points = [(entry["step"], entry[name]) for entry in history if name in entry]
    if points:
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color=color, label=label, marker=marker, markersize=4)
