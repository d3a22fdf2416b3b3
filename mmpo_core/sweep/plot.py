"""sweep.png: accuracy, ECE, NLL and reward margin of held-out pairs against gamma.

Read by files.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmpo_core.drawing import line_style
from mmpo_core.pair_file import whole_file
from mmpo_core.sweep.grid import FILE, Setting, shown
from mmpo_core.sweep.results import Row, varied

if TYPE_CHECKING:
    from mmpo_core.sweep.sweeping import SweepResult

_PANELS = (
    ("accuracy", "accuracy (more is better)"),
    ("ece", "calibration error, ECE (less is better)"),
    ("nll", "NLL in nats (less is better)"),
    ("reward_margin", "reward margin h (chosen - rejected)"),
)
_FAINT = 0.18
# Where the largest NLL is so many times the least, an axis of logarithms shows both.
_MUCH = 3.0


def plot_sweep(result: "SweepResult", path: Path) -> None:
    """Draw a sweep's finished runs as a PNG: a line for each setting but for its gamma.

    Points are runs, lines means over seeds, bands reach from the lowest to the highest seed. A
    loss that does not read the margins has no gamma: its line goes straight across. Gammas stand
    at even distances, in their order.

    Args:
        result: the sweep.
        path: where the PNG goes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    gammas = _gammas(result.rows, result.plan.file_gamma)
    lines = _lines(result.rows)
    figure = Figure(figsize=(10.5, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, 2, sharex=True)
    for axes, (name, label) in zip(grid.flat, _PANELS, strict=True):
        for number, rows in enumerate(lines.values()):
            _draw(axes, rows, name, list(gammas), line_style(number))
        axes.set_title(label + _log_scale(axes, name, result.rows), fontsize=11, loc="left")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[1]:
        axes.set_xticks(range(len(gammas)), list(gammas.values()))
        axes.set_xlim(-0.4, max(len(gammas) - 0.6, 0.4))
        axes.set_xlabel("gamma")
    figure.suptitle(_title(result), fontsize=12)
    handles = grid[0][0].get_lines()
    if len(handles) > 1:
        figure.legend(
            handles,
            list(lines),
            loc="outside lower center",
            ncols=min(4, len(handles)),
            frameon=False,
        )
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _log_scale(axes: Any, name: str, rows: Sequence[Row]) -> str:
    """Give NLL an axis of logarithms where one run dwarfs the others; return what to say of it."""
    from matplotlib.ticker import ScalarFormatter

    values = [row[name] for row in rows if row[name]]
    if name != "nll" or not values or max(values) < _MUCH * min(values):
        return ""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(ScalarFormatter())
    return ", logarithmic"


def _title(result: "SweepResult") -> str:
    options = result.plan.options
    target = options.eval_gamma
    against = "the file's own targets" if target == FILE else f"sigma({target:g} margin)"
    return (
        f"{options.model}, {options.objective}: {result.plan.pairs['eval']:,} held-out pairs, "
        f"against {against}\npoints: runs; lines: means over seeds; bands: all seeds"
    )


def _gammas(rows: Sequence[Row], file_gamma: float | None) -> dict[Any, str]:
    """Return gamma -> tick label, in ascending order; the file's own by what the file records."""
    found = {row["gamma"] for row in rows if row["gamma"] is not None}

    def size(gamma: float | str) -> float:
        if gamma == FILE:
            return -1.0 if file_gamma is None else file_gamma
        return float(gamma)

    def label(gamma: float | str) -> str:
        known = gamma == FILE and file_gamma is not None
        return f"file\n({file_gamma:.3g})" if known else shown(gamma)

    return {gamma: label(gamma) for gamma in sorted(found, key=size)} or {None: "-"}


def _lines(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return label -> the runs of a line: those that differ by gamma and seed alone."""
    settings = [Setting(row["loss"], row["gamma"], row["beta"], row["lr"]) for row in rows]
    names = [name for name in varied(settings) if name != "gamma"]
    lines: dict[str, list[Row]] = {}
    for setting, row in zip(settings, rows, strict=True):
        lines.setdefault(setting.words(names), []).append(row)
    return lines


def _draw(
    axes: Any, rows: Sequence[Row], name: str, gammas: list[Any], style: dict[str, str]
) -> None:
    values: dict[float, list[float]] = {}
    across = all(row["gamma"] is None for row in rows)
    for row in rows:
        if row[name] is not None:
            at = 0 if across else gammas.index(row["gamma"])
            values.setdefault(at, []).append(row[name])
    places: list[float] = sorted(values)
    means = [sum(values[at]) / len(values[at]) for at in places]
    low, high = [min(values[at]) for at in places], [max(values[at]) for at in places]
    color = style["color"]
    if across and places:
        places = [-0.4, max(len(gammas) - 0.6, 0.4)]
        means, low, high = means * 2, low * 2, high * 2
        style = style | {"linestyle": "--"}
    else:
        points = [(at, value) for at in places for value in values[at]]
        axes.scatter(*zip(*points, strict=True), s=14, color=color, zorder=3) if points else None
    axes.fill_between(places, low, high, color=color, alpha=_FAINT, linewidth=0)
    axes.plot(places, means, linewidth=1.8, **style)
