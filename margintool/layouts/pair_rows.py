"""Shared by the layouts that have a prompt and two responses in a row, in three column names."""

import pyarrow as pa

from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems
from margintool.layouts.texts import Prompt, mark_identical, read_answer, read_prompt
from margintool.numbers import Column

# Other names under which people keep the same columns.
PAIR_ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("instruction", "question"),
    "response_a": ("response1", "response_1"),
    "response_b": ("response2", "response_2"),
}
PAIR_COLUMNS: dict[str, str] = {
    "prompt": "the prompt: text, or messages of which the user's is the last",
    "response_a": "first answer: text or one assistant message",
    "response_b": "second answer",
}
INPUT_COLUMN: dict[str, str] = {
    "input": (
        "goes below the prompt, after a blank line, where the prompt is in `instruction`, or "
        "where --map names it"
    )
}
PROMPT_PARTS: dict[str, str] = {
    **INPUT_COLUMN,
    "history": "earlier messages (role, content), oldest first",
}


def two_answers(
    raw: Raw, problems: Problems, names: tuple[str, str] = ("response_a", "response_b")
) -> dict[str, Column]:
    """Read two response columns into response_a and response_b; mark what cannot be used."""
    first, second = (read_answer(raw, problems, name) for name in names)
    mark_identical(first, second, problems, (raw.name(names[0]), raw.name(names[1])))
    return {"response_a": first, "response_b": second}


def pair_columns(raw: Raw, problems: Problems) -> dict[str, Column]:
    """Read prompt, history, response_a and response_b of a table in PAIR_COLUMNS."""
    prompt: Prompt = read_prompt(raw, problems)
    answers = two_answers(raw, problems)
    return {"prompt": prompt.text, "history": prompt.history(), **answers}


def all_first_preferred(rows: int) -> pa.Array:
    """Return `preferred` = 1 for each row."""
    return pa.repeat(pa.scalar(1, pa.int8()), rows)
