"""Odd values in some rows of a JSON file: no other row shows it, wherever blocks begin and end."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margintool.canonical_stream import canonical_batches, wanted_of
from margintool.layouts import LAYOUTS
from margintool.numbers import to_numbers
from margintool.storage import open_input
from tests.layouts.conftest import EXAMPLES, Row, assistant, user

ODD = [
    None, True, 5, 2.5, 10**30, "", "N/A", "text", [], [None], [1], ["x"], [[]], {}, {"a": 1},
    [user("q")], [assistant("r")], [user("q"), user(["part"])], [{"role": "user"}, "x"],
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where in a record there is a value: the path of keys and positions to it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in inside:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


@st.composite
def records(draw: st.DrawFn, layout: str) -> list[Row]:
    """Rows of a layout; in some a value, at any depth, is replaced, or its key is missing."""
    rows = [copy.deepcopy(draw(st.sampled_from(EXAMPLES[layout]))) for _ in range(6)]
    for number in draw(st.sets(st.integers(0, 5), max_size=3)):
        *path, last = draw(st.sampled_from(list(places(rows[number]))))
        inside = rows[number]
        for key in path:
            inside = inside[key]
        names = LAYOUTS[layout].aliases.get(last, ()) if not path else ()
        if isinstance(inside, dict) and draw(st.booleans()) and (number or path):
            value = inside.pop(last)
            if names:
                inside[names[0]] = value
        else:
            inside[last] = draw(st.sampled_from(ODD))
    return rows


def canonical(path: Path, layout: str, block: int) -> list[Row]:
    """What counts of the canonical rows of a file that is read in blocks of so many bytes.

    Scores are compared as numbers. Of a row that cannot be used, the reason: in which words the
    odd value is shown depends on the type of its column ("true" as text, else True).
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("margintool.storage.raw_input.BATCH_BYTES", block)
        batches = open_input(path).batches(wanted_of(LAYOUTS[layout], {}))
        rows = []
        for batch in canonical_batches(LAYOUTS[layout], {}, batches):
            table = batch.table
            for name in {"score_a", "score_b", "rating"} & set(table.column_names):
                numbers, why = to_numbers(table.column(name))
                values = [w or n for n, w in zip(numbers, why.to_pylist(), strict=True)]
                table = table.drop_columns([name]).append_column(
                    f"{name}!", [list(map(str, values))]
                )
            rows += table.to_pylist()
    for row in rows:
        row.pop("row", None)  # counts from the start of a block
        row.pop("model", None)  # nothing reads it
        aspects = [(k, v) for k, v in row.get("aspects", {}).items() if v is not None]
        row["aspects"] = {k: str(to_numbers(pa.array([v]))[0][0]) for k, v in aspects}
    return [
        row if row["reason"] is None else {name: row[name] for name in ("reason", "origin")}
        for row in rows
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None
)
@given(data=st.data())
def test_blocks_do_not_matter(layout: str, data: st.DataObject, tmp_path: Path) -> None:
    rows = data.draw(records(layout))
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole = canonical(path, layout, 1 << 20)
    for block in (1, 400):
        assert canonical(path, layout, block) == whole
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    assert [{**row, "origin": ""} for row in canonical(path, layout, 400)] == [
        {**row, "origin": ""} for row in whole
    ]


def test_true_beside_a_number_is_the_same_label_in_any_block(tmp_path: Path) -> None:
    """JSON's true in a block of numbers becomes text; alone it stays a boolean."""
    row = {"history": "Why?", "human_ref_A": "a", "human_ref_B": "b", "score_A": 7, "score_B": 2}
    path = tmp_path / "rows.jsonl"
    labels = (True, 1, False, 0, "x")
    path.write_text("".join(json.dumps({**row, "labels": label}) + "\n" for label in labels))
    for block in (1, 400, 1 << 20):
        rows = canonical(path, "shp", block)
        assert [row.get("preferred") for row in rows] == [1, 1, -1, -1, None]
        assert [row["reason"] for row in rows] == [None] * 4 + ["bad_label"]
