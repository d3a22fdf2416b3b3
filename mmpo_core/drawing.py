"""What the pictures have in common: colours, axis ends, dense points, the PNG.

Read by mmpo_core/evaluate and mmpo_core/sweep, and by margintool's reports and comparisons.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmpo_core.pair_file import whole_file

Floats = npt.NDArray[np.float64]

BLUE, ORANGE, GREY = "#2f6f9f", "#d1743c", "#8a8a8a"
# Told apart also by those who do not see red and green (Okabe and Ito), strongest first.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
DASHES = ("-", "--", ":", "-.")
MOST_POINTS = 2000
EDGE = 99.5
FEW = 200


def line_style(number: int) -> dict[str, str]:
    """Return colour and dash of a picture's number-th line, from 0; 28 are different."""
    dash = DASHES[number // len(COLORS) % len(DASHES)]
    return {"color": COLORS[number % len(COLORS)], "linestyle": dash}


def save_png(figure: Any, path: Path) -> None:
    """Write a figure whole; the same figure gives the same bytes."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def axis_end(values: Floats) -> float:
    """Return where the axis ends: the maximum, or the 99.5% quantile where that is far out."""
    high, top = float(np.percentile(values, EDGE)), float(values.max())
    edge = top if values.size < FEW or top <= 1.5 * high else high
    return edge if edge > 0 else 1.0


def points(axes: Any, x: Floats, y: Floats, *, dense: bool) -> None:
    """Draw (N,) points, or where they are too many to be told apart their density."""
    if not dense:
        axes.plot(x, y, "o", color=BLUE, ms=4, alpha=0.4, mew=0)
        return
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    # The lightest fifth is cut off: a cell with one pair must be seen on white.
    blues = ListedColormap(colormaps["Blues"](np.linspace(0.2, 1.0, 256)))
    drawn = axes.hexbin(x, y, gridsize=(44, 26), bins="log", mincnt=1, cmap=blues)
    axes.figure.colorbar(drawn, ax=axes, label="pairs")


def plain(axes: Any) -> None:
    """Take away the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)
