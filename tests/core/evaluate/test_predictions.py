"""Predictions: written, read back, taken apart, and refused."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmpo_core.errors import InputError
from mmpo_core.evaluate.predictions import COLUMNS, Predictions
from tests.core.evaluate.simulated import predictions


@pytest.mark.parametrize("gamma", [None, 0.7, math.inf])
def test_what_is_written_is_read(tmp_path, gamma):
    before = predictions(gamma=gamma, kind="reward", beta=None)
    before.write(tmp_path / "new" / "predictions.parquet")
    after = Predictions.read(tmp_path / "new" / "predictions.parquet")
    for name in COLUMNS:
        assert getattr(after, name).tolist() == getattr(before, name).tolist(), name
        assert getattr(after, name).dtype.kind == getattr(before, name).dtype.kind or name in (
            "pair_id",
            "source",
        )
    assert (after.model, after.kind, after.gamma, after.beta) == (
        "runs/tiny",
        "reward",
        gamma,
        None,
    )


def test_the_file_is_one_row_a_pair_with_plain_types(tmp_path):
    predictions(n=40).write(tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.num_rows == 40
    assert table.schema.field("h").type == pa.float64()
    assert table.schema.field("chosen_tokens").type == pa.int64()
    assert table.schema.field("tie").type == pa.bool_()
    assert table.schema.field("pair_id").type == pa.string()


def test_prompts_may_be_named_by_text(tmp_path):
    named = predictions(n=3, prompts=2, prompt_id=["a", "b", "a"])
    named.write(tmp_path / "p.parquet")
    assert Predictions.read(tmp_path / "p.parquet").prompt_id.tolist() == ["a", "b", "a"]


def test_take_repeats_rows_and_keeps_what_is_not_a_column():
    some = predictions().take([3, 3, 0])
    assert some.pair_id.tolist() == ["pair 3", "pair 3", "pair 0"]
    assert (some.model, some.gamma, len(some)) == ("runs/tiny", 1.0, 3)


def test_length_difference_is_chosen_less_rejected():
    assert predictions(n=3, prompts=3).length_difference.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("h", [0.0, math.nan, math.inf], r"h\[1\] is nan, not finite \(2 of 3 rows\)"),
        ("target", [0.5, 0.5, 1.5], r"target\[2\] is 1.5, expected a probability"),
        ("margin", [0.0, -1.0, 0.0], r"margin\[1\] is -1.0, expected a number >= 0"),
        ("h", [[0.0], [1.0], [2.0]], r"h must be a \(3,\) array like pair_id, got \(3, 1\)"),
    ],
)
def test_bad_columns_are_refused(column, values, message):
    with pytest.raises(InputError, match=message):
        predictions(n=3, prompts=3, **{column: values})


def test_unknown_kind_is_refused():
    with pytest.raises(InputError, match="kind must be 'policy' or 'reward', got 'judge'"):
        predictions(kind="judge")


def test_a_pair_file_is_no_predictions(tmp_path):
    pq.write_table(pa.table({"pair_id": ["a"]}), tmp_path / "pairs.parquet")
    with pytest.raises(InputError, match=r"pairs.parquet: no column 'prompt_id'"):
        Predictions.read(tmp_path / "pairs.parquet")
    pq.write_table(predictions().to_table().replace_schema_metadata(), tmp_path / "p.parquet")
    with pytest.raises(InputError, match="no metadata of predictions"):
        Predictions.read(tmp_path / "p.parquet")


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone.parquet: no such file. `margintool evaluate`"):
        Predictions.read(tmp_path / "gone.parquet")
    (tmp_path / "p.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"p.parquet: not a Parquet file"):
        Predictions.read(tmp_path / "p.parquet")


def test_rows_from_elsewhere_are_named_with_their_file(tmp_path):
    table = predictions(n=3, prompts=3).to_table()
    at = table.column_names.index("h")
    bad = table.set_column(at, "h", pa.array(np.array([0.0, np.nan, 0.0])))
    pq.write_table(bad, tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"p.parquet: h\[1\] is nan"):
        Predictions.read(tmp_path / "p.parquet")
