"""Cutting of long texts and making of batches: pure arithmetic."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from margintool.similarity.chunks import Room, batches, cut


def starts(text: str) -> np.ndarray:
    """A `|` for each token that begins a word, a `-` for each that goes on with one."""
    return np.array([sign == "|" for sign in text])


def test_chunks_end_before_words() -> None:
    """Room 4: the fifth token goes on with the word of the fourth, so the cut is before that."""
    assert cut(7, Room(4, 4), starts("|||" + "|-" + "||")) == [(0, 3), (3, 7)]


def test_a_word_as_long_as_half_a_chunk_is_cut() -> None:
    assert cut(8, Room(4, 4), starts("||------")) == [(0, 4), (4, 8)]
    # One that begins just in the second half is not.
    assert cut(7, Room(4, 4), starts("|||----")) == [(0, 2), (2, 6), (6, 7)]


def test_later_chunks_have_their_own_room() -> None:
    assert cut(10, Room(4, 3), starts("|" * 10)) == [(0, 4), (4, 7), (7, 10)]


def test_what_fits_is_one_chunk() -> None:
    assert cut(4, Room(4, 1), starts("||||")) == [(0, 4)]
    assert cut(0, Room(4, 1), starts("")) == [(0, 0)]


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_chunks_are_whole_and_fit(words: list[bool], first: int, later: int) -> None:
    chunks = cut(len(words), Room(first, later), np.array(words, bool))
    assert chunks[0][0] == 0
    assert chunks[-1][1] == len(words)
    assert [end for _, end in chunks[:-1]] == [start for start, _ in chunks[1:]]
    sizes = [end - start for start, end in chunks]
    assert sizes[0] <= first
    assert all(0 < size <= later for size in sizes[1:])


def test_batches_are_by_padded_tokens() -> None:
    """Budget 10: 7 alone; 4 and 3 padded to 8; 2, 2, 2, 1, 1 padded to 10."""
    sizes = [2, 7, 1, 4, 2, 3, 2, 1]
    made = [[sizes[row] for row in rows] for rows in batches(sizes, 10)]
    assert made == [[7], [4, 3], [2, 2, 2, 1, 1]]


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 60))
def test_batches_hold_each_once_and_keep_to_the_budget(sizes: list[int], budget: int) -> None:
    made = [rows.tolist() for rows in batches(sizes, budget)]
    assert sorted(row for rows in made for row in rows) == list(range(len(sizes)))
    for rows in made:
        padded = len(rows) * max(sizes[row] for row in rows)
        assert padded <= budget or len(rows) == 1
