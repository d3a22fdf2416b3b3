"""Model names, loading, and reward models: pad token, last-token reward, fixed head."""

import json
import logging
import pickle

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM, MistralForSequenceClassification

from mmpo_core.collate import PairCollator
from mmpo_core.encode import encode_pairs
from mmpo_core.errors import InputError
from mmpo_core.models import (
    MODELS,
    load_policy,
    load_reward_model,
    load_tokenizer,
    model_table,
    resolve_model,
)
from mmpo_core.padding import ensure_pad_token
from mmpo_core.tiny import make_tiny_tokenizer
from tests.core.chat_tokenizers import STYLES, make_tokenizer, pair_table


def small_config(vocabulary, **more):
    return MistralConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=None,
        initializer_range=0.5,
        **more,
    )


@pytest.fixture(scope="module")
def zephyr_folder(tmp_path_factory):
    """A policy whose tokenizer has BOS and EOS but no pad token, as Mistral and Llama 2 have."""
    folder = tmp_path_factory.mktemp("zephyr")
    tokenizer = make_tokenizer(STYLES["zephyr"])
    torch.manual_seed(0)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    MistralForCausalLM(small_config(len(tokenizer), **ids)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_short_names_stand_for_hub_ids():
    assert resolve_model("mistral-7b") == "mistralai/Mistral-7B-v0.1"
    assert resolve_model("zephyr-7b-sft") == "alignment-handbook/zephyr-7b-sft-full"
    assert resolve_model("tiny") == "tiny"
    assert all(hub_id.count("/") == 1 for name, hub_id in MODELS.items() if name != "tiny")


def test_hub_ids_and_folders_pass_through(tmp_path):
    assert resolve_model("someone/some-model") == "someone/some-model"
    assert resolve_model(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mistral-7", "no such folder here; unknown model 'mistral-7'. Did you mean 'mistral-7b'"),
        ("./nothing/here", "no such folder"),
        ("out/model/last", "no such folder"),
        (__file__, "is a file; give the folder"),
    ],
)
def test_name_of_nothing_is_an_error_that_helps(name, says):
    with pytest.raises(InputError, match=says):
        resolve_model(name)


def test_table_says_what_to_do_first():
    rows = {row["name"]: row for row in model_table()}
    assert list(rows) == list(MODELS)
    assert "hf auth login" in rows["llama-3-8b"]["note"]
    assert "no download" in rows["tiny"]["note"]


def test_tiny_is_loaded_by_name_as_policy_and_as_reward_model():
    tokenizer = load_tokenizer("tiny")
    assert load_policy("tiny", dtype="bfloat16").dtype == torch.bfloat16
    model = load_reward_model("tiny", tokenizer, seed=3)
    assert model.config.num_labels == 1
    assert model.config.pad_token_id == tokenizer.pad_token_id == 0


def test_base_model_tokenizer_gets_the_default_template_and_it_is_saved(tmp_path, caplog):
    tokenizer = make_tokenizer(STYLES["zephyr"])
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mistral"}))
    loaded = load_tokenizer(str(tmp_path))
    assert "has no chat template: using margintool's default" in caplog.text
    loaded.save_pretrained(tmp_path / "out")
    (tmp_path / "out" / "config.json").write_text(json.dumps({"model_type": "mistral"}))
    caplog.clear()
    assert load_tokenizer(str(tmp_path / "out")).chat_template == loaded.chat_template
    assert caplog.text == ""


def test_policy_tokenizer_pads_with_eos_and_keeps_its_vocabulary(zephyr_folder):
    tokenizer = load_tokenizer(str(zephyr_folder))
    assert tokenizer.pad_token == tokenizer.eos_token
    assert tokenizer.padding_side == "right"
    assert len(tokenizer) == load_policy(str(zephyr_folder)).config.vocab_size


def test_reward_model_gets_a_pad_token_of_its_own(zephyr_folder):
    tokenizer = load_tokenizer(str(zephyr_folder))
    before = len(tokenizer)
    model = load_reward_model(str(zephyr_folder), tokenizer)
    assert tokenizer.pad_token_id not in (tokenizer.eos_token_id, tokenizer.bos_token_id)
    assert model.config.pad_token_id == tokenizer.pad_token_id == before
    assert model.get_input_embeddings().num_embeddings == before + 1


@pytest.mark.parametrize("reserved", ["<|finetune_right_pad_id|>", "<|reserved_special_token_0|>"])
def test_reserved_token_is_taken_for_padding_before_a_new_one(reserved):
    """Llama 3 keeps such tokens; taking one leaves the embeddings as they are."""
    tokenizer = make_tokenizer(STYLES["zephyr"])
    tokenizer.add_special_tokens({"additional_special_tokens": [reserved]})
    tokenizer.pad_token = tokenizer.eos_token
    before = len(tokenizer)
    ensure_pad_token(tokenizer)
    assert (tokenizer.pad_token, len(tokenizer)) == (reserved, before)


def test_real_pad_token_is_left_alone():
    tokenizer = make_tiny_tokenizer()
    ensure_pad_token(tokenizer)
    assert tokenizer.pad_token == "<pad>"


