"""`shp`: Reddit answers with their vote counts, as in stanfordnlp/SHP and SHP-2.

The simplest layout, and the one read by the million: nothing here copies text.
"""

import pyarrow as pa
import pyarrow.compute as pc

from margintool.layouts.base import Layout
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, is_text, pairs_table, quote, sentence
from margintool.layouts.texts import mark_identical, read_prompt, read_text
from margintool.numbers import to_numbers


def convert(table: pa.Table) -> pa.Table:
    """SHP rows -> PAIRS, one pair a row. `votes` is left to the source, which reads the scores."""
    raw, problems = Raw(table), Problems(table.num_rows)
    prompt = read_prompt(raw, problems, "history")
    first = read_text(raw, problems, "human_ref_A", "response")
    second = read_text(raw, problems, "human_ref_B", "response")
    mark_identical(first, second, problems, ("human_ref_A", "human_ref_B"))
    return pairs_table(
        problems,
        {
            "prompt": prompt.text,
            "history": prompt.history(),
            "response_a": first,
            "response_b": second,
            "score_a": raw.column("score_A"),
            "score_b": raw.column("score_B"),
            "preferred": _preferred(raw, problems),
        },
    )


def _preferred(raw: Raw, problems: Problems) -> pa.Array:
    """labels 1 and 0 -> preferred 1 and -1; null where there is no label."""
    labels = raw.column("labels")
    if pa.types.is_boolean(labels.type):
        labels = labels.cast(pa.int8())
    elif is_text(labels.type):  # as true and false stand beside numbers in one column
        for word, digit in (("true", "1"), ("false", "0")):
            labels = pc.if_else(pc.fill_null(pc.equal(labels, word), False), digit, labels)
    numbers, why = to_numbers(labels)
    known = (numbers == 0) | (numbers == 1)
    unknown = pc.and_(pa.array(~known), pc.not_equal(pc.fill_null(why, ""), "missing"))
    problems.mark(
        unknown,
        "bad_label",
        lambda rows: sentence("labels is ", quote(labels.take(rows)), ", expected 0 or 1"),
    )
    return pa.array(2 * numbers - 1, mask=~known).cast(pa.int8())


LAYOUT = Layout(
    name="shp",
    about="Reddit posts, two comments each, with their votes: stanfordnlp/SHP, stanfordnlp/SHP-2",
    kind="pairs",
    sources=("shp",),
    required={
        "history": "the post: the prompt",
        "human_ref_A": "text of comment A",
        "human_ref_B": "text of comment B",
        "score_A": "votes of comment A (upvotes minus downvotes, plus 1)",
        "score_B": "votes of comment B",
    },
    optional={"labels": "1 = A preferred, 0 = B preferred; compared with the votes"},
    convert=convert,
    scores=("score_A", "score_B"),
)
