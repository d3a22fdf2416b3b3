"""`votes_pair`: one row a pair with the votes of each response, or with the annotators' verdicts.

Verdict columns (`annotator1`, `annotator2`, ...) hold 1 or 2 for the better response and 0 for a
tie, as in PandaLM's test set (arXiv 2306.05087). A tie is half a vote for each, so that votes of
a pair always add up to its annotators; an empty cell is an annotator who was not asked.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.layouts.base import Layout
from margintool.layouts.pair_rows import PAIR_ALIASES, PAIR_COLUMNS, PROMPT_PARTS, pair_columns
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, pairs_table, quote, sentence
from margintool.numbers import Column, to_numbers

ANNOTATOR = "annotator*[0-9]"


def convert(table: pa.Table) -> pa.Table:
    """Rows with votes or verdicts -> PAIRS. A preference is not given: the votes say it."""
    raw, problems = Raw(table, PAIR_ALIASES), Problems(table.num_rows)
    columns = pair_columns(raw, problems)
    return pairs_table(problems, {**columns, **_votes(raw, problems)})


def _votes(raw: Raw, problems: Problems) -> dict[str, Column]:
    """Return score_a, score_b, and votes where annotators were counted."""
    if raw.has("votes_a") or raw.has("votes_b"):
        return {"score_a": raw.column("votes_a"), "score_b": raw.column("votes_b")}
    first, second = np.zeros(raw.rows), np.zeros(raw.rows)
    for name in raw.matching(ANNOTATOR):
        verdicts = raw.column(name)
        numbers, why = to_numbers(verdicts)
        given = pc.not_equal(pc.fill_null(why, ""), "missing")
        unknown = pc.and_(given, pa.array(~np.isin(numbers, (0, 1, 2))))
        problems.mark(unknown, "bad_annotation", _verdict_words(name, verdicts))
        first += np.select([numbers == 1, numbers == 0], [1.0, 0.5], 0.0)
        second += np.select([numbers == 2, numbers == 0], [1.0, 0.5], 0.0)
    votes = first + second
    problems.mark(votes == 0, "bad_annotation", "no annotator gave a verdict")
    return {"score_a": pa.array(first), "score_b": pa.array(second), "votes": pa.array(votes)}


def _verdict_words(name: str, verdicts: Column) -> Callable[[pa.Array], pa.Array]:
    def words(rows: pa.Array) -> pa.Array:
        value = quote(verdicts.take(rows))
        return sentence(f"{name} is ", value, ", expected 0 (tie), 1 (first) or 2 (second)")

    return words


LAYOUT = Layout(
    name="votes_pair",
    about="two responses a row with votes, or annotators' verdicts 0/1/2 as in WeOpenML/PandaLM",
    kind="pairs",
    sources=("shp",),
    required=PAIR_COLUMNS,
    optional={
        "votes_a": "votes of the first answer",
        "votes_b": "votes of the second answer",
        ANNOTATOR: "an annotator's verdict: 0 = tie, half a vote for each; 1 = first; 2 = second",
        **PROMPT_PARTS,
    },
    convert=convert,
    aliases=PAIR_ALIASES,
    one_of=(("votes_a", "votes_b"), (ANNOTATOR, ANNOTATOR)),
)
