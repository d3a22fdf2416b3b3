"""The check that decides whether prompts are shared, and what is said about it."""

import logging
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    MambaConfig,
    MambaForCausalLM,
    MistralForCausalLM,
    MistralForSequenceClassification,
)

from mmpo_core.encoded_pairs import EncodedPairs, EncodeReport, Ragged
from mmpo_core.engine import check
from mmpo_core.engine.batches import Batching
from mmpo_core.engine.check import choose_batching
from mmpo_core.engine.rewards import reward_values
from mmpo_core.engine.rows import Limits
from mmpo_core.engine.scoring import completion_token_logps, scorer_of
from mmpo_core.errors import InputError
from tests.core.small_models import PAD, id_pairs, small_config, small_policy, small_reward_model

BATCHING = Batching(PAD, Limits(tokens=64))


def encoded(examples: list[dict[str, list[int]]]) -> EncodedPairs:
    parts = [
        Ragged.of([np.array(example[name], np.int32) for example in examples])
        for name in ("prompt_ids", "chosen_ids", "rejected_ids")
    ]
    count = len(examples)
    names = [str(i) for i in range(count)]
    return EncodedPairs(*parts, np.arange(count), names, EncodeReport(count, count, 0, 0, 0, 0))


SPLITS = {"train": encoded(id_pairs(9)), "eval": encoded(id_pairs(3, seed=1))}


def recurrent() -> Any:
    torch.manual_seed(0)
    config = MambaConfig(
        vocab_size=61, hidden_size=16, num_hidden_layers=1, state_size=4, pad_token_id=PAD
    )
    return MambaForCausalLM(config)


def test_a_model_that_keeps_to_masks_shares():
    for packing in ("auto", "shared"):
        choice = choose_batching(small_policy(0), SPLITS, BATCHING, packing)
        assert (choice.batching.shared, choice.why_padded) == (True, None)
        assert choice.batching.limits == BATCHING.limits


def test_padded_is_not_tried(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check, "why_padded", lambda *_: pytest.fail("it was tried"))
    choice = choose_batching(small_policy(0), SPLITS, BATCHING, "padded")
    assert (choice.batching.shared, choice.why_padded) == (False, None)


def test_auto_says_why_it_pads_and_shared_is_an_error(caplog: pytest.LogCaptureFixture):
    model = recurrent().train()
    with caplog.at_level(logging.WARNING):
        choice = choose_batching(model, SPLITS, BATCHING, "auto")
    assert not choice.batching.shared
    assert choice.why_padded is not None
    assert choice.why_padded in caplog.text
    assert model.training
    with pytest.raises(InputError, match=r"packing shared: .* Use --packing padded"):
        choose_batching(model, SPLITS, BATCHING, "shared")


def longest_with_short_answers() -> dict[str, list[int]]:
    return {"prompt_ids": [1], "chosen_ids": [4] * 8, "rejected_ids": [5] * 8}


@pytest.mark.parametrize("others", [[], [longest_with_short_answers()]])
def test_a_limit_that_shows_with_the_longest_conversation_alone_is_found(others: list[Any]):
    """Positions end at 9, whatever is given: only 3 + 9 tokens go further, not 1 + 8 and 1 + 8."""

    class Short(MistralForCausalLM):
        def forward(self, input_ids, attention_mask, position_ids=None, **kwargs):
            clipped = None if position_ids is None else position_ids.clamp(max=9)
            return super().forward(input_ids, attention_mask, clipped, **kwargs)

        def get_decoder(self):
            raise AttributeError("none")

    torch.manual_seed(0)
    model = Short(small_config())
    short = {
        "train": encoded(
            [{"prompt_ids": [1, 3], "chosen_ids": [4, 5, 2], "rejected_ids": [6, 2]}] * 20
        )
    }
    assert choose_batching(model, short, BATCHING, "auto").why_padded is None
    long = {"prompt_ids": [1, 7, 9], "chosen_ids": [5] * 9, "rejected_ids": [6, 8]}
    splits = short | {"eval": encoded([long, *others])}
    assert "differ by" in str(choose_batching(model, splits, BATCHING, "auto").why_padded)


def test_a_head_that_cannot_be_reached_is_said(caplog: pytest.LogCaptureFixture):
    class NoDecoder(MistralForCausalLM):
        def get_decoder(self):
            raise AttributeError("no decoder here")

    with caplog.at_level(logging.WARNING):
        choice = choose_batching(NoDecoder(small_config()), SPLITS, BATCHING, "auto")
    assert "no decoder here" in caplog.text
    assert choice.batching.shared


def test_rewards_are_checked_by_themselves():
    """A classifier that does more to its rewards than its score head is read as it is."""

    class Shifted(MistralForSequenceClassification):
        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            output.logits = output.logits + 1
            return output

    model = small_reward_model(0)
    assert choose_batching(model, SPLITS, BATCHING, "auto", reward_values).batching.shared
    shifted = Shifted(small_config(num_labels=1))
    reason = choose_batching(shifted, SPLITS, BATCHING, "auto", reward_values).why_padded
    assert "differ by 1 a token" in str(reason)


def test_what_is_allowed_follows_the_coarsest_weights():
    """Rounding of bfloat16 layers is no sign of a wrong mask, with a head in float32 or without."""
    model = small_policy(0).bfloat16()
    assert choose_batching(model, SPLITS, BATCHING, "auto").why_padded is None
    model.model.norm.float()
    assert check._coarsest(model) == torch.bfloat16
    assert check._coarsest(small_policy(0)) == torch.float32


def test_a_lack_of_memory_is_no_reason_to_pad():
    """Padded rows hold more: the run would end there, and the reason given would be wrong."""

    def starved(*_: Any) -> torch.Tensor:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        choose_batching(small_policy(0), SPLITS, BATCHING, "auto", starved)


def test_flash_attention_pads_and_says_why():
    """The kernels are not here: they would be asked for by the padded rows alone."""
    model = small_policy(0)
    scorer_of(model)
    model.config._attn_implementation = "flash_attention_2"
    reason = choose_batching(model, SPLITS, BATCHING, "auto").why_padded
    assert "takes no block mask" in str(reason)


def test_two_of_the_tried_pairs_lie_in_one_row():
    """However few tokens a micro-batch may hold: pairs that see each other show only so."""
    rows = []

    def recorded(model: Any, forward: Any, batch: Any) -> torch.Tensor:
        if "segments" in batch:
            rows.extend(batch["segments"].tolist())
        return completion_token_logps(model, forward, batch)

    tight = Batching(PAD, Limits(tokens=1, pairs=1))
    assert choose_batching(small_policy(0), SPLITS, tight, "auto", recorded).batching.shared
    assert {0, 3} <= {segment for row in rows for segment in row}
