"""completion_logps against a loop over tokens, and what it asks of the model."""

import pytest
import torch
from transformers import MistralForCausalLM

from mmpo_core.engine import chunked, scoring
from mmpo_core.engine.scoring import scorer_of
from mmpo_core.logprobs import completion_logps
from tests.core.small_models import IdCollator, id_pairs, small_config, small_policy


def by_loop(model, ids: list[int], start: int) -> float:
    """Sum of log pi(token t | tokens before t) over t >= start, one token at a time."""
    total = 0.0
    for t in range(start, len(ids)):
        logits = model(input_ids=torch.tensor([ids[:t]])).logits[0, -1].double()
        total += float(logits[ids[t]] - logits.logsumexp(0))
    return total


def test_sums_equal_a_loop_over_tokens_and_lengths_count_eos():
    """An off-by-one would score the prompt's last token or lose EOS."""
    pairs, model = id_pairs(5), small_policy(0).eval()
    with torch.no_grad():
        sums, lengths = completion_logps(model, IdCollator()(pairs))
        sides = ("chosen_ids", "rejected_ids")
        rows = [(pair["prompt_ids"], pair[side]) for side in sides for pair in pairs]
        expected = [by_loop(model, prompt + answer, len(prompt)) for prompt, answer in rows]
    assert sums.tolist() == pytest.approx(expected, rel=1e-5)
    assert lengths.tolist() == [len(answer) for _, answer in rows]


def test_padding_and_the_other_rows_change_nothing():
    pairs, model = id_pairs(6), small_policy(0).eval()
    with torch.no_grad():
        together, _ = completion_logps(model, IdCollator()(pairs))
        alone = [completion_logps(model, IdCollator()([pair]))[0] for pair in pairs]
    assert torch.allclose(together.view(2, -1).T, torch.stack(alone), rtol=1e-5)


def test_only_completion_tokens_get_logits(monkeypatch: pytest.MonkeyPatch):
    """The head sees the states that predict a completion token: no prompt, no padding."""
    model, asked = small_policy(0), []
    pairs = id_pairs(4)
    monkeypatch.setattr(
        scoring,
        "token_logps",
        lambda hidden, *rest: asked.append(len(hidden)) or chunked.token_logps(hidden, *rest),
    )
    completion_logps(model, IdCollator()(pairs))
    assert asked == [sum(len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs)]


def test_a_model_whose_head_is_out_of_reach_is_asked_for_few_columns():
    """Those that predict a completion token in some row, and no others."""

    class NoDecoder(MistralForCausalLM):
        def get_decoder(self):
            raise AttributeError("no decoder")

    torch.manual_seed(0)
    model, asked = NoDecoder(small_config()), []
    batch = IdCollator()(id_pairs(4))
    expected, _ = completion_logps(small_policy(0), batch)
    scorer_of(model)
    model.lm_head.register_forward_hook(lambda *call: asked.append(call[1][0].shape[1]))
    logps, _ = completion_logps(model, batch)
    shortest_prompt = int(batch["completion_mask"].int().argmax(dim=1).min())
    assert asked == [batch["input_ids"].shape[1] - shortest_prompt]
    assert torch.allclose(logps, expected, rtol=1e-6)


def test_model_without_logits_to_keep_gives_the_same():
    class Full(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, input_ids, attention_mask, use_cache):
            return self.inner(
                input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache
            )

    model, batch = small_policy(0), IdCollator()(id_pairs(4))
    kept, _ = completion_logps(model, batch)
    full, _ = completion_logps(Full(model), batch)
    assert torch.allclose(kept, full, rtol=1e-6)


def test_bfloat16_model_sums_in_float32():
    """One answer of 60 tokens: a bfloat16 sum near -250 would be a multiple of 1."""
    model = small_policy(0).bfloat16()
    pairs = [{"prompt_ids": [1, 5], "chosen_ids": [7] * 60, "rejected_ids": [9] * 60}]
    with torch.no_grad():
        sums, _ = completion_logps(model, IdCollator()(pairs))
        logits = model(input_ids=IdCollator()(pairs)["input_ids"]).logits
    assert sums.dtype == torch.float32
    logps = logits[0, 1:-1].float().log_softmax(-1)[torch.arange(60), 7]
    assert float(sums[0]) == pytest.approx(float(logps.sum()), rel=1e-5)
