"""`ratings_long`: one row a rated response; rows of one prompt need not be adjacent."""

import numpy as np
import pyarrow as pa

from margintool.layouts.base import Layout
from margintool.layouts.pair_rows import HISTORY_COLUMN, PAIR_ALIASES, PAIR_COLUMNS
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, rating_text, responses_table
from margintool.layouts.texts import read_answer, read_prompt

ALIASES = {
    "prompt": PAIR_ALIASES["prompt"],
    "response": ("output", "answer"),
    "rating": ("score",),
}


def convert(table: pa.Table) -> pa.Table:
    """Rows with one rated response -> RESPONSES."""
    raw, problems = Raw(table, ALIASES), Problems(table.num_rows)
    prompt = read_prompt(raw, problems)
    columns = {
        "row": pa.array(np.arange(raw.rows)),
        "prompt": prompt.text,
        "history": prompt.history(),
        "response": read_answer(raw, problems, "response"),
        "model": rating_text(raw.column("model")),
        "rating": raw.column("rating"),
    }
    return responses_table(problems, columns, {})


LAYOUT = Layout(
    name="ratings_long",
    about="one rated response a row; any dataset, with --map where its columns have other names",
    kind="responses",
    sources=("ratings",),
    required={
        "prompt": PAIR_COLUMNS["prompt"],
        "response": "the answer: text or one assistant message",
        "rating": "its rating",
    },
    optional={"model": "who wrote it", **HISTORY_COLUMN},
    convert=convert,
    aliases=ALIASES,
)
