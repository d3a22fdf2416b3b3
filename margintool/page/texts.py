"""Texts of a page, cut where they are long. Read by whatever shows examples."""

from collections.abc import Mapping
from typing import Any

from margintool.page.views import Said

MOST = 4000


def said(pair: Mapping[str, Any]) -> list[Said]:
    """Return what was said: earlier turns, the prompt, and both answers; nulls as `(null)`."""
    earlier = [(str(turn["role"]), turn["content"]) for turn in pair.get("history") or []]
    own = [(name, pair[name]) for name in ("prompt", "chosen", "rejected") if name in pair]
    return [cut(who, text) for who, text in [*earlier, *own]]


def cut(who: str, text: str | None) -> Said:
    """Return a text and who said it, no longer than MOST."""
    whole = "(null)" if text is None else text
    return Said(who, whole[:MOST], max(0, len(whole) - MOST))


def begins(text: Any, most: int = 80) -> str:
    """Return how a text begins, on one line."""
    line = " ".join(str(text or "").split())
    return line if len(line) <= most else f"{line[:most]} ..."
