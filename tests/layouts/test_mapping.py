"""--map: parsing, moving columns, dotted paths, and what is read from the file."""

import pyarrow as pa
import pytest

from margintool.layouts import LAYOUTS, apply_map, parse_map, wanted_columns
from margintool.storage import Wanted
from mmpo_core.errors import InputError

SCORES = pa.table(
    {
        "input": ["p"],
        "output": ["r"],
        "scores": [{"help": {"value": 4}, "depth": "3"}],
        "dotted.name": [7],
    }
)


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        (None, {}),
        ("", {}),
        ("prompt=input", {"prompt": "input"}),
        (" prompt = my input , rating=a.b ", {"prompt": "my input", "rating": "a.b"}),
        ("chosen-rating=x", {"chosen-rating": "x"}),
        ("annotator3=x", {"annotator3": "x"}),
        ("instruction=a=b", {"instruction": "a=b"}),
    ],
)
def test_parses(text, mapping):
    assert parse_map(text) == mapping


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt", "'prompt' is not NAME=COLUMN"),
        ("prompt=", "not NAME=COLUMN"),
        ("=x", "not NAME=COLUMN"),
        ("prompt=x,", "'' is not NAME=COLUMN"),
        (",", "not NAME=COLUMN"),
        ("prompt=a,prompt=b", "prompt stands twice, as a and as b"),
        ("promt=a", "no layout has a column 'promt'. Did you mean 'prompt'?"),
    ],
)
def test_malformed_maps_are_named(text, message):
    with pytest.raises(InputError) as error:
        parse_map(text)
    assert message in str(error.value)


def test_moves_columns_and_goes_into_structs():
    mapping = {"prompt": "input", "response": "output", "rating": "scores.help.value"}
    table = apply_map(SCORES, mapping)
    assert table.to_pylist() == [
        {
            "scores": {"help": {"value": 4}, "depth": "3"},
            "dotted.name": 7,
            "prompt": "p",
            "response": "r",
            "rating": 4,
        }
    ]


def test_a_column_whose_name_has_a_dot_is_found_first():
    assert apply_map(SCORES, {"rating": "dotted.name"}).column("rating").to_pylist() == [7]
    both = pa.table({"a": [{"b": 1}], "a.b": [2]})
    assert apply_map(both, {"rating": "a.b"}).column("rating").to_pylist() == [2]


def test_names_can_be_swapped_and_one_column_used_twice():
    table = pa.table({"response_a": ["x"], "response_b": ["y"]})
    swapped = apply_map(table, {"response_a": "response_b", "response_b": "response_a"})
    assert swapped.to_pylist() == [{"response_a": "y", "response_b": "x"}]
    twice = apply_map(table, {"prompt": "response_a", "response": "response_a"})
    assert twice.to_pylist() == [{"response_b": "y", "prompt": "x", "response": "x"}]


def test_companions_move_along():
    table = pa.table({"input": ["true"], "input__not_text": [True]})
    mapped = apply_map(table, {"prompt": "input"})
    assert mapped.to_pylist() == [{"prompt": "true", "prompt__not_text": True}]
    inside = pa.table({"s": [{"input": "true", "input__not_text": True}]})
    assert apply_map(inside, {"prompt": "s.input"}).column("prompt__not_text").to_pylist() == [True]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("inputs", "there is no column 'inputs'. Did you mean 'input'?"),
        ("scores.halp", "no field 'halp'. Did you mean 'help'? Fields: help, depth"),
        ("scores.help.valu", "no field 'valu'. Did you mean 'value'?"),
        ("input.text", "no field 'text'. Fields: none: it is string"),
    ],
)
def test_unknown_columns_are_named(path, message):
    with pytest.raises(InputError) as error:
        apply_map(SCORES, {"prompt": path})
    assert message in str(error.value)


def test_a_later_batch_may_lack_a_column_or_field():
    for path in ("scores.gone.deep", "gone"):
        table = apply_map(SCORES, {"rating": path}, strict=False)
        assert table.column_names == SCORES.column_names


def test_a_column_that_is_mapped_over_is_not_read_where_the_new_one_is_missing():
    table = pa.table({"prompt": ["not this"], "prompt__not_text": [True], "x": [1]})
    mapped = apply_map(table, {"prompt": "input"}, strict=False)
    assert mapped.column_names == ["x"]


def wanted_among(layout, mapping, available):
    return Wanted(*wanted_columns(LAYOUTS[layout], mapping), lambda _: None).among(available)


def test_reads_only_what_is_needed():
    available = ["id", "input", "input__not_text", "output", "model", "big", "scores", "score"]
    mapping = {"prompt": "input", "rating": "scores.help"}
    wanted = wanted_among("ratings_long", mapping, available)
    assert wanted == ["input", "input__not_text", "output", "model", "scores"]
    shp = ["post_id", "history", "human_ref_A", "human_ref_B", "score_A", "score_B", "score_ratio"]
    assert wanted_among("shp", {}, shp) == shp[1:-1]


def test_a_mapped_column_hides_its_other_names():
    """The user's instruction=text must not lose against a `prompt` column of the file."""
    available = ["prompt", "text", "response", "rating"]
    wanted = wanted_among("ratings_long", {"instruction": "text"}, available)
    assert wanted == ["text", "response", "rating"]


def test_reads_annotators_by_their_pattern():
    available = [
        "instruction",
        "input",
        "response1",
        "response2",
        "annotator1",
        "annotator_2",
        "idx",
    ]
    assert wanted_among("votes_pair", {}, available) == available[:-1]
