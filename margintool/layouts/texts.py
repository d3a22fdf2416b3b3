"""Prompts and responses out of raw columns: text or message lists, unusable values marked.

Reasons set here: `not_text`, `empty_prompt`, `empty_response`, `bad_conversation`,
`identical_responses`. Every layout goes through these functions, so all reject alike.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.layouts.messages import Messages, no_messages, read_messages
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, as_mask, is_text, no_history, quote, sentence, shorten
from margintool.numbers import Column

Part = Literal["prompt", "response"]


@dataclass(frozen=True)
class Prompt:
    """What the answers answer.

    Attributes:
        text: (rows,) the last user message.
        earlier: the messages before it; None if no row has any.
    """

    text: Column
    earlier: Messages | None

    def history(self) -> pa.Array:
        """Return the contract's history column."""
        return no_history(len(self.text)) if self.earlier is None else self.earlier.history()


def read_prompt(raw: Raw, problems: Problems, name: str = "prompt") -> Prompt:
    """Read a prompt: text, or messages of which the last is the user's.

    Messages in an optional `history` column come before those of the prompt. Where the prompt
    is in Alpaca's `instruction`, by alias or by --map, `input` goes below it, for one instruction
    with two inputs is two tasks; so does an `input` that --map names.
    """
    messages = conversation(raw, name)
    if messages is None:
        prompt = Prompt(read_text(raw, problems, name, "prompt"), None)
    else:
        problems.mark(pc.is_null(raw.column(name)), "empty_prompt", f"{raw.name(name)} is null")
        prompt = last_user_turn(messages, problems, raw.name(name))
    alpaca = (raw.mapped_from(name) or raw.name(name)) == "instruction"
    if raw.has("input") and (alpaca or raw.mapped_from("input")):
        prompt = Prompt(_with_input(prompt.text, raw, problems), prompt.earlier)
    if name == "history" or not raw.has("history"):
        return prompt
    return _with_history(prompt, raw, problems)


def last_user_turn(messages: Messages, problems: Problems, name: str) -> Prompt:
    """Split conversations into the last user message and what came before it."""
    role, text, before = messages.split_last()
    problems.mark(messages.lengths == 0, "empty_prompt", f"{name} has no messages")
    mark_malformed(before, problems, name)
    mark_last_role(role, problems, name, "user")
    mark_empty(text, problems, name, "prompt")
    return Prompt(text, before)


def read_answer(raw: Raw, problems: Problems, name: str) -> Column:
    """Read a response: text, or a list of one assistant message."""
    text, before = read_last_answer(raw, problems, name)
    if before is not None:
        several = f"{raw.name(name)} has several messages; expected one, from the assistant"
        problems.mark(before.lengths > 0, "bad_conversation", several)
    return text


def read_last_answer(raw: Raw, problems: Problems, name: str) -> tuple[Column, Messages | None]:
    """Read a response that may end a conversation: text, or messages, the assistant's last.

    Returns:
        The response, and the messages before it; None where the column is plain text.
    """
    messages = conversation(raw, name)
    if messages is None:
        return read_text(raw, problems, name, "response"), None
    return last_answer(messages, raw.column(name), problems, raw.name(name))


def last_answer(
    messages: Messages, column: Column, problems: Problems, name: str
) -> tuple[Column, Messages]:
    """Split conversations into the answer that ends each, the assistant's, and what came before.

    Args:
        messages: the conversations.
        column: what they were read from; null where there is none.
        problems: those of the rows.
        name: the column's name, for messages.
    """
    role, text, before = messages.split_last()
    problems.mark(pc.is_null(column), "empty_response", f"{name} is null")
    problems.mark(messages.lengths == 0, "empty_response", f"{name} has no messages")
    mark_last_role(role, problems, name, "assistant")
    mark_empty(text, problems, name, "response")
    return text, before


def read_text(raw: Raw, problems: Problems, name: str, part: Part) -> Column:
    """Read a column of plain text; mark values that are not text and those that are blank."""
    text = read_optional_text(raw, problems, name)
    mark_empty(text, problems, raw.name(name), part)
    return text


