"""`ratings_long`: one row a rated response; rows of one prompt need not be adjacent.

Ratings of single aspects are in a struct column `aspects`, or in columns `aspects.NAME`, as CSV
has them. Their names are the data's own; NAME beside a field NAME of the struct takes its place.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import NOT_TEXT
from margintool.layouts.base import Layout, matching
from margintool.layouts.pair_rows import PAIR_ALIASES, PAIR_COLUMNS, PROMPT_PARTS
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, as_array, rating_text, responses_table
from margintool.layouts.texts import read_answer, read_prompt
from margintool.numbers import Column

ALIASES = {
    "prompt": PAIR_ALIASES["prompt"],
    "response": ("output", "answer"),
    "rating": ("score",),
}
STRUCT, FLAT = "aspects", "aspects.*"


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
    aspects = {name: _aspect(raw, name) for name in aspects_in(table.schema)}
    return responses_table(problems, columns, aspects)


def aspects_in(columns: pa.Schema) -> tuple[str, ...]:
    """Return the names of the aspects that a table with these columns rates."""
    flat = [name.removeprefix(f"{STRUCT}.") for name in matching(FLAT, columns.names)]
    kind = columns.field(STRUCT).type if STRUCT in columns.names else pa.null()
    fields = [field.name for field in kind] if pa.types.is_struct(kind) else []
    names = dict.fromkeys([*fields, *flat])
    return tuple(name for name in names if not name.endswith(NOT_TEXT))


def _aspect(raw: Raw, name: str) -> Column:
    """Return an aspect's ratings as found."""
    if raw.has(f"{STRUCT}.{name}"):
        return raw.column(f"{STRUCT}.{name}")
    return pc.struct_field(as_array(raw.column(STRUCT)), name)


LAYOUT = Layout(
    name="ratings_long",
    about="one rated response a row; any dataset, with --map where its columns have other names",
    kind="responses",
    sources=("ratings",),
    required={
        "prompt": PAIR_COLUMNS["prompt"],
        "response": "the answer: text or one assistant message",
    },
    optional={
        "rating": "its rating",
        STRUCT: "ratings of its aspects, a struct with a field for each, for --margin mean",
        FLAT: "rating of one aspect, where there is no struct",
        "model": "who wrote it",
        **PROMPT_PARTS,
    },
    convert=convert,
    aspects_in=aspects_in,
    aliases=ALIASES,
    one_of=(("rating",), (STRUCT,), (FLAT,)),
    scores=("rating", STRUCT, FLAT),
)
