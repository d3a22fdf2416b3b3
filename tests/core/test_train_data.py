"""Targets and the split by prompts."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.train_data import cautions, held_out_rows, load_tables, mean_one, target_gap
from mmpo_core.train_options import TrainOptions, checked_options
from mmpo_core.training_args import pairs_per_device
from tests.core.pair_tables import METADATA, pair_table


@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=60),
    st.floats(0.01, 0.6),
    st.integers(0, 2**32 - 1),
)
def test_no_prompt_is_on_both_sides(numbers: list[int], share: float, seed: int):
    prompts = pa.chunked_array([[f"prompt {n}" for n in numbers]])
    distinct = len(set(numbers))
    if max(1, round(share * distinct)) >= distinct:
        with pytest.raises(InputError, match="leaves none to train on"):
            held_out_rows(prompts, share, seed)
        return
    held = np.asarray(held_out_rows(prompts, share, seed))
    sides = [{n for n, out in zip(numbers, held, strict=True) if out == side} for side in (0, 1)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == max(1, round(share * distinct))


def test_split_depends_on_the_seed_alone():
    prompts = pa.chunked_array([[f"prompt {n}" for n in range(40)]])
    once, again, other = (held_out_rows(prompts, 0.2, seed) for seed in (1, 1, 2))
    assert once == again
    assert once != other


def test_a_split_seed_fixes_the_split_whatever_the_seed(tmp_path: Path):
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([0.5] * 40), path, METADATA)

    def held(**options: Any) -> list[str]:
        tables = load_tables(TrainOptions(pairs=path, model="tiny", eval_split=0.2, **options))
        assert tables.evaluation is not None
        return tables.evaluation["pair_id"].to_pylist()

    assert held(seed=1, split_seed=7) == held(seed=2, split_seed=7) == held(seed=7)
    assert held(seed=1) != held(seed=7)


@pytest.mark.parametrize(
    ("options", "trained", "measured"),
    [
        ({}, 0.5, 0.5),
        ({"gamma": 2.0}, 1.0, 1.0),
        ({"gamma": 2.0, "eval_gamma": "file"}, 1.0, 0.5),
        ({"eval_gamma": 3.0}, 0.5, 1.5),
        ({"gamma": 2.0, "eval_gamma": math.inf}, 1.0, math.inf),
        ({"gamma": 2.0, "eval_gamma": 1.0, "margin_column": "margin_raw"}, 2.0, 1.0),
    ],
)
def test_held_out_pairs_may_have_targets_of_their_own(
    options: dict[str, Any], trained: float, measured: float, tmp_path: Path
):
    """The file's margins are 0.5, its margin_raw 1 and its gamma 1."""
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([0.5] * 8), path, METADATA)
    tables = load_tables(TrainOptions(pairs=path, model="tiny", eval_split=0.25, **options))
    assert tables.evaluation is not None
    for table, gap in ((tables.train, trained), (tables.evaluation, measured)):
        assert table["p_chosen"].to_pylist() == pytest.approx(
            [1 / (1 + math.exp(-gap))] * len(table)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_gamma": -1.0}, "eval_gamma must be a number >= 0"),
        ({"eval_gamma": "soft"}, "eval_gamma"),
        ({"eval_gamma": 1.0, "eval_split": 0.0}, "eval_gamma: nothing is held out"),
        ({"eval_gamma": math.inf, "loss": "rpo"}, "eval_gamma inf makes infinite"),
        ({"eval_gamma": math.inf, "gamma": 1.0, "loss": "odpo"}, "Give a finite eval_gamma"),
        ({"split_seed": -1}, "split_seed must be a whole number"),
    ],
)
def test_how_to_evaluate_is_checked(options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        checked_options(TrainOptions(pairs=Path("p"), model="tiny", **options))


def test_limit_takes_the_first_pairs(tmp_path: Path):
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([1.0, 2.0, 3.0, 4.0]), path, METADATA)
    tables = load_tables(TrainOptions(pairs=path, model="tiny", limit=3, eval_split=0.0))
    assert tables.train["margin"].to_pylist() == [1.0, 2.0, 3.0]
    assert tables.evaluation is None
    assert tables.metadata == METADATA


def test_weights_keep_their_ratios_and_average_one():
    """1, 2, 3 over their mean 2."""
    assert mean_one([1, 2, 3]).tolist() == [0.5, 1.0, 1.5]


def test_a_batch_must_divide_over_the_devices():
    options = TrainOptions(pairs=Path("p"), model="m", batch_size=6)
    assert pairs_per_device(options, 3) == 2
    with pytest.raises(InputError, match="6 is not divisible by 4 devices"):
        pairs_per_device(options, 4)


def cautions_of(path: Path, **options: object) -> list[str]:
    chosen = TrainOptions(pairs=path, model="tiny", **options)
    return list(cautions(chosen, load_tables(chosen)))


def test_what_a_loss_ignores_is_said(tmp_path: Path):
    """One tie; dpo reads neither gamma nor the target, odpo has no soft labels."""
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([0.0, 1.0]), path, METADATA)
    assert cautions_of(path, eval_split=0.0) == []
    assert cautions_of(path, eval_split=0.0, loss="dpo", gamma=2.0) == [
        "loss dpo does not read margins: gamma sets the metrics' targets only",
        "loss dpo trains 1 ties as if their chosen answer were better",
    ]
    assert cautions_of(path, eval_split=0.0, loss="odpo", gamma=2.0) == [
        "loss odpo trains 1 ties as if their chosen answer were better"
    ]
    assert cautions_of(path, eval_split=0.0, loss="rpo") == []
    assert len(cautions_of(path, eval_split=0.0, objective="reward", loss="hard", gamma=1.0)) == 2


def test_reward_gaps_are_gamma_times_margin(tmp_path: Path):
    """Margins 0, 1, 30 and gamma 0.7; without gamma the file's own, 1, from its p_chosen."""
    table = pair_table([0.0, 1.0, 30.0])

    def gaps(**options: object) -> list[float]:
        chosen = TrainOptions(pairs=tmp_path, model="tiny", **options)
        return target_gap(table, chosen, chosen.gamma).tolist()

    assert gaps(gamma=0.7) == pytest.approx([0.0, 0.7, 21.0], rel=1e-15)
    assert gaps(gamma=0.7, margin_column="margin_raw") == pytest.approx([0.0, 1.4, 42.0])
    assert gaps() == pytest.approx([0.0, 1.0, 30.0], rel=1e-4)


def test_a_certain_target_has_no_gap(tmp_path: Path):
    """sigma(40) rounds to 1: without gamma nothing says how large the gap is."""
    table = pair_table([1.0, 40.0])
    options = TrainOptions(pairs=tmp_path, model="tiny", loss="odpo")
    with pytest.raises(InputError, match=r"loss odpo .* 1 pairs have p_chosen 1.*pair-1.*--gamma"):
        target_gap(table, options, None)


def test_prompts_on_both_sides_and_raw_margins_are_said(tmp_path: Path):
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([1.0]), path, METADATA)
    raw, shared = cautions_of(path, eval_pairs=path, margin_column="margin_raw", gamma=0.3)
    assert raw.startswith("gamma 0.3 multiplies margin_raw, in an unknown unit")
    assert shared.startswith("1 prompts of the evaluation pairs are trained on too")
