"""Selection: duplicates, ties, small margins, and the cap as a seeded sample."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from margintool.first_pass import FirstPass
from margintool.score_options import ScoreOptions
from margintool.select import KEPT, VERDICTS, rank_in_group, repeated, select

OPTIONS = ScoreOptions(source="shp", out="x.parquet")


def found(margins: list[float], prompts: list[int] | None = None) -> FirstPass:
    n = len(margins)
    return FirstPass(
        rows_read=n,
        margin_raw=np.array(margins),
        flipped=np.zeros(n, bool),
        prompt=np.array(prompts or range(n), dtype=np.uint64),
        pair=np.stack([np.arange(n), np.arange(n) * 977], axis=1).astype(np.uint64),
        further=pa.schema([]),
    )


def names(verdicts: np.ndarray) -> list[str]:
    return [VERDICTS[code] for code in verdicts]


def test_later_duplicates_are_dropped_and_the_first_kept() -> None:
    first = found([1.0, 1.0, 1.0])
    first.pair[2] = first.pair[0]
    assert names(select(first, OPTIONS, 0)) == ["kept", "kept", "duplicate_pair"]


def test_digests_that_share_one_half_are_not_duplicates() -> None:
    pair = np.array([[1, 2], [1, 3], [4, 2]], dtype=np.uint64)
    assert not repeated(pair).any()


def test_ties_and_small_margins() -> None:
    options = replace(OPTIONS, ties="drop", min_margin=0.5)
    expected = ["tie_dropped", "below_min_margin", "kept"]
    assert names(select(found([0.0, 0.4, 0.5]), options, 0)) == expected
    assert names(select(found([0.0, 0.4, 0.5]), OPTIONS, 0)) == ["kept"] * 3


def test_cap_is_a_seeded_sample_not_the_first_rows() -> None:
    """20 pairs of one prompt, 5 kept: over 40 seeds every pair is kept at some time."""
    ever = np.zeros(20, bool)
    for seed in range(40):
        verdicts = select(found([1.0] * 20, [9] * 20), replace(OPTIONS, seed=seed), 5)
        assert (verdicts == KEPT).sum() == 5
        ever |= verdicts == KEPT
    assert ever.all()


def test_cap_counts_only_pairs_that_nothing_else_dropped() -> None:
    first = found([0.0, 1.0, 2.0, 3.0], [5, 5, 5, 5])
    options = replace(OPTIONS, ties="drop")
    verdicts = names(select(first, options, 3))
    assert verdicts == ["tie_dropped", "kept", "kept", "kept"]


def test_rank_in_group_by_hand() -> None:
    group = np.array([2, 1, 2, 2], dtype=np.uint64)
    draw = np.array([30, 99, 10, 20], dtype=np.uint64)
    assert rank_in_group(group, draw).tolist() == [2, 0, 0, 1]
