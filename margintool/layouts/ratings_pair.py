"""`ratings_pair`: one row a pair, each response with its rating. Any dataset brought into it."""

import pyarrow as pa

from margintool.layouts.base import Layout
from margintool.layouts.pair_rows import PAIR_ALIASES, PAIR_COLUMNS, PROMPT_PARTS, pair_columns
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, pairs_table

# The names of `judgments` too, so that --layout ratings_pair reads such rows one by one.
ALIASES = {
    "prompt": PAIR_ALIASES["prompt"],
    "response_a": (*PAIR_ALIASES["response_a"], "answer_1"),
    "response_b": (*PAIR_ALIASES["response_b"], "answer_2"),
    "rating_a": ("score_a", "score_1"),
    "rating_b": ("score_b", "score_2"),
}


def convert(table: pa.Table) -> pa.Table:
    """Rows with two rated responses -> PAIRS. No preference is given: the ratings say it."""
    raw, problems = Raw(table, ALIASES), Problems(table.num_rows)
    columns = pair_columns(raw, problems)
    ratings = {"score_a": raw.column("rating_a"), "score_b": raw.column("rating_b")}
    return pairs_table(problems, {**columns, **ratings})


LAYOUT = Layout(
    name="ratings_pair",
    about="two rated responses a row; any dataset, with --map where its columns have other names",
    kind="pairs",
    sources=("ratings",),
    required={
        **PAIR_COLUMNS,
        "rating_a": "rating of the first answer",
        "rating_b": "rating of the second answer",
    },
    optional=PROMPT_PARTS,
    convert=convert,
    aliases=ALIASES,
    scores=("rating_a", "rating_b"),
)
