"""Columns that a source adds to the pair file: by side, filtered with the rows, read by all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from margintool import read_pairs
from margintool.card.writing import write_card
from margintool.orient import orient
from margintool.report.inspecting import inspect_pairs
from margintool.sources import SOURCES, Scored, Settings
from mmpo_core.pair_file import read_table
from mmpo_core.schema import PAIR_SCHEMA
from tests.score.conftest import shp_row

Run = Callable[..., Any]
NEW = ["judges", "spread", "why_chosen", "why_rejected", "draws_chosen", "draws_rejected"]


def told(pairs: pa.Table, settings: Settings) -> Scored:
    """Source shp, which also says why: text and a list per answer; a struct and a number."""
    scored = SHP.score_pairs(pairs, settings)
    a, b = pairs["response_a"].to_pylist(), pairs["response_b"].to_pylist()
    extra = {
        "judges": pa.array([{"name": f"on {x}", "n": 2} for x in a]),
        "why_a": pa.array([f"why {x}" for x in a]),
        "why_b": pa.array([None if x.endswith("1") else f"why {x}" for x in b], pa.string()),
        "draws_a": pa.array([[1.0, float(len(x))] for x in a]),
        "draws_b": pa.array([[2.0] for _ in b]),
        "spread": pa.array([0.5] * len(a)),
    }
    return replace(scored, extra=pa.table(extra))


SHP = SOURCES["shp"]


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "shp", replace(SHP, score_pairs=told))


ROWS = [shp_row(9, 3, 0), shp_row(2, 8, 1), shp_row("none", 8, 2), shp_row(5, 4, 3)]


@pytest.mark.usefixtures("telling")
def test_columns_go_with_their_answers_and_rejected_rows_take_theirs(run: Run) -> None:
    """Row 1 is swapped (2 : 8), row 2 has no vote count and is rejected."""
    summary, pairs, rejects = run(ROWS)
    assert len(rejects) == 1
    assert pq.read_schema(summary.out).names == [*PAIR_SCHEMA.names, *NEW]
    assert [p["chosen"] for p in pairs] == ["Answer A0", "Answer B1", "Answer A3"]
    assert [p["why_chosen"] for p in pairs] == ["why Answer A0", None, "why Answer A3"]
    assert [p["why_rejected"] for p in pairs] == ["why Answer B0", "why Answer A1", "why Answer B3"]
    assert [p["draws_chosen"] for p in pairs] == [[1.0, 9.0], [2.0], [1.0, 9.0]]
    assert [p["draws_rejected"] for p in pairs] == [[2.0], [1.0, 9.0], [2.0]]
    assert [p["judges"]["name"] for p in pairs] == [f"on Answer A{i}" for i in (0, 1, 3)]
    assert [p["spread"] for p in pairs] == [0.5] * 3


def test_without_them_the_file_has_the_contracts_columns(run: Run) -> None:
    summary, _, _ = run(ROWS)
    assert pq.read_schema(summary.out).names == PAIR_SCHEMA.names


@pytest.mark.usefixtures("telling")
def test_they_survive_reading_in_every_form(run: Run) -> None:
    summary, pairs, _ = run(ROWS)
    assert read_table(summary.out).to_pylist() == pairs
    frame = read_pairs(summary.out)
    assert frame["why_rejected"].tolist() == [p["why_rejected"] for p in pairs]
    assert frame["judges"][1] == {"name": "on Answer A1", "n": 2}
    assert [list(draws) for draws in frame["draws_chosen"]] == [p["draws_chosen"] for p in pairs]
    assert read_pairs(summary.out, "datasets").to_list() == pairs
    conversational = read_pairs(summary.out, "arrow", conversational=True)
    assert conversational["why_chosen"].to_pylist() == [p["why_chosen"] for p in pairs]


@pytest.mark.usefixtures("telling")
def test_inspect_and_card_show_them_and_find_no_breach(run: Run, tmp_path: Path) -> None:
    summary, _, _ = run(ROWS)
    report = inspect_pairs(summary.out)
    assert report.breaches == []
    assert [c.name for c in report.columns if not c.in_contract] == NEW
    card = write_card(summary.out, tmp_path / "README.md")
    assert "3 pairs" in card


def test_a_name_with_one_side_only_is_kept_as_it_is() -> None:
    pairs = pa.table(
        {
            "prompt": ["p"],
            "history": pa.array([[]], PAIR_SCHEMA.field("history").type),
            "response_a": ["a"],
            "response_b": ["b"],
            "preferred": pa.array([None], pa.int8()),
            "origin": ["x:1"],
        }
    )
    nulls = pa.nulls(1, pa.string())
    gap, score_a, score_b, weight = (np.array([x]) for x in (-1.0, 2.0, 3.0, 1.0))
    extra = pa.table({"criteria_a": [1], "notes_b": [2], "x_b": [3], "x_a": [4]})
    scored = Scored(gap, score_a, score_b, weight, nulls, nulls, extra)
    (row,) = orient(pairs, scored).to_pylist()
    assert (row["criteria_a"], row["notes_b"]) == (1, 2)
    assert (row["x_chosen"], row["x_rejected"]) == (3, 4)
    assert "x_a" not in row
