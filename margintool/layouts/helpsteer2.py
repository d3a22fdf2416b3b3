"""`helpsteer2`: nvidia/HelpSteer2, one row a response with five attributes from 0 to 4.

The dataset card has no overall rating. `helpfulness` stands for it: the card defines it as the
overall helpfulness of the response to the prompt, and pairs rows of one prompt by it.
About 29% of the prompts are conversations, which the card writes into one text:

    {user turn 1}
    <extra_id_1>Assistant
    {assistant turn 1}
    <extra_id_1>User
    {user turn 2}
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.layouts.base import Layout
from margintool.layouts.messages import Messages
from margintool.layouts.pair_rows import INPUT_COLUMN
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, as_array, as_mask, responses_table
from margintool.layouts.texts import (
    Prompt,
    choose_prompt,
    conversation,
    last_user_turn,
    read_answer,
    read_prompt,
)
from margintool.numbers import Column

ASPECTS = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
TURN = r"\n<extra_id_1>(?:Assistant|User)(?:\n|$)"
MARKER = "\n<extra_id_1>"
HEAD = r"^(?:Assistant|User)(?:\n|$)"


def convert(table: pa.Table) -> pa.Table:
    """HelpSteer2 rows -> RESPONSES."""
    raw, problems = Raw(table), Problems(table.num_rows)
    prompt = read_prompt(raw, problems)
    if conversation(raw, "prompt") is None:
        prompt = _unfold(prompt, problems)
    columns = {
        "row": pa.array(np.arange(raw.rows)),
        "prompt": prompt.text,
        "history": prompt.history(),
        "response": read_answer(raw, problems, "response"),
        "rating": raw.column("helpfulness"),
    }
    return responses_table(problems, columns, {name: raw.column(name) for name in ASPECTS})


def _unfold(prompt: Prompt, problems: Problems) -> Prompt:
    """Take apart the prompts that hold several turns; leave the others."""
    several = as_mask(pc.match_substring_regex(prompt.text, TURN)).to_numpy(zero_copy_only=False)
    if not several.any():
        return prompt
    own = Problems(len(several))
    turns = _turns(pc.if_else(pa.array(several), prompt.text, pa.scalar(None, pa.string())))
    unfolded = last_user_turn(turns, own, "prompt")
    problems.adopt(own, several)
    return choose_prompt(several, unfolded, prompt)


def _turns(text: Column) -> Messages:
    """Split marked texts into messages; null texts have none. The first turn is the user's."""
    parts = as_array(pc.split_pattern(text, MARKER))
    lengths = pc.fill_null(pc.list_value_length(parts), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    flat = parts.flatten()
    first = np.zeros(len(flat), dtype=bool)
    first[offsets[:-1][lengths > 0]] = True
    head = pc.if_else(pa.array(first), "User\n", flat)
    role = pc.case_when(
        pc.make_struct(
            pc.match_substring_regex(head, r"^User(?:\n|$)"),
            pc.match_substring_regex(head, r"^Assistant(?:\n|$)"),
        ),
        "user",
        "assistant",
    )
    later = pc.replace_substring_regex(flat, HEAD, "")
    return Messages(offsets, role, pc.if_else(pa.array(first), flat, later))


LAYOUT = Layout(
    name="helpsteer2",
    about="one response a row with five attributes, 0 to 4: nvidia/HelpSteer2",
    kind="responses",
    sources=("ratings",),
    required={
        "prompt": "the prompt; turns of a conversation marked by <extra_id_1>",
        "response": "the answer",
        "helpfulness": "overall helpfulness, 0 to 4: taken as the overall rating",
        "correctness": "aspect, 0 to 4",
        "coherence": "aspect, 0 to 4",
        "complexity": "aspect, 0 to 4",
        "verbosity": "aspect, 0 to 4; more is longer, not better",
    },
    optional=INPUT_COLUMN,
    convert=convert,
    scale=(0.0, 4.0),
    aspect_scale=(0.0, 4.0),
    aspects=ASPECTS,
)
