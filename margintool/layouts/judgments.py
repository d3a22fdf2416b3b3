"""`judgments`: one row a verdict of a judge on a pair, the two answers in either order.

Judges favour a place, so each pair is judged in both orders, as two rows; they become one pair
(margintool/both_orders.py). Column names are those of qlora's and FastChat's pairwise reviews.
"""

import pyarrow as pa

from margintool.layouts.base import Layout
from margintool.layouts.pair_rows import PAIR_ALIASES, PAIR_COLUMNS, PROMPT_PARTS, two_answers
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, pairs_table
from margintool.layouts.texts import read_prompt

ALIASES = {"prompt": PAIR_ALIASES["prompt"]}


def convert(table: pa.Table) -> pa.Table:
    """Verdicts on pairs -> PAIRS, a row each; a is the answer that was shown first."""
    raw, problems = Raw(table, ALIASES), Problems(table.num_rows)
    prompt = read_prompt(raw, problems)
    columns = {
        "prompt": prompt.text,
        "history": prompt.history(),
        **two_answers(raw, problems, ("answer_1", "answer_2")),
        "score_a": raw.column("score_1"),
        "score_b": raw.column("score_2"),
    }
    return pairs_table(problems, columns)


LAYOUT = Layout(
    name="judgments",
    about="a judge's scores of two answers a row, each pair judged in both orders, in two rows",
    kind="pairs",
    sources=("ratings",),
    required={
        "prompt": PAIR_COLUMNS["prompt"],
        "answer_1": "the answer shown first: text or one assistant message",
        "answer_2": "the answer shown second",
        "score_1": "the judge's score of the first",
        "score_2": "its score of the second",
    },
    optional=PROMPT_PARTS,
    convert=convert,
    aliases=ALIASES,
    scores=("score_1", "score_2"),
    both_orders=True,
)
