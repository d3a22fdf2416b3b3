"""One pair, written for reading: scores and target first, then the conversation. For text.py."""

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from margintool.report.words import count, number, visible

SHOWN_CHARACTERS = 1500


def pair_lines(pair: dict[str, Any], gamma: float | None) -> RenderableType:
    """Draw a pair; columns that the file lacks are left out, long texts are cut."""
    shown: list[RenderableType] = [Text(_numbers(pair, gamma), style="dim")]
    for message in pair.get("history") or []:
        shown += _said(str(message["role"]), message["content"])
    for name in ("prompt", "chosen", "rejected"):
        if name in pair:
            score = pair.get(f"score_{name}")
            title = name if score is None else f"{name} (score {number(score)})"
            shown += _said(title, pair[name])
    return Group(*shown)


def _numbers(pair: dict[str, Any], gamma: float | None) -> str:
    names = ("margin_raw", "margin", "p_chosen", "weight")
    parts = [f"{name} {_given(pair[name])}" for name in names if name in pair]
    if gamma is not None:
        parts.append(f"gamma {number(gamma)}")
    texts = [f"{name} {pair[name]}" for name in ("source", "origin", "pair_id") if name in pair]
    return visible(", ".join(parts) + "\n" + ", ".join(texts))


def _given(value: float | None) -> str:
    return "null" if value is None else number(value) if math.isfinite(value) else str(value)


def _said(title: str, text: str | None) -> list[RenderableType]:
    """Return a heading and the text below it, indented."""
    heading = Text(visible(title), style="bold cyan")
    if text is None:
        return [heading, Padding.indent(Text("(null)", style="red"), 2)]
    body = Text(visible(text[:SHOWN_CHARACTERS]))
    if len(text) > SHOWN_CHARACTERS:
        rest = count(len(text) - SHOWN_CHARACTERS)
        body.append(f"\n[... {rest} more characters]", style="dim")
    return [heading, Padding.indent(body, 2)]
