"""Rows of JSON whose values are of different kinds come as tables of one kind each."""

import json
from typing import Any

import pytest

from margintool.storage import Wanted, open_input
from margintool.storage.json_kinds import Pieces
from tests.storage.conftest import only


def _pieces(records: list[dict[str, Any]], wanted: Wanted | None = None) -> list[Any]:
    """(rows, their places) of each piece."""
    made = Pieces("f.jsonl", wanted).of_records(records)
    return [
        (table.to_pylist(), None if places is None else places.tolist()) for table, places in made
    ]


def test_lists_objects_and_scalars_are_apart_and_keep_their_places() -> None:
    values: list[Any] = ["x", [1], {"k": 1}, 5, [2], None]
    assert _pieces([{"v": value} for value in values]) == [
        (
            [
                {"v": "x", "v__not_text": False},
                {"v": "5", "v__not_text": True},
                {"v": None, "v__not_text": False},
            ],
            [0, 3, 5],
        ),
        ([{"v": [1]}, {"v": [2]}], [1, 4]),
        ([{"v": {"k": 1}}], [2]),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [([], [{"a": 1}]), (None, [1]), ([None], ["x"]), ({}, {"a": [1]}), ({"a": None}, {"a": "x"})],
)
def test_null_and_what_is_missing_fit_any_kind(one: Any, other: Any) -> None:
    assert len(_pieces([{"v": one}, {"v": other}, {}])) == 1


def test_kinds_are_told_apart_at_any_depth() -> None:
    values = [[{"a": "x"}], [{"a": ["x"]}], [{"a": "x"}, {"a": ["x"]}], [{"b": 1}]]
    assert [places for _, places in _pieces([{"v": v} for v in values])] == [[0, 3], [1], [2]]


def test_kinds_of_columns_that_nobody_wants_do_not_matter() -> None:
    records = [{"v": 1, "u": [1]}, {"v": 2, "u": "x"}]
    assert _pieces(records, only("v")) == [([{"v": 1}, {"v": 2}], None)]


def test_rows_are_apart_by_the_name_that_they_have_for_a_column() -> None:
    """A key with null is there; a row with neither name goes anywhere."""
    wanted = Wanted((("a", "b"),), (), check=lambda _: None)
    records: list[dict[str, Any]] = [{"a": 1}, {"b": 2}, {"a": None, "b": 3}, {}]
    assert _pieces(records, wanted) == [
        ([{"a": 1, "b": None}, {"a": None, "b": 3}, {"a": None, "b": None}], [0, 2, 3]),
        ([{"b": 2}], [1]),
    ]


@pytest.mark.parametrize("name", ["f.jsonl", "f.json"])
def test_batches_of_one_stretch_say_so(name: str, write) -> None:
    records: list[dict[str, Any]] = [{"v": "x"}, {"v": [1]}, {"v": "y"}]
    content = records if name == "f.jsonl" else json.dumps(records)
    found = open_input(write(name, content))
    batches = [(b.rows.tolist(), b.more) for b in found.batches()]
    assert batches == [([1, 3], True), ([2], False)]
    batches = [(b.rows.tolist(), b.more) for b in found.batches(limit=1)]
    assert batches == [([1], True), ([], False)]
    assert found.schema_sample().to_pylist() == [
        {"v": "x"},
        {"v": "y"},
    ]  # the more frequent kind
