"""Planning of micro-batches: everything in it once, within the limits, and alike for any order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.engine.rows import Limits, deal, plan_padded, plan_shared, rows_of

LENGTHS = st.lists(st.integers(2, 60), min_size=1, max_size=40).map(np.array)


def test_short_pairs_fill_the_rows_of_long_ones():
    """Rows of 10: [10], [7 3], and 6 left, which opens a micro-batch of its own: rows of 6."""
    lengths = np.array([3, 7, 10, 6])
    groups = plan_shared(lengths, Limits(tokens=20))
    assert [group.tolist() for group in groups] == [[2, 1, 0], [3]]
    assert rows_of(lengths[groups[0]], Limits(tokens=20)) == [[0], [1, 2]]


def test_padded_pairs_take_two_rows_each():
    """Two rows of 5 are 10 tokens, so that 20 hold two pairs; two rows of 3 are 6: three pairs."""
    groups = plan_padded(np.array([3, 5, 2, 3, 4, 3]), Limits(tokens=20))
    assert [group.tolist() for group in groups] == [[1, 4], [0, 3, 5], [2]]


def test_one_long_row_for_attention_that_skips_blocks():
    lengths = np.array([9, 8, 3])
    limits = Limits(tokens=20, long_rows=True)
    assert [group.tolist() for group in plan_shared(lengths, limits)] == [[0, 1, 2]]
    assert rows_of(lengths, limits) == [[0, 1, 2]]


def test_a_pair_over_the_limit_gets_a_micro_batch_of_its_own():
    assert [g.tolist() for g in plan_shared(np.array([5, 50, 5]), Limits(tokens=20))] == [
        [1],
        [0, 2],
    ]


@given(
    lengths=LENGTHS,
    tokens=st.integers(1, 200),
    pairs=st.none() | st.integers(1, 5),
    multiple=st.sampled_from([1, 8]),
    long_rows=st.booleans(),
)
def test_plans_keep_their_limits(lengths, tokens, pairs, multiple, long_rows):
    limits = Limits(tokens, pairs, long_rows, multiple)
    groups = plan_shared(lengths, limits)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    for group in groups:
        assert pairs is None or len(group) <= pairs
        rows = rows_of(lengths[group], limits)
        assert sorted(pair for row in rows for pair in row) == list(range(len(group)))
        width = limits.width(int(lengths[group].max()))
        assert max(lengths[group][row].sum() for row in rows) <= width
        assert len(rows) == 1 or len(rows) * width <= tokens


@given(lengths=LENGTHS, tokens=st.integers(1, 200), data=st.data())
def test_the_plan_depends_on_lengths_and_not_on_their_order(lengths, tokens, data):
    shuffled = np.array(data.draw(st.permutations(lengths.tolist())))
    sizes = [
        [sorted(given[group].tolist()) for group in plan_shared(given, Limits(tokens))]
        for given in (lengths, shuffled)
    ]
    assert sizes[0] == sizes[1]


@given(lengths=LENGTHS, hands=st.integers(1, 5))
def test_deal_gives_every_pair_to_one_process_and_none_much_more_than_another(lengths, hands):
    """A process gets its last pair when it holds least, so it is ahead by that pair at most."""
    shares = deal(lengths, hands)
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(lengths)))
    held = [int(lengths[share].sum()) for share in shares]
    assert max(held) - min(held) <= lengths.max()


def test_a_whole_data_set_is_planned_quickly_and_with_little_padding():
    """Of 20,000 pairs of every length; a search through all of them for each would take minutes."""
    lengths, limits = np.arange(1, 20_001), Limits(tokens=100_000)
    groups = plan_shared(lengths, limits)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    rows = [len(rows_of(lengths[group], limits)) for group in groups]
    widths = [int(lengths[group].max()) for group in groups]
    assert np.dot(rows, widths) < 1.01 * lengths.sum()
