"""What every layout must keep to. A new layout without example rows fails here by itself."""

import json

import pyarrow as pa
import pytest

from margintool.canonical import PAIR_TYPES, PAIRS, RESPONSES, SCORE_REASONS
from margintool.layouts import LAYOUTS, Layout, detect, require
from margintool.layouts.listing import describe
from mmpo_core.errors import InputError
from mmpo_core.schema import HISTORY

ALL = pytest.mark.parametrize("name", LAYOUTS)


def without_row(table: pa.Table) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "row"} for row in table.to_pylist()]


@ALL
def test_has_examples_and_texts(name, examples):
    layout = LAYOUTS[name]
    assert layout.name == name
    assert name in examples
    assert len(layout.about) > 20
    assert all(layout.required.values())
    assert all(layout.optional.values())
    assert set(layout.aliases) <= {*layout.required, *layout.optional}
    choices = {column for group in layout.one_of for column in group}
    assert choices <= set(layout.optional)
    assert set(layout.scores) <= {*layout.required, *choices}
    assert json.loads(json.dumps(describe(layout, lambda _: [])))["name"] == name


@ALL
def test_sources_are_known_and_fit_the_kind(name):
    layout = LAYOUTS[name]
    assert set(layout.sources) <= {"shp", "ratings"}
    if layout.kind == "responses":
        assert layout.sources in [("ratings",), ()]
    if not layout.sources:
        assert not layout.scores
        assert not layout.one_of
    assert layout.kind == "pairs" or not layout.both_orders
    for bounds in (layout.scale, layout.aspect_scale):
        assert bounds is None or bounds[0] < bounds[1]
    assert (layout.aspect_scale is None) == (not layout.aspects)


@ALL
def test_columns_and_types_are_canonical(name, examples):
    layout, raw = LAYOUTS[name], examples[name]
    table = layout.convert(raw)
    assert table.column_names == list(PAIRS if layout.kind == "pairs" else RESPONSES)
    for column in ("prompt", "reason", "detail"):
        assert table.schema.field(column).type == pa.string()
    assert table.schema.field("history").type == HISTORY
    assert table.column("history").null_count == 0
    if layout.kind == "pairs":
        wanted = {n: t for n, t in PAIR_TYPES.items() if t is not None}
        assert {n: table.schema.field(n).type for n in wanted} == wanted
        assert table.num_rows == raw.num_rows
    else:
        assert [f.name for f in table.schema.field("aspects").type] == list(
            layout.aspects_of(raw.schema)
        )
        assert set(table.column("row").to_pylist()) == set(range(raw.num_rows))


@ALL
def test_batches_do_not_matter(name, examples):
    """f(concat(parts)) == concat(f(parts)), at every cut, but for the row numbers."""
    layout, raw = LAYOUTS[name], examples[name]
    whole = without_row(layout.convert(raw))
    for cut in range(raw.num_rows + 1):
        parts = [layout.convert(raw.slice(0, cut)), layout.convert(raw.slice(cut))]
        assert without_row(parts[0]) + without_row(parts[1]) == whole
    chunked = pa.concat_tables([raw.slice(0, 1), raw.slice(1)])
    assert without_row(layout.convert(chunked)) == whole


@ALL
def test_types_may_differ_from_batch_to_batch(name, examples):
    """Each row converted alone, with the types its own values have, gives what the whole gives."""
    layout, raw = LAYOUTS[name], examples[name]
    whole = without_row(layout.convert(raw))
    alone = [r for row in raw.to_pylist() for r in without_row(convert_row(layout, row))]
    assert alone == whole


def convert_row(layout: Layout, row: dict) -> pa.Table:
    return layout.convert(pa.Table.from_pylist([row]))


@ALL
@pytest.mark.parametrize("how", ["large", "view", "dictionary"])
def test_other_string_types_read_alike(name, how, examples):
    layout, raw = LAYOUTS[name], examples[name]
    assert without_row(layout.convert(recoded(raw, how))) == without_row(layout.convert(raw))


def recoded(table: pa.Table, how: str) -> pa.Table:
    kinds = {"large": pa.large_string(), "view": pa.string_view()}
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(i)
            other = column.dictionary_encode() if how == "dictionary" else column.cast(kinds[how])
            table = table.set_column(i, field.name, other)
    return table


@ALL
def test_empty_batches_and_all_null_columns(name, examples):
    layout, raw = LAYOUTS[name], examples[name]
    assert layout.convert(raw.slice(0, 0)).num_rows == 0
    nothing = pa.table({column: pa.nulls(2) for column in raw.column_names})
    table = layout.convert(nothing)
    assert table.num_rows == 2
    assert table.column("reason").to_pylist() == ["empty_prompt"] * 2


@ALL
def test_reason_and_detail_come_together(name, examples):
    table = LAYOUTS[name].convert(examples[name])
    pairs = list(zip(*(table.column(c).to_pylist() for c in ("reason", "detail")), strict=True))
    assert any(reason for reason, _ in pairs)
    assert any(reason is None for reason, _ in pairs)
    assert all((reason is None) == (detail is None) for reason, detail in pairs)


@ALL
def test_is_detected_from_its_own_columns(name, examples):
    for source in LAYOUTS[name].sources:
        assert detect(examples[name].schema, source).name == name


@ALL
def test_a_source_that_needs_no_scores_reads_it_with_and_without_them(name, examples):
    """Without them there is another layout for the same columns where only scores tell it."""
    layout, columns = LAYOUTS[name], examples[name].schema
    assert detect(columns, "any", needs_scores=False).name == name
    texts = pa.schema([field for field in columns if field.name not in layout.scores])
    assert detect(texts, "any", needs_scores=False).name == name
    require(layout, texts, scores=False)
    assert layout.without_scores().required.items() <= layout.required.items()
    if layout.scores:
        with pytest.raises(InputError, match=f"layout {name} misses "):
            require(layout, texts)


@ALL
def test_texts_are_read_alike_without_scores(name, examples):
    """What is left after the reasons that are about scores is the texts' alone."""
    layout, raw = LAYOUTS[name], examples[name]
    texts = raw.select([column for column in raw.column_names if column not in layout.scores])
    answers = ["response_a", "response_b"] if layout.kind == "pairs" else ["response"]
    read = ["prompt", "history", *answers]
    with_scores, without = layout.convert(raw), layout.convert(texts)
    assert with_scores.select(read) == without.select(read)
    assert of_texts(with_scores) == of_texts(without)


def of_texts(table: pa.Table) -> list[str | None]:
    return [None if r in SCORE_REASONS else r for r in table.column("reason").to_pylist()]


BAD_SCORES = {
    "shp": ("human_ref_A", {"labels": 7}),
    "votes_pair": ("response1", {"annotator1": 7}),
    "helpsteer3": ("response1", {"overall_preference": None}),
}


@pytest.mark.parametrize("name", BAD_SCORES)
def test_a_row_with_a_bad_text_and_a_bad_score_is_rejected_for_its_text(name, examples):
    """Else a source that reads no scores would take the row for usable."""
    answer, scores = BAD_SCORES[name]
    row = examples[name].to_pylist()[0]
    only_score = convert_row(LAYOUTS[name], {**row, **scores}).column("reason").to_pylist()
    assert set(only_score) <= set(SCORE_REASONS)
    both = convert_row(LAYOUTS[name], {**row, **scores, answer: ""}).column("reason").to_pylist()
    assert both == ["empty_response"]