def read_optional_text(raw: Raw, problems: Problems, name: str) -> Column:
    """Read a column of plain text that may be blank; mark values that are not text."""
    column, marked = raw.column(name), raw.marked_not_text(name)
    readable = is_text(column.type) or pa.types.is_null(column.type)
    if readable and marked is None:
        return column.cast(pa.string())
    bad = pc.is_valid(column) if marked is None else marked

    def words(rows: pa.Array) -> pa.Array:
        return sentence(f"{raw.name(name)} is ", shorten(column.take(rows)), ", not text")

    problems.mark(bad, "not_text", words)
    nothing = pa.scalar(None, pa.string())
    return pc.if_else(bad, nothing, column.cast(pa.string())) if readable else _nulls(raw)


def _nulls(raw: Raw) -> pa.Array:
    return pa.nulls(raw.rows, pa.string())


def conversation(raw: Raw, name: str) -> Messages | None:
    """Read a column as messages, or return None if its type is not a list of messages."""
    column = raw.column(name)
    return None if pa.types.is_null(column.type) else read_messages(column)


def mark_empty(text: Column, problems: Problems, name: str, part: Part) -> None:
    """Mark null, empty and white-space-only texts: `empty_prompt` or `empty_response`."""
    problems.mark(pc.is_null(text), f"empty_{part}", f"{name} is null")
    blank = pc.or_(pc.equal(pc.binary_length(text), 0), pc.utf8_is_space(text))
    problems.mark(blank, f"empty_{part}", f"{name} is empty or only white space")


def mark_last_role(role: pa.Array, problems: Problems, name: str, wanted: str) -> None:
    """Mark conversations whose last message is not from `wanted`."""

    def words(rows: pa.Array) -> pa.Array:
        return sentence(
            f"the last message of {name} has role ", quote(role.take(rows)), f", not '{wanted}'"
        )

    wrong = pc.invert(pc.fill_null(pc.equal(role, wanted), False))
    problems.mark(wrong, "bad_conversation", words)


def mark_malformed(messages: Messages, problems: Problems, name: str) -> None:
    """Mark conversations with a message without text, of unknown role, or a late system one."""
    bad, what = messages.malformed()
    problems.mark(bad, "bad_conversation", lambda rows: sentence(f"{name}: ", what.take(rows)))


def mark_identical(a: Column, b: Column, problems: Problems, names: tuple[str, str]) -> None:
    """Mark rows whose two responses are the same text."""

    def words(rows: pa.Array) -> pa.Array:
        return sentence(f"{names[0]} and {names[1]} are both ", quote(a.take(rows)))

    problems.mark(pc.equal(a, b), "identical_responses", words)


def _with_input(instruction: Column, raw: Raw, problems: Problems) -> Column:
    """Put the text of `input` below the instruction, after a blank line; blank ones add nothing."""
    further = read_optional_text(raw, problems, "input")
    blank = pc.or_(pc.is_null(further), as_mask(pc.utf8_is_space(further)))
    blank = pc.or_(blank, as_mask(pc.equal(further, "")))
    joined = pc.binary_join_element_wise(instruction, further, "\n\n")
    return pc.if_else(blank, instruction, joined)


def _with_history(prompt: Prompt, raw: Raw, problems: Problems) -> Prompt:
    """Put the messages of the `history` column before the prompt's own."""
    column = raw.column("history")
    earlier = read_messages(column)
    if earlier is None:
        problems.mark(
            pc.is_valid(column),
            "bad_conversation",
            f"history has type {column.type}, expected a list of role and content",
        )
        return prompt
    own = prompt.earlier or no_messages(raw.rows)
    joined = earlier.followed_by(own)
    mark_malformed(joined, problems, "history")
    return Prompt(prompt.text, joined)


def choose_prompt(use_first: np.ndarray, first: Prompt, second: Prompt) -> Prompt:
    """Return, row by row, the first prompt where `use_first` is true and else the second."""
    text = pc.if_else(pa.array(use_first), first.text, second.text)
    one = first.earlier or no_messages(len(use_first))
    two = second.earlier or no_messages(len(use_first))
    return Prompt(text, one.only(use_first).followed_by(two.only(~use_first)))
