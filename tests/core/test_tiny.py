"""`tiny`: the same bits every time, any text through its tokenizer, saved and loaded, trainable."""

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from mmpo_core.collate import PairCollator
from mmpo_core.encode import encode_pairs
from mmpo_core.tiny import CONTEXT, make_tiny_policy, make_tiny_reward_model, make_tiny_tokenizer
from tests.core.chat_tokenizers import pair_table

TOKENIZER = make_tiny_tokenizer()


def digest(model):
    sha = hashlib.sha256()
    for name, weight in model.state_dict().items():
        sha.update(name.encode() + weight.numpy().tobytes())
    return sha.hexdigest()


@given(st.text())
def test_any_text_comes_back_and_each_byte_is_a_token(text):
    for special in TOKENIZER.all_special_tokens:
        text = text.replace(special, "")
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(ids) == text
    assert len(ids) == len(text.encode())


@pytest.mark.parametrize("make", [make_tiny_policy, make_tiny_reward_model])
def test_weights_depend_on_the_seed_alone(make):
    torch.manual_seed(1)
    first = digest(make())
    torch.manual_seed(2)
    assert digest(make()) == first
    assert digest(make(seed=1)) != first


@pytest.mark.parametrize("make", [make_tiny_policy, make_tiny_reward_model])
def test_global_random_state_is_left_alone(make):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make()
    assert torch.equal(torch.rand(3), expected)


def test_sizes_are_as_documented():
    """Embeddings and head 2 * 262 * 256; a layer: q, o 2 * 256^2, k, v 2 * 256 * 128,
    MLP 3 * 256 * 704, norms 2 * 256; a last norm 256. Together 134,144 + 4 * 737,792 + 256.
    """
    config = make_tiny_policy().config
    assert sum(p.numel() for p in make_tiny_policy().parameters()) == 3_085_568
    assert config.model_type == "mistral"
    assert config.sliding_window is None
    assert config.max_position_embeddings == CONTEXT == TOKENIZER.model_max_length == 2048
    assert config.num_key_value_heads < config.num_attention_heads
    assert len(TOKENIZER) == config.vocab_size


def test_saved_model_and_tokenizer_are_loaded_by_the_auto_classes(tmp_path):
    model = make_tiny_policy()
    model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert digest(loaded) == digest(model)
    table = pair_table({"chosen": "Três 🦜 </s><eos>"})
    again, pairs = encode_pairs(table, tokenizer), encode_pairs(table, TOKENIZER)
    assert again.digests().tolist() == pairs.digests().tolist()
    assert loaded.generation_config.eos_token_id == tokenizer.eos_token_id


def test_policy_learns_a_completion_in_a_few_steps():
    """Cross-entropy of one completion falls from about ln 262 = 5.6 to below 1 in 25 steps."""
    pairs = encode_pairs(pair_table({}), TOKENIZER)
    batch = PairCollator(TOKENIZER.pad_token_id)([pairs[0]])
    labels = batch["input_ids"].masked_fill(~batch["completion_mask"], -100)[:1]
    inputs = {"input_ids": batch["input_ids"][:1], "labels": labels}
    model = make_tiny_policy()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(25):
        loss = model(**inputs).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert 5 < losses[0] < 6.5
    assert losses[-1] < 1
