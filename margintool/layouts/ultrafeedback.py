"""`ultrafeedback`: openbmb/UltraFeedback, one row an instruction with its completions nested.

Aspect ratings are strings from 1 to 5, and some are "N/A". `overall_score` runs from 1 to 10. In
the first release a critique score of 1 was stored as 10 in about 2,000 completions
(OpenBMB/UltraFeedback issue 8). The authors' own correction takes a 10 whose aspect mean is at
most 2 for such an error; here it is marked `score_conflict`, not corrected.
"""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import SCORE_CONFLICT
from margintool.layouts.base import Layout
from margintool.layouts.messages import is_list
from margintool.layouts.nested import read_items
from margintool.layouts.pair_rows import INPUT_COLUMN
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, as_array, rating_text, responses_table, sentence
from margintool.layouts.texts import read_answer, read_prompt
from margintool.numbers import Column, Floats, to_numbers

ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")
ALIASES = {"instruction": ("prompt",)}
HIGHEST, LOW_MEAN = 10.0, 2.0
ROWS = "__rows"  # a column that keeps the number of rows where structs have no fields


def convert(table: pa.Table) -> pa.Table:
    """UltraFeedback rows -> RESPONSES. A row without completions gives one unusable response."""
    raw, by_row = Raw(table, ALIASES), Problems(table.num_rows)
    prompt = read_prompt(raw, by_row, "instruction")
    found = read_items(raw, by_row, "completions", _has_structs, "a list of objects")
    problems = found.problems
    problems.mark(pc.is_null(found.item), "empty_response", "the completion is null")
    fields = Raw(_fields(found.item))
    answer = read_answer(fields, problems, "response")
    annotations = Raw(_fields(fields.column("annotations")))
    aspects = {name: _rating(annotations.column(name)) for name in ASPECTS}
    overall = fields.column("overall_score")
    _mark_conflicts(problems, overall, list(aspects.values()), fields.column("fine-grained_score"))
    columns = {
        "row": pa.array(found.row),
        "prompt": found.spread(prompt.text),
        "history": found.spread(prompt.history()),
        "response": answer,
        "model": rating_text(fields.column("model")),
        "rating": overall,
    }
    return responses_table(problems, columns, aspects)


def _fields(column: Column) -> pa.Table:
    """Return the fields of a struct column as columns. Raw gives nulls for those it lacks."""
    values = as_array(column)
    names = [f.name for f in values.type] if pa.types.is_struct(values.type) else []
    fields = {name: pc.struct_field(values, name) for name in names}
    return pa.table({**fields, ROWS: pa.nulls(len(values))})


def _rating(annotation: Column) -> Column:
    """Return the Rating of an aspect's annotation as text, or the annotation if it is a scalar."""
    if pa.types.is_struct(annotation.type):
        annotation = Raw(_fields(annotation)).column("Rating")
    return rating_text(annotation)


def _mark_conflicts(
    problems: Problems, overall: Column, aspects: list[Column], fine_grained: Column
) -> None:
    """Mark overall scores of 10 whose aspects (else the fine-grained score) have a mean <= 2."""
    numbers, _ = to_numbers(overall)
    top = np.flatnonzero(numbers == HIGHEST)
    place = pa.array(top)
    mean = _row_means([to_numbers(column.take(place))[0] for column in aspects])
    mean = np.where(np.isnan(mean), to_numbers(fine_grained.take(place))[0], mean)
    conflict = np.zeros(len(numbers), dtype=bool)
    conflict[top[mean <= LOW_MEAN]] = True

    def words(rows: pa.Array) -> pa.Array:
        means = pa.array(np.round(mean[np.searchsorted(top, rows.to_numpy())], 2))
        return sentence(
            "overall_score is 10, but the mean of the aspect ratings is ",
            means.cast(pa.string()),
            ": a critique score of 1 may have been stored as 10",
        )

    problems.mark(conflict, SCORE_CONFLICT, words)


def _row_means(columns: list[Floats]) -> Floats:
    """Return the mean of the numbers in each row, NaN where there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no numbers
        return np.asarray(np.nanmean(np.stack(columns), axis=0))


def _has_structs(kind: pa.DataType) -> bool:
    """Whether a type is a list of structs, or of nothing."""
    if not is_list(kind):
        return False
    return bool(pa.types.is_struct(kind.value_type) or pa.types.is_null(kind.value_type))


def _may_have_structs(kind: pa.DataType) -> bool:
    return _has_structs(kind) or bool(pa.types.is_null(kind))


LAYOUT = Layout(
    name="ultrafeedback",
    about="an instruction a row with nested, rated completions: openbmb/UltraFeedback",
    kind="responses",
    sources=("ratings",),
    required={
        "instruction": "the prompt",
        "completions": (
            "list of structs: response, model, overall_score (1 to 10), "
            "annotations.ASPECT.Rating (1 to 5, as text), fine-grained_score"
        ),
    },
    optional=INPUT_COLUMN,
    convert=convert,
    scale=(1.0, 10.0),
    aspect_scale=(1.0, 5.0),
    aspects=ASPECTS,
    aliases=ALIASES,
    group_by="row",
    types={"completions": ("a list of structs", _may_have_structs)},
)
