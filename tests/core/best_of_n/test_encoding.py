"""Candidates as pairs of the engine: each once, and the same whatever stands beside it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpo_core.best_of_n.encoding import EncodedCandidates, encode_candidates
from mmpo_core.best_of_n.expected import TOGETHER, expected_rewards, numbers_up_to
from mmpo_core.encode import encode_pairs
from mmpo_core.errors import InputError
from mmpo_core.tiny import make_tiny_tokenizer
from tests.core.pair_tables import pair_table

TOKENIZER = make_tiny_tokenizer()
TEXTS = st.text("ab \n", max_size=30)


def encode(*candidates: Sequence[str], **limits: Any) -> EncodedCandidates:
    prompts = [({"role": "user", "content": f"question {n}"},) for n in range(len(candidates))]
    return encode_candidates(prompts, candidates, TOKENIZER, **{"max_length": 96, **limits})


def ids_of(encoded: EncodedCandidates, prompt: int) -> list[tuple[list[int], list[int]]]:
    """Prompt and completion of each candidate of a prompt."""
    pairs = encoded.pairs
    return [
        (pairs.prompt[pair].tolist(), (pairs.rejected if side else pairs.chosen)[pair].tolist())
        for pair, side in encoded.place[prompt].tolist()
    ]


def test_ids_are_those_of_pairs() -> None:
    table = pair_table([1.0, 0.5])
    row = table.slice(1, 1).to_pylist()[0]
    pairs = encode_pairs(table, TOKENIZER, max_length=96)
    turns = (*row["history"], {"role": "user", "content": row["prompt"]})
    sides = [[row["chosen"], row["rejected"]]]
    encoded = encode_candidates([turns], sides, TOKENIZER, max_length=96)
    wanted = pairs.prompt[1].tolist()
    assert ids_of(encoded, 0) == [
        (wanted, pairs.chosen[1].tolist()),
        (wanted, pairs.rejected[1].tolist()),
    ]


@settings(max_examples=40)
@given(st.lists(TEXTS, min_size=1, max_size=7), st.sampled_from([32, 96]))
def test_a_candidate_does_not_depend_on_the_others(texts: list[str], length: int) -> None:
    """Also where it is cut. Equal ones are there once; beside an odd one stands EOS."""
    encoded = encode(texts, max_length=length)
    assert ids_of(encoded, 0) == [ids_of(encode([one], max_length=length), 0)[0] for one in texts]
    assert all(len(prompt) + len(answer) <= length for prompt, answer in ids_of(encoded, 0))
    different = {tuple(map(tuple, one)) for one in ids_of(encoded, 0)}
    used = {tuple(place) for place in encoded.place[0].tolist()}
    assert len(used) == len(different)
    pairs = encoded.pairs
    beside = [pairs.rejected[pair].tolist() for pair in range(len(pairs)) if (pair, 1) not in used]
    assert all(one == [TOKENIZER.eos_token_id] for one in beside)
    prompts = {prompt for prompt, _ in different}
    assert len(beside) <= len(prompts)
    assert 2 * len(pairs) == len(different) + len(beside)


def test_rewards_find_their_candidates() -> None:
    """Three different candidates and two: pairs (a, b), (c, EOS), (d, e)."""
    encoded = encode(["a", "b", "a", "c"], ["d", "e"])
    assert len(encoded.pairs) == 3
    first, second = encoded.rewards(np.array([1.0, 3.0, 4.0]), np.array([2.0, -1.0, 5.0]))
    assert first.tolist() == [1.0, 2.0, 1.0, 3.0]
    assert second.tolist() == [4.0, 5.0]


def test_more_candidates_leave_the_pairs_as_they_were() -> None:
    """So that rewards of earlier ones come from the cache."""
    few, more = encode(["a", "b"], ["c", "d"]), encode(["a", "b", "x", "y"], ["c", "d", "z"])
    kept = {one.tobytes() for one in few.pairs.digests()}
    assert kept < {one.tobytes() for one in more.pairs.digests()}


def test_over_the_limit_is_an_error_if_it_may_not_be_cut() -> None:
    with pytest.raises(InputError, match="prompt 1: with a candidate it is"):
        encode(["a"], ["b" * 200], overlong="error")
    encoded = encode(["a"], ["b" * 200, "c"])
    assert encoded.pairs.report.completions_cut == 1


def test_the_ways_of_picking() -> None:
    """Two prompts of 3 and 2 candidates: n goes up to 2. By hand, prompt 1 of the first reward:
    pairs (0, 1), (0, 2), (1, 2) have maxima 1, 2, 2, mean 5 / 3; prompt 2: 7.
    """
    rewards = {
        "a": [np.array([0.0, 1.0, 2.0]), np.array([7.0, 5.0])],
        "b": [np.array([9.0, 6.0, 3.0]), np.array([1.0, 2.0])],
    }
    together = [np.array([0.6, 0.5, 0.4]), np.array([0.4, 0.6])]
    found = {
        (row["picked_by"], row["reward"]): [one["value"] for one in row["by_n"]]
        for row in expected_rewards(rewards, together, resamples=0)
    }
    assert found["a", "a"] == pytest.approx([(1 + 6) / 2, (5 / 3 + 7) / 2])
    # picked by a, worth by b: 6, 3, 3 of the pairs, mean 4; and 1
    assert found["a", "b"] == pytest.approx([(6 + 1.5) / 2, (4 + 1) / 2])
    # together ranks as b does: of a 0, 0, 1 and 5
    assert found[TOGETHER, "a"] == pytest.approx([(1 + 6) / 2, (1 / 3 + 5) / 2])
    assert len(found) == 6
    with pytest.raises(InputError, match="cannot have the label"):
        expected_rewards({TOGETHER: rewards["a"]})


@pytest.mark.parametrize(
    ("most", "ns"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (16, [1, 2, 4, 8, 16])]
)
def test_powers_of_two_and_the_last(most: int, ns: list[int]) -> None:
    assert numbers_up_to(most) == ns
