"""Targets stay with their pairs, and each side of a split has its own gamma."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mmpo_core.pair_file import write_pairs
from mmpo_core.train_data import load_tables
from mmpo_core.train_options import TrainOptions
from mmpo_core.train_setup import encode_tables
from tests.core.pair_tables import METADATA, pair_table


def test_targets_of_one_prompt_stay_apart_and_survive_a_dropped_pair(tmp_path: Path):
    """The paper's code kept targets by prompt, so that the pairs of a prompt shared one.

    Four pairs of one prompt with margins 0, 1, 2, 3; the second has the same answer twice and is
    dropped. By pair id, the others keep 1/2, sigma(2) and sigma(3).
    """
    table = pair_table([0.0, 1.0, 2.0, 3.0], prompts=["same"] * 4)
    rejected = table["rejected"].to_pylist()
    rejected[1] = table["chosen"][1].as_py()
    at = table.schema.get_field_index("rejected")
    table = table.set_column(at, table.schema.field(at), pa.array(rejected))
    path = tmp_path / "pairs.parquet"
    write_pairs(table, path, METADATA)
    options = TrainOptions(pairs=path, model="tiny", eval_split=0.0)
    _, pairs = encode_tables(options, load_tables(options))
    train = pairs["train"]
    targets = dict(zip(map(str, train.pair_id), train.columns["target"].tolist(), strict=True))
    expected = dict(zip(table["pair_id"].to_pylist(), table["p_chosen"].to_pylist(), strict=True))
    del expected["pair-1"]
    assert targets == expected


@pytest.mark.parametrize(
    ("gammas", "trained", "measured"),
    [
        ({"gamma": 2.0, "eval_gamma": 0.5}, 2.0, 0.5),
        ({"gamma": 2.0, "eval_gamma": "file"}, 2.0, 1.0),
        ({"eval_gamma": 0.5}, 1.0, 0.5),
        ({"gamma": 2.0}, 2.0, 2.0),
    ],
)
@pytest.mark.parametrize(("objective", "loss"), [("policy", "rpo"), ("reward", "offset")])
def test_held_out_gaps_are_of_the_gamma_of_held_out_pairs(
    objective: str,
    loss: str,
    gammas: dict[str, Any],
    trained: float,
    measured: float,
    tmp_path: Path,
):
    """All margins are 1.5, and the file's gamma is 1: gaps are 1.5 times each side's gamma."""
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([1.5] * 6), path, METADATA)
    options = TrainOptions(
        pairs=path, model="tiny", objective=objective, loss=loss, eval_split=0.3, **gammas
    )
    _, pairs = encode_tables(options, load_tables(options))
    for name, gamma in (("train", trained), ("eval", measured)):
        columns = pairs[name].columns
        assert columns["target_gap"].tolist() == pytest.approx([1.5 * gamma] * len(pairs[name]))
        expected = [1 / (1 + math.exp(-1.5 * gamma))] * len(pairs[name])
        assert columns["target"].tolist() == pytest.approx(expected)
