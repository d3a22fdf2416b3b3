"""Which architectures share prompts: packed log-probs equal padded ones, or the check says no."""

from typing import Any

import pytest
import torch
import transformers

from mmpo_core.engine.batches import Batching
from mmpo_core.engine.check import why_padded
from mmpo_core.engine.rows import Limits
from mmpo_core.engine.scoring import completion_token_logps, scorer_of, through
from mmpo_core.logprobs import completion_logps
from tests.core.small_models import IdCollator, id_pairs

SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FEW = {"vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "pad_token_id": 0}
# rows are up to 27 tokens long and conversations 17: windows of 6 are shorter than both
WINDOW = {"head_dim": 8, "sliding_window": 6}

# name -> configuration, its own settings; all share prompts
SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "mistral": ("MistralConfig", {"sliding_window": None}),
    "mistral, window": ("MistralConfig", {"sliding_window": 6}),
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen2, window": (
        "Qwen2Config",
        {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3Config", {"head_dim": 8}),
    "gemma": ("GemmaConfig", {"head_dim": 8}),
    "gemma 2": ("Gemma2Config", {**WINDOW, "query_pre_attn_scalar": 8}),
    "gemma 3": ("Gemma3TextConfig", {**WINDOW, "query_pre_attn_scalar": 8}),
    "phi-3": ("Phi3Config", {}),
    "gpt-neox": ("GPTNeoXConfig", {}),
    # 18 positions: rows are longer, conversations are not
    "opt": ("OPTConfig", {"ffn_dim": 32, "word_embed_proj_dim": 16, "max_position_embeddings": 18}),
    "cohere": ("CohereConfig", {"logit_scale": 0.3}),
    "granite": ("GraniteConfig", {"logits_scaling": 4.0}),
    "phi (head with bias)": ("PhiConfig", {}),
}
# recurrent, hybrid, positions from the mask
PADDED: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("MambaConfig", {**FEW, "state_size": 4}),
    "bloom": ("BloomConfig", {**FEW, "n_head": 2}),
    "mpt": ("MptConfig", {"vocab_size": 61, "d_model": 16, "n_layers": 2, "n_heads": 2}),
    "qwen3-next": (
        "Qwen3NextConfig",
        {
            "head_dim": 8,
            "num_experts": 2,
            "num_experts_per_tok": 1,
            "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 16,
            "linear_num_value_heads": 2,
            "linear_num_key_heads": 1,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
}
PAIRS = sorted(id_pairs(4, 1), key=lambda pair: -sum(map(len, pair.values())))


def make(config_name: str, settings: dict[str, Any], **more: Any) -> Any:
    sizes = FEW if set(FEW) <= set(settings) or "d_model" in settings else SIZES
    if config_name == "GPTNeoXConfig":
        sizes = {name: value for name, value in SIZES.items() if name != "num_key_value_heads"}
    if config_name == "OPTConfig":
        drop = {"num_key_value_heads", "intermediate_size", "initializer_range"}
        sizes = {name: v for name, v in SIZES.items() if name not in drop} | {"init_std": 0.5}
    torch.manual_seed(0)
    config = getattr(transformers, config_name)(**{**sizes, **settings})
    return transformers.AutoModelForCausalLM.from_config(config, **more).float()


def plain_logps(model: Any) -> torch.Tensor:
    """(2B,) log-probs by the model's own logits of each conversation alone, in no batch."""
    sums = []
    for side in ("chosen_ids", "rejected_ids"):
        for pair in PAIRS:
            ids, start = pair["prompt_ids"] + pair[side], len(pair["prompt_ids"])
            logps = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
            sums.append(sum(logps[t - 1, ids[t]] for t in range(start, len(ids))))
    return torch.stack(sums)


@pytest.mark.parametrize("name", SHARED)
def test_packed_log_probs_equal_those_of_each_conversation_alone(name: str):
    model = make(*SHARED[name]).eval()
    with torch.no_grad():
        expected = plain_logps(model)
        packed, _ = completion_logps(model, Batching(0, Limits(54), shared=True).collate(PAIRS))
        padded, _ = completion_logps(model, IdCollator()(PAIRS))
    assert scorer_of(model).why_not is None
    assert torch.allclose(packed, expected, rtol=1e-5, atol=1e-5)
    assert torch.allclose(padded, expected, rtol=1e-5, atol=1e-5)
    assert why_padded(model, PAIRS, Batching(0, Limits(4096)), completion_token_logps) is None


@pytest.mark.parametrize("name", ["mistral", "gemma 3"])
def test_eager_attention_shares_too(name: str):
    """It adds its mask to the scores: a bool mask would be added as 0 and 1."""
    model = make(*SHARED[name], attn_implementation="eager").eval()
    assert why_padded(model, PAIRS, Batching(0, Limits(4096)), completion_token_logps) is None


@pytest.mark.parametrize("name", PADDED)
def test_models_that_cannot_share_are_found_and_score_padded_rows(name: str):
    model = make(*PADDED[name]).eval()
    reason = why_padded(model, PAIRS, Batching(0, Limits(4096)), completion_token_logps)
    assert reason is not None
    with torch.no_grad():
        padded, _ = completion_logps(model, IdCollator()(PAIRS))
        assert torch.allclose(padded, plain_logps(model), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["mistral", "gemma 2", "gpt-neox"])
def test_gradients_of_packed_rows_equal_those_of_padded_ones(name: str):
    """Also with gradient checkpointing, and where the head is tied to the embeddings (gemma)."""
    gradients = []
    for shared, checkpointing in ((False, False), (True, False), (True, True)):
        model = make(*SHARED[name])
        if checkpointing:
            name_of_it = "activation_checkpointing_enable"  # renamed within transformers 5
            getattr(model, name_of_it, model.gradient_checkpointing_enable)()
        model.train()
        batch = Batching(0, Limits(54), shared).collate(PAIRS)
        sums, _ = completion_logps(model, batch)
        (sums * torch.linspace(-1, 1, len(sums))).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    for other in gradients[1:]:
        assert float((other - gradients[0]).norm() / gradients[0].norm()) < 1e-5


def test_a_head_that_is_not_what_it_seems_is_not_used():
    """The check of a model's head compares logits: here the forward pass doubles them."""

    class Doubling(transformers.LlamaForCausalLM):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            output.logits = 2 * output.logits
            return output

    torch.manual_seed(0)
    model = Doubling(transformers.LlamaConfig(**SIZES)).eval()
    assert "other logits" in str(scorer_of(model).why_not)
    with torch.no_grad():
        for batch in (IdCollator()(PAIRS), Batching(0, Limits(54), shared=True).collate(PAIRS)):
            assert torch.allclose(completion_logps(model, batch)[0], plain_logps(model), rtol=1e-5)


def test_the_call_goes_through_the_model_and_leaves_its_forward_alone():
    """Hooks of wrappers (DDP, FSDP) are on the model's call."""
    model, seen = make(*SHARED["llama"]), []
    scorer_of(model)
    model.register_forward_hook(lambda module, inputs, output: seen.append(output))
    batch = Batching(0, Limits(54), shared=True).collate(PAIRS)
    values = through(model, completion_token_logps, batch)
    assert len(seen) == 1
    assert seen[0] is values
    assert "forward" not in vars(model)
    assert model(input_ids=batch["input_ids"]).logits.shape[-1] == 61
