"""Shared by the layouts with a prompt, a chosen and a rejected answer, with or without scores.

Each side is plain text, or messages that end with the assistant's answer. Where messages stand
before the answer they are the conversation, the same on both sides; the prompt column is read
only in rows that have none.
"""

import numpy as np
import pyarrow as pa

from margintool.layouts.messages import Messages
from margintool.layouts.pair_rows import all_first_preferred
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, pairs_table
from margintool.layouts.texts import (
    Prompt,
    choose_prompt,
    last_user_turn,
    mark_identical,
    read_last_answer,
    read_prompt,
)
from margintool.numbers import Column

CHOSEN_COLUMNS: dict[str, str] = {
    "prompt": "the prompt; not read where chosen and rejected hold the whole conversation",
    "chosen": "the preferred answer: text, or messages that end with it",
    "rejected": "the other answer, in the same form",
}


def chosen_rejected(raw: Raw, scores: tuple[str, str] | None = None) -> pa.Table:
    """Rows with chosen and rejected -> PAIRS. scores: the columns with theirs, if there are any."""
    problems, answers_wrong = Problems(raw.rows), Problems(raw.rows)
    chosen, before_chosen = read_last_answer(raw, answers_wrong, "chosen")
    rejected, before_rejected = read_last_answer(raw, answers_wrong, "rejected")
    if before_chosen is not None and before_rejected is not None:
        mark_different(before_chosen, before_rejected, answers_wrong)
    prompt = _asked(raw, problems, before_chosen or before_rejected)
    problems.adopt(answers_wrong, np.ones(raw.rows, dtype=bool))
    return preferences_table(raw, problems, prompt, (chosen, rejected), scores)


def mark_different(chosen: Messages, rejected: Messages, problems: Problems) -> None:
    """Mark rows whose two answers do not answer the same conversation."""
    words = "the messages before the last answer differ between chosen and rejected"
    problems.mark(chosen.differ(rejected), "bad_conversation", words)


def preferences_table(
    raw: Raw,
    problems: Problems,
    prompt: Prompt,
    answers: tuple[Column, Column],
    scores: tuple[str, str] | None = None,
) -> pa.Table:
    """Build PAIRS from a prompt and its (chosen, rejected); a is chosen, preferred 1 in each row.

    Args:
        raw: the batch.
        problems: those found so far; identical answers are marked here.
        prompt: what both answer.
        answers: chosen and rejected.
        scores: the columns with the scores of chosen and rejected, if there are any.
    """
    chosen, rejected = answers
    mark_identical(chosen, rejected, problems, (raw.name("chosen"), raw.name("rejected")))
    scored = {} if scores is None else {"score_a": scores[0], "score_b": scores[1]}
    return pairs_table(
        problems,
        {
            "prompt": prompt.text,
            "history": prompt.history(),
            "response_a": chosen,
            "response_b": rejected,
            "preferred": all_first_preferred(raw.rows),
            **{side: raw.column(name) for side, name in scored.items()},
        },
    )


def _asked(raw: Raw, problems: Problems, before: Messages | None) -> Prompt:
    """Read the prompt from the messages before the answer, or where none are from its column."""
    if before is None:
        return read_prompt(raw, problems)
    told = before.lengths > 0
    in_messages, in_column = Problems(raw.rows), Problems(raw.rows)
    from_messages = last_user_turn(before, in_messages, raw.name("chosen") + " before the answer")
    problems.adopt(in_messages, told)
    if told.all():
        return from_messages
    from_column = read_prompt(raw, in_column)
    problems.adopt(in_column, ~told)
    return choose_prompt(told, from_messages, from_column)
