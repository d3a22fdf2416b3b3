"""`hh`: chosen and rejected are whole conversations, and there is no prompt column.

Anthropic/hh-rlhf has them as transcripts, "\\n\\nHuman: ...\\n\\nAssistant: ...". Lists of
messages, TRL's form with an implicit prompt, are read too. What both share is the question: the
last turn of each is an answer to it, and what comes before must be the same. In some rows of
hh-rlhf it is not: there the two are no answers to one question, and the row is rejected.
"""

import pyarrow as pa
import pyarrow.compute as pc

from margintool.layouts.base import Layout
from margintool.layouts.messages import Messages
from margintool.layouts.preferences import mark_different, preferences_table
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, sentence, shorten
from margintool.layouts.texts import (
    conversation,
    last_answer,
    last_user_turn,
    mark_empty,
    read_optional_text,
)
from margintool.layouts.transcripts import read_transcripts
from margintool.numbers import Column


def convert(table: pa.Table) -> pa.Table:
    """Rows with two conversations -> PAIRS without scores."""
    raw, problems = Raw(table), Problems(table.num_rows)
    # The prompt is in both; without one of them nothing says which turn is the question.
    problems.mark(pc.is_null(raw.column("chosen")), "empty_prompt", "chosen is null")
    chosen, before = _side(raw, problems, "chosen")
    rejected, before_rejected = _side(raw, problems, "rejected")
    mark_different(before, before_rejected, problems)
    prompt = last_user_turn(before, problems, "chosen before the answer")
    return preferences_table(raw, problems, prompt, (chosen, rejected))


def _side(raw: Raw, problems: Problems, name: str) -> tuple[Column, Messages]:
    """Read the last answer of each conversation in a column, and the messages before it."""
    messages = conversation(raw, name)
    if messages is None:
        text = read_optional_text(raw, problems, name)
        mark_empty(text, problems, name, "response")
        messages, start = read_transcripts(text)

        def words(rows: pa.Array) -> pa.Array:
            shown = shorten(start.take(rows))
            return sentence(f"{name} begins with '", shown, "', not with Human: or Assistant:")

        problems.mark(pc.not_equal(start, ""), "bad_conversation", words)
    return last_answer(messages, raw.column(name), problems, name)


LAYOUT = Layout(
    name="hh",
    about="two whole conversations with the same prompt, without scores: Anthropic/hh-rlhf",
    kind="pairs",
    sources=(),
    required={
        "chosen": (
            "conversation that ends with the preferred answer: a transcript with Human: and "
            "Assistant: turns, or messages"
        ),
        "rejected": "the same conversation, ending with the other answer",
    },
    optional={},
    convert=convert,
)
