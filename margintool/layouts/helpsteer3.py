"""`helpsteer3`: nvidia/HelpSteer3 preferences, two responses to a conversation.

`overall_preference` runs from -3 (response 1 is much better) over 0 (about the same) to 3
(response 2 is much better), as the dataset card has it. So gap = -overall_preference.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.layouts.base import Layout
from margintool.layouts.pair_rows import two_answers
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, pairs_table, quote, sentence
from margintool.layouts.texts import read_prompt
from margintool.numbers import to_numbers


def convert(table: pa.Table) -> pa.Table:
    """HelpSteer3 rows -> PAIRS with a gap and no scores."""
    raw, problems = Raw(table), Problems(table.num_rows)
    prompt = read_prompt(raw, problems, "context")
    answers = two_answers(raw, problems, ("response1", "response2"))
    preference = raw.column("overall_preference")
    numbers, why = to_numbers(preference)
    # A gap cannot be handed on as found, so what a source says of ratings is said here.
    for problem in ("missing", "not_a_number", "not_finite"):
        problems.mark(
            pc.equal(why, problem),
            f"rating_{problem}",
            lambda rows: sentence("overall_preference is ", quote(preference.take(rows))),
        )
    unknown = np.isnan(numbers)
    return pairs_table(
        problems,
        {
            "prompt": prompt.text,
            "history": prompt.history(),
            **answers,
            "gap": pa.array(0.0 - numbers, mask=unknown),
            "preferred": pa.array(-np.sign(numbers), mask=unknown).cast(pa.int8()),
        },
    )


LAYOUT = Layout(
    name="helpsteer3",
    about="two responses a row with a preference from -3 to 3: nvidia/HelpSteer3",
    kind="pairs",
    sources=("ratings",),
    required={
        "context": "the conversation, its last message the user's",
        "response1": "first answer",
        "response2": "second answer",
        "overall_preference": "-3 = the first is much better, 3 = the second",
    },
    optional={},
    convert=convert,
    gives_gap=True,
    scale=(-3.0, 3.0),
    scores=("overall_preference",),
)
