"""`responses`: a prompt with a list of answers to it, by several models or draws; no scores.

Responses to one prompt belong together wherever they stand, for they are answers to the same
question and nothing in a row (no common rating session) ties its own more closely. So `group_by`
is `prompt`, and equal answers in two rows are judged once.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import NOT_TEXT
from margintool.layouts.base import Layout
from margintool.layouts.messages import is_list
from margintool.layouts.nested import Items, read_items
from margintool.layouts.pair_rows import PAIR_ALIASES, PAIR_COLUMNS, PROMPT_PARTS
from margintool.layouts.raw import Raw
from margintool.layouts.rows import (
    Problems,
    as_array,
    rating_text,
    responses_table,
    sentence,
    shorten,
)
from margintool.layouts.texts import read_answer, read_prompt
from margintool.numbers import Column

ALIASES = {"prompt": PAIR_ALIASES["prompt"]}


def convert(table: pa.Table) -> pa.Table:
    """Rows with several responses -> RESPONSES. A row without any gives one unusable response."""
    raw, by_row = Raw(table, ALIASES), Problems(table.num_rows)
    prompt = read_prompt(raw, by_row)
    found = read_items(raw, by_row, "responses", is_list, "a list of answers")
    answers = {"response": _one_message(found.item)}
    if found.not_text is not None:
        answers["response" + NOT_TEXT] = found.not_text
    columns = {
        "row": pa.array(found.row),
        "prompt": found.spread(prompt.text),
        "history": found.spread(prompt.history()),
        "response": read_answer(Raw(pa.table(answers)), found.problems, "response"),
        "model": _models(raw, found),
        "rating": pa.nulls(len(found.row)),
    }
    return responses_table(found.problems, columns, {})


def _one_message(items: pa.Array) -> Column:
    """Return answers that are messages, {role, content}, as lists of one; others as they are."""
    if not pa.types.is_struct(items.type):
        return items
    offsets = pa.array(np.arange(len(items) + 1), pa.int32())
    return pa.ListArray.from_arrays(offsets, items, mask=pc.is_null(items))


def _models(raw: Raw, found: Items) -> pa.Array:
    """Return the model of each response; mark rows with more or fewer models than responses."""
    models = as_array(raw.column("models"))
    given = pc.is_valid(models).to_numpy(zero_copy_only=False)
    lengths = np.zeros(raw.rows, dtype=np.int64)
    if is_list(models.type):
        lengths = pc.fill_null(pc.list_value_length(models), 0).to_numpy(zero_copy_only=False)
    counts = np.bincount(found.row, minlength=raw.rows)
    wrong = given & (lengths != counts)

    def words(items: pa.Array) -> pa.Array:
        shown = shorten(models.take(pa.array(found.row).take(items)))
        return sentence("models is ", shown, ", not a list as long as responses")

    found.problems.mark(wrong[found.row], "bad_models", words)
    known = (given & ~wrong)[found.row]
    if not known.any():
        return pa.nulls(len(found.row), pa.string())
    place = (np.cumsum(lengths) - lengths + counts - np.cumsum(counts))[found.row]
    place += np.arange(len(found.row))  # the first model of the row, and on from there
    return rating_text(models.flatten()).take(pa.array(place, mask=~known))


LAYOUT = Layout(
    name="responses",
    about="several responses to a prompt in a row, without ratings, by several models or draws",
    kind="responses",
    sources=(),
    required={
        "prompt": PAIR_COLUMNS["prompt"],
        "responses": "list of the answers: texts, or assistant messages",
    },
    optional={
        "models": "list, as long as responses, of who wrote each",
        **PROMPT_PARTS,
    },
    convert=convert,
    aliases=ALIASES,
)
