"""Tries a prompt out: every answer is shown, and nothing from the data outside a fence.

A template may show a conversation in a way that only some conversations bring to light, so it is
tried with marks in place of texts, once for each shape of item. Read by prompts.py.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from margintool.judge.asking.fence import strip_fenced, unfenced
from margintool.judge.item import Item
from mmpo_core.errors import InputError

FENCE = "fedcba9876543210"
# Of which a template must be right before anything is asked: the roles before the prompt.
_ROLES = (
    (),
    ("user",),
    ("system",),
    ("user", "assistant"),
    ("system", "user", "assistant"),
    ("user", "assistant", "user", "assistant"),
)
# Letters alone, found in any case, so that filters such as `upper` do not hide it.
_MARK = "zqmark"
_SHOWN = re.compile(rf"{_MARK}(turn|prompt|reference|first|second)", re.IGNORECASE)


@dataclass(frozen=True)
class Shape:
    """What of an item a template can go by, other than the texts' words.

    Args:
        turns: the role of each message before the prompt, and whether it has a text.
        prompt: whether the prompt has a text.
        answers: whether each answer has.
        reference: whether the reference has; None if there is none.
        structured: whether JSON is asked for.
    """

    turns: tuple[tuple[str, bool], ...]
    prompt: bool
    answers: tuple[bool, ...]
    reference: bool | None
    structured: bool


def shape_of(item: Item, structured: bool) -> Shape:
    """Return the shape of an item, asked about in JSON or in text."""
    return Shape(
        tuple((turn["role"], bool(turn["content"])) for turn in item.history),
        bool(item.prompt),
        tuple(map(bool, item.answers)),
        None if item.reference is None else bool(item.reference),
        structured,
    )


def usual_shapes(answers: int) -> Iterator[Shape]:
    """Yield the shapes that a template must serve, for items with so many answers."""
    for roles, reference, structured in product(_ROLES, (None, True), (False, True)):
        turns = tuple((role, True) for role in roles)
        yield Shape(turns, True, (True,) * answers, reference, structured)


def check_shape(shape: Shape, render: Callable[[Item, bool], str], name: str) -> None:
    """Check what is sent about an item of a shape.

    Args:
        shape: of the item.
        render: item and `structured` -> the messages' text, with FENCE.
        name: the template's file, for messages.

    Raises:
        InputError: saying what is shown outside a fence, or not shown at all.
    """
    item = _marked(shape)
    sent = render(item, shape.structured)
    outside = _SHOWN.search(strip_fenced(sent, FENCE))
    if outside is not None:
        raise InputError(
            f"{name}: shows text from the data ({outside[1].lower()}) outside a fence"
            f"{_where(shape)}, where it could give the judge orders; write "
            f"{{{{ fenced('LABEL', ...) }}}} around it"
        )
    shown = [content for _, content in unfenced(sent, FENCE)]
    if not all(any(mark in content for content in shown) for mark in item.answers):
        raise InputError(
            f"{name}: does not show the judge every answer{_where(shape)}; write "
            f"{{{{ fenced('ANSWER', answer) }}}}, or with 'ANSWER A', answer_a and "
            f"'ANSWER B', answer_b for --mode pair"
        )


def _marked(shape: Shape) -> Item:
    """Return an item of a shape, with a mark of its own in place of each text."""

    def mark(what: str, there: bool | None) -> str:
        return f"{_MARK}{what}" if there else ""

    turns = tuple({"role": role, "content": mark("turn", there)} for role, there in shape.turns)
    answers = tuple(
        mark(what, there) for what, there in zip(("first", "second"), shape.answers, strict=False)
    )
    reference = None if shape.reference is None else mark("reference", shape.reference)
    return Item(mark("prompt", shape.prompt), turns, answers, reference)


def _where(shape: Shape) -> str:
    """Return the roles before the prompt in words, where there are any."""
    roles = ", ".join(role for role, _ in shape.turns)
    return f" behind a conversation of {roles}" if roles else ""
