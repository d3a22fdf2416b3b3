"""Permuting pairs, splitting batches, other rows and more padding change no pair's values."""

from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpo_core.engine.batches import Batching, dataset_lengths
from mmpo_core.engine.rewards import side_rewards
from mmpo_core.engine.rows import Limits
from mmpo_core.logprobs import completion_logps
from tests.core.engine.test_architectures import SHARED, SIZES
from tests.core.small_models import PAD, IdCollator, id_pairs, small_policy, small_reward_model

POLICY, REWARD = small_policy(0).double().eval(), small_reward_model(0).double().eval()
VALUES = {
    "policy": lambda batch: completion_logps(POLICY, batch)[0],
    "reward": lambda batch: side_rewards(REWARD, batch),
}


def by_pair(kind: str, pairs: list[dict[str, Any]], batching: Batching) -> torch.Tensor:
    """(N, 2) values of pairs that went through a plan."""
    found = torch.empty(len(pairs), 2, dtype=torch.float64)
    with torch.no_grad():
        for group in batching.plan(dataset_lengths(pairs)):
            batch = batching.collate([pairs[int(i)] for i in group])
            found[torch.from_numpy(group)] = VALUES[kind](batch).view(2, -1).T
    return found


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 5),
    tokens=st.integers(1, 120),
    pairs=st.none() | st.integers(1, 4),
    shared=st.booleans(),
    multiple=st.sampled_from([1, 8]),
    long_rows=st.booleans(),
    data=st.data(),
)
@pytest.mark.parametrize("kind", VALUES)
def test_values_belong_to_pairs(kind, seed, tokens, pairs, shared, multiple, long_rows, data):
    examples = id_pairs(7, seed)
    order = data.draw(st.permutations(range(7)))
    limits = Limits(tokens, pairs, long_rows and shared, multiple)
    shuffled = by_pair(kind, [examples[i] for i in order], Batching(PAD, limits, shared))
    with torch.no_grad():
        alone = torch.stack([VALUES[kind](IdCollator()([pair])) for pair in examples])
    assert torch.allclose(shuffled, alone[order], rtol=1e-6, atol=1e-6)


REWARD_ARCHITECTURES = ["mistral, window", "llama", "qwen2", "qwen3", "gemma 2", "gemma 3", "phi-3"]


@pytest.mark.parametrize("name", REWARD_ARCHITECTURES)
def test_packed_rewards_equal_those_of_each_conversation_alone(name: str):
    config_name, settings_of = SHARED[name]
    torch.manual_seed(0)
    config = getattr(transformers, config_name)(**{**SIZES, **settings_of}, num_labels=1)
    model = transformers.AutoModelForSequenceClassification.from_config(config).float().eval()
    pairs = sorted(id_pairs(4, 1), key=lambda pair: -sum(map(len, pair.values())))
    with torch.no_grad():
        packed = side_rewards(model, Batching(PAD, Limits(54), shared=True).collate(pairs))
        alone = [
            model(input_ids=torch.tensor([pair["prompt_ids"] + pair[side]])).logits[0, 0]
            for side in ("chosen_ids", "rejected_ids")
            for pair in pairs
        ]
    assert torch.allclose(packed, torch.stack(alone), rtol=1e-5, atol=1e-5)