@pytest.mark.parametrize("model_name", ["tiny", "folder"])
def test_rewards_are_read_at_eos_whatever_the_padding(model_name, zephyr_folder):
    """Peers' pad = EOS made the reward of the first EOS: two answers got the same reward.

    Answers that begin alike and differ late, of different lengths, in a batch and alone.
    """
    name = "tiny" if model_name == "tiny" else str(zephyr_folder)
    tokenizer = load_tokenizer(name)
    model = load_reward_model(name, tokenizer).eval()
    history = [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B."}]
    rows = [
        {"chosen": "The answer is yes", "rejected": "The answer is no, because " * 4},
        {"chosen": "Yes " * 30, "rejected": f"No {tokenizer.pad_token}", "history": history},
    ]
    pairs = encode_pairs(pair_table(*rows), tokenizer)
    collate = PairCollator(tokenizer.pad_token_id)

    def rewards(batch):
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            return model(**inputs).logits

    together = rewards(collate([pairs[0], pairs[1]]))
    assert together.shape == (4, 1)
    assert len(set(together.flatten().tolist())) == 4
    for i in range(2):
        for side, row in (("chosen_ids", i), ("rejected_ids", 2 + i)):
            ids = torch.tensor([[*pairs[i]["prompt_ids"], *pairs[i][side]]])
            alone = rewards({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
            assert torch.allclose(alone[0], together[row], atol=1e-5)
    wider = rewards(PairCollator(tokenizer.pad_token_id, 128)([pairs[0], pairs[1]]))
    assert torch.allclose(wider, together, atol=1e-5)


def test_score_head_depends_on_its_seed_and_leaves_the_random_state(zephyr_folder):
    tokenizer = load_tokenizer(str(zephyr_folder))
    torch.manual_seed(1)
    first = load_reward_model(str(zephyr_folder), tokenizer).score.weight
    torch.manual_seed(2)
    expected = torch.rand(1, generator=torch.Generator().manual_seed(2))
    second = load_reward_model(str(zephyr_folder), tokenizer).score.weight
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, second)
    other = load_reward_model(str(zephyr_folder), tokenizer, seed=1).score.weight
    assert not torch.equal(first, other)


def test_trained_reward_model_is_loaded_with_its_own_head(zephyr_folder, tmp_path):
    tokenizer = load_tokenizer(str(zephyr_folder))
    model = load_reward_model(str(zephyr_folder), tokenizer, seed=5)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = load_reward_model(str(tmp_path), load_tokenizer(str(tmp_path)), seed=0)
    assert torch.equal(again.score.weight, model.score.weight)
    assert again.config.pad_token_id == model.config.pad_token_id
    with pytest.raises(InputError, match=r"has no lm_head\.weight"):
        load_policy(str(tmp_path))


def test_reward_model_with_other_labels_is_refused(zephyr_folder, tmp_path):
    tokenizer = load_tokenizer(str(zephyr_folder))
    config = small_config(len(tokenizer), num_labels=3)
    MistralForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="must have one label"):
        load_reward_model(str(tmp_path), tokenizer)


def test_loading_prints_nothing_off_a_terminal(zephyr_folder, capfd):
    load_reward_model(str(zephyr_folder), load_tokenizer(str(zephyr_folder)))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("transformers").level == logging.WARNING


def broken(folder, change):
    """Copy nothing: each change writes the few files that the case needs."""
    (folder / "config.json").write_text(json.dumps({"model_type": "mistral"}))
    change(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json there. A model folder is"),
        (
            lambda f: (f / "config.json").rename(f / "adapter_config.json"),
            "is an adapter of type None; only LoRA",
        ),
        (
            lambda f: (f / "pytorch_model.bin").write_bytes(pickle.dumps({})),
            "weights are pickle files",
        ),
        (lambda f: None, "no weights"),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"abc" * 99),
            "cannot be loaded: .*header",
        ),
        (
            lambda f: [
                (f / "model.safetensors").write_bytes(b""),
                (f / "config.json").write_text("{"),
            ],
            "not a valid JSON file",
        ),
        (
            lambda f: [
                (f / "model.safetensors").write_bytes(b""),
                (f / "config.json").write_text('{"model_type": "wonder"}'),
            ],
            "does not recognize this architecture",
        ),
        (
            lambda f: [
                (f / "model.safetensors").write_bytes(b""),
                (f / "config.json").write_text(
                    json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}})
                ),
            ],
            "If you trust that code, give --trust-remote-code",
        ),
    ],
)
def test_folder_that_is_no_model_is_one_clear_error(change, says, tmp_path):
    with pytest.raises(InputError, match=says) as caught:
        load_policy(broken(tmp_path, change))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickle_is_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    def plant(folder):
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))

    with pytest.raises(InputError, match="pickle"):
        load_policy(broken(tmp_path, plant))


def test_folder_without_a_fast_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no tokenizer.json"):
        load_tokenizer(broken(tmp_path, lambda f: None))


def test_unknown_dtype_and_attention_are_named(zephyr_folder):
    with pytest.raises(InputError, match=r"unknown dtype .float3.\. Did you mean .float32."):
        load_policy(str(zephyr_folder), dtype="float3")
    with pytest.raises(InputError, match="FlashAttention2"):
        load_policy(str(zephyr_folder), attn_implementation="flash_attention_2")


def test_cli_lists_names_and_prints_json(cli):
    result = cli("models", "--json")
    assert result.status == 0
    assert json.loads(result.out) == model_table()
    lines = cli("models").out.splitlines()
    assert lines[0].split() == ["name", "hub", "id", "note"]
    assert len(lines) == len(MODELS) + 1
