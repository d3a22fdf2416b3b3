"""Models with adapters: LoRA shares prompts, prompt learning is found and scored padded."""

import pytest
import torch

from mmpo_core.engine.batches import Batching
from mmpo_core.engine.check import why_padded
from mmpo_core.engine.rewards import reward_values
from mmpo_core.engine.rows import Limits
from mmpo_core.engine.scoring import completion_token_logps, scorer_of
from mmpo_core.logprobs import completion_logps
from tests.core.small_models import PAD, IdCollator, id_pairs, small_policy, small_reward_model

peft = pytest.importorskip("peft")

PAIRS = sorted(id_pairs(4, 1), key=lambda pair: -sum(map(len, pair.values())))
SHARED = Batching(PAD, Limits(tokens=54), shared=True)


def plain_logps(model: torch.nn.Module) -> torch.Tensor:
    """(2B,) log-probs by the model's own logits of each conversation alone."""
    sums = []
    for side in ("chosen_ids", "rejected_ids"):
        for pair in PAIRS:
            answer = torch.tensor(pair[side])
            ids = torch.cat([torch.tensor(pair["prompt_ids"]), answer])[None]
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
            logps = logits[-len(answer) - 1 : -1].log_softmax(-1)
            sums.append(logps.gather(1, answer[:, None]).sum())
    return torch.stack(sums)


@pytest.mark.parametrize("targets", [["q_proj"], ["q_proj", "lm_head"]])
def test_lora_shares_and_gets_the_gradients_of_full_logits(targets: list[str]):
    config = peft.LoraConfig(target_modules=targets, task_type="CAUSAL_LM", init_lora_weights=False)
    model = peft.get_peft_model(small_policy(0), config)
    assert scorer_of(model).why_not is None
    assert why_padded(model, PAIRS, SHARED, completion_token_logps) is None
    found = []
    for values in (completion_logps(model, SHARED.collate(PAIRS))[0], plain_logps(model)):
        model.zero_grad()
        (values * torch.linspace(-1, 1, len(values))).sum().backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        found.append((values.detach(), torch.cat([p.grad.flatten() for p in trained])))
    (ours, our_gradient), (theirs, their_gradient) = found
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert float((our_gradient - their_gradient).norm() / their_gradient.norm()) < 1e-5


def test_a_reward_model_with_lora_shares():
    config = peft.LoraConfig(target_modules=["q_proj"], task_type="SEQ_CLS")
    model = peft.get_peft_model(small_reward_model(0), config)
    assert why_padded(model, PAIRS, SHARED, reward_values) is None


@pytest.mark.parametrize("kind", ["PromptTuningConfig", "PrefixTuningConfig"])
def test_prompt_learning_is_scored_padded(kind: str):
    """Its virtual tokens are put in by the model's own forward, which the decoder alone lacks."""
    torch.manual_seed(0)
    config = getattr(peft, kind)(num_virtual_tokens=3, task_type="CAUSAL_LM")
    model = peft.get_peft_model(small_policy(0), config).eval()
    assert "other logits" in str(scorer_of(model).why_not)
    assert why_padded(model, PAIRS, SHARED, completion_token_logps) is not None
    with torch.no_grad():
        padded, _ = completion_logps(model, IdCollator()(PAIRS))
        assert torch.allclose(padded, plain_logps(model), rtol=1e-5, atol=1e-5)
