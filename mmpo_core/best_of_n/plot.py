"""The picture of best-of-n: expected reward by n, one panel for each reward model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmpo_core.best_of_n.expected import TOGETHER
from mmpo_core.drawing import line_style, plain, save_png

_WIDTH, _HEIGHT = 4.8, 3.8


def plot_best_of_n(expected: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the content of `expected_rewards` as PNG; bands are 95% intervals over prompts.

    Raises:
        InputError: if it cannot be written.
    """
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(row["reward"] for row in expected))
    figure = Figure(figsize=(_WIDTH * len(labels), _HEIGHT), dpi=150, layout="constrained")
    for axes, label in zip(figure.subplots(1, len(labels), squeeze=False)[0], labels, strict=True):
        lines = [row for row in expected if row["reward"] == label]
        draw_expected(axes, {_words(row, label): row["by_n"] for row in lines}, label)
    save_png(figure, path)


def draw_expected(axes: Any, lines: Mapping[str, Sequence[Mapping[str, Any]]], reward: str) -> None:
    """Draw a line for each way of picking.

    Args:
        axes: of matplotlib.
        lines: way of picking, in words -> rows of n, value, low, high.
        reward: label of the reward.
    """
    for number, (words, rows) in enumerate(lines.items()):
        _line(axes, rows, line_style(number), _no_formula(words))
    ns = sorted({row["n"] for rows in lines.values() for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ns, [str(n) for n in ns])
    axes.minorticks_off()
    axes.set_xlabel("n, answers to pick from")
    axes.set_ylabel(_no_formula(f"expected reward, {reward}"))
    axes.legend(frameon=False, fontsize="small")
    plain(axes)


def _no_formula(text: str) -> str:
    return text.replace("$", r"\$")


def _line(
    axes: Any, rows: Sequence[Mapping[str, Any]], style: Mapping[str, str], label: str
) -> None:
    ns = [row["n"] for row in rows]
    axes.plot(ns, [row["value"] for row in rows], marker="o", ms=3, label=label, **style)
    if all(row["low"] is not None for row in rows):
        low, high = ([row[end] for row in rows] for end in ("low", "high"))
        axes.fill_between(ns, low, high, color=style["color"], alpha=0.15, lw=0)


def _words(row: Mapping[str, Any], reward: str) -> str:
    by = row["picked_by"]
    if by == TOGETHER:
        return "picked by all models together"
    return "picked by this reward" if by == reward else f"picked by {by}"
