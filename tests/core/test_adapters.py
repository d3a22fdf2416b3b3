"""Adapters on a model: no change at first, the base when off, what they refuse."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from mmpo_core import adapter_options, adapters
from mmpo_core.adapter_options import AdapterOptions, check_adapter_options
from mmpo_core.adapters import (
    adapter_record,
    quantization,
    quantization_config,
    with_adapter,
)
from mmpo_core.errors import InputError
from mmpo_core.logprobs import completion_logps
from mmpo_core.models import load_policy, load_reward_model, load_tokenizer
from mmpo_core.reference import reference_logps
from mmpo_core.reference_model import reference_key
from tests.core.small_models import IdCollator, id_pairs, small_policy, small_reward_model

BATCH = IdCollator()(id_pairs(4))


def options(**more: Any) -> AdapterOptions:
    return AdapterOptions(**({"lora_rank": 2} | more))


def adapted(model: Any, **more: Any) -> Any:
    reward = more.pop("reward", False)
    return with_adapter(model, options(**more), base="tiny", seed=3, reward=reward)


def changed(model: Any) -> Any:
    """Give every trained weight a new value, as training does."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return model


@pytest.mark.parametrize("dora", [False, True])
def test_new_adapters_change_nothing_and_alone_are_trained(dora: bool):
    plain = completion_logps(small_policy(1), BATCH)[0]
    model = adapted(small_policy(1), dora=dora)
    # DoRA divides by the norm that it multiplies with: the last digits differ
    torch.testing.assert_close(completion_logps(model, BATCH)[0], plain, rtol=1e-5, atol=1e-5)
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    assert not any("lm_head" in name or "embed" in name for name in trained)
    assert not completion_logps(changed(model), BATCH)[0].allclose(plain, atol=0.1)


@pytest.mark.parametrize("dora", [False, True])
def test_trained_adapters_leave_the_reference_and_its_key_as_they_were(dora: bool):
    """Bit for bit: the base's own layers compute where the adapters are off."""
    plain = small_policy(1)
    expected, _ = reference_logps(plain, BATCH)
    model = changed(adapted(small_policy(1), dora=dora))
    assert reference_logps(model, BATCH)[0].equal(expected)
    keys = [reference_key(one, device="cpu", bf16=False)[0] for one in (plain, model)]
    assert keys[0] == keys[1]
    assert not completion_logps(model, BATCH)[0].allclose(expected, atol=0.1)  # on again


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_gives_the_same_gradients(reentrant: bool):
    """A reentrant checkpoint has gradients only if its input asks for them."""

    def gradients(checkpointing: bool) -> list[torch.Tensor]:
        model = changed(adapted(small_policy(1))).train()
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        completion_logps(model, BATCH)[0].sum().backward()
        return [weight.grad for weight in model.parameters() if weight.requires_grad]

    for one, other in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_first_weights_come_from_the_seed_alone():
    def first(seed: int) -> list[torch.Tensor]:
        model = with_adapter(small_policy(1), options(), base="tiny", seed=seed)
        return [weight for weight in model.parameters() if weight.requires_grad]

    before = torch.random.get_rng_state()
    same, again, other = first(1), first(1), first(2)
    assert torch.random.get_rng_state().equal(before)
    assert all(a.equal(b) for a, b in zip(same, again, strict=True))
    assert not all(a.equal(b) for a, b in zip(same, other, strict=True))


def test_a_reward_models_head_is_trained_too_and_in_float32():
    model = adapted(small_reward_model(1).to(torch.bfloat16), reward=True)
    trained = {n: w for n, w in model.named_parameters() if w.requires_grad}
    heads = [name for name in trained if "lora_" not in name]
    assert heads == ["base_model.model.score.modules_to_save.default.weight"]
    assert {weight.dtype for weight in trained.values()} == {torch.float32}
    out = model(input_ids=BATCH["input_ids"], attention_mask=BATCH["attention_mask"]).logits
    out.sum().backward()
    assert trained[heads[0]].grad.abs().sum() > 0


def test_record_says_what_is_trained():
    """Rank 2 on q_proj, 16 -> 16: 2 * 16 + 2 * 16 = 64 weights in each of 2 layers."""
    asked = options(lora_targets=("q_proj",))
    model = with_adapter(small_policy(1), asked, base="tiny", seed=3)
    record = adapter_record(model, asked)
    assert record is not None
    assert record["trainable_parameters"] == 128
    assert record["parameters"] == 128 + small_policy(1).num_parameters()
    assert (record["base"], record["rank"], record["alpha"]) == ("tiny", 2, 4)
    assert record["targets"] == ["q_proj"]
    assert adapter_record(small_policy(1), AdapterOptions()) is None


def test_an_adapter_pins_the_commit_of_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The branch that was trained on may move; a base that is not on the hub has no commit."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository, commit = tmp_path / "models--owner--kept", "0123456789" * 4
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "snapshots" / commit / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "v1").write_text(commit)
    hub = with_adapter(small_policy(1), options(), base="owner/kept", seed=3, revision="v1")
    assert hub.peft_config["default"].revision == commit
    assert adapted(small_policy(1)).peft_config["default"].revision is None


def test_targets_that_are_no_layers_are_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"no layer 'q_prj'. Its linear layers: down_proj, .*lm_h"):
        adapted(small_policy(1), lora_targets=("q_prj", "q_proj"))
    with pytest.raises(InputError, match=r"lora_targets: .*not found"):
        adapted(small_policy(1), lora_targets=("q_prj",))


def test_an_adapter_on_one_of_two_tied_weights_is_refused():
    model = small_policy(1)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    with pytest.raises(InputError, match="tied"):
        adapted(model, lora_targets=("lm_head",))


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch):
    for module in (adapter_options, adapters):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"peft.*pip install 'margintool\[lora\]'"):
        check_adapter_options(options())
    with pytest.raises(InputError, match=r"bitsandbytes.*pip install 'margintool\[qlora\]'"):
        quantization(options(quantize="4bit"), "gemma-2b", on_cpu=False, bf16=True)


def test_quantizing_needs_weights_to_read_and_on_a_cpu_a_late_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(adapters, "find_spec", lambda name: name)
    asked = options(quantize="4bit")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.45.5")
    with pytest.raises(InputError, match=r"on a CPU: bitsandbytes>=0\.50 is required"):
        quantization(asked, "gemma-2b", on_cpu=True, bf16=True)
    monkeypatch.undo()
    monkeypatch.setattr(adapters, "find_spec", lambda name: name)
    with pytest.raises(InputError, match="tiny is made here"):
        quantization(asked, "tiny", on_cpu=False, bf16=True)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="margintool merge"):
        quantization(asked, str(tmp_path), on_cpu=False, bf16=True)
    assert quantization(options(), "tiny", on_cpu=True, bf16=True) is None


@pytest.mark.parametrize(("bf16", "computes"), [(True, "bfloat16"), (False, "float32")])
def test_quantized_weights_are_nf4_with_double_quantization(bf16: bool, computes: str):
    config = quantization_config(bf16=bf16).to_dict()
    assert config["load_in_4bit"]
    assert config["bnb_4bit_quant_type"] == "nf4"
    assert config["bnb_4bit_use_double_quant"]
    assert config["bnb_4bit_compute_dtype"] == computes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dora": True}, "dora is for adapters"),
        ({"quantize": "4bit"}, "quantize is for adapters.*--lora-rank"),
        ({"lora_targets": ("q_proj",)}, "lora_targets is for adapters"),
        ({"lora_rank": -1}, "lora_rank must be a whole number >= 0"),
        ({"lora_rank": 2, "lora_alpha": 0}, "lora_alpha must be a whole number >= 1"),
        ({"lora_rank": 2, "lora_dropout": 1.0}, "lora_dropout must be a share"),
    ],
)
def test_options_out_of_range_or_without_effect_are_refused(given: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        check_adapter_options(AdapterOptions(**given))


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def on_base(folder: Path, **more: Any) -> Any:
    """An adapter with new weights on the model of a folder."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    return changed(with_adapter(model, options(**more), base=str(folder), seed=3))


@pytest.mark.parametrize("dora", [False, True])
def test_an_adapter_folder_loads_as_base_and_adapter_in_one(dora: bool, tmp_path: Path):
    base = save(small_policy(1), tmp_path / "base")
    model = on_base(base, dora=dora)
    folder = save(model, tmp_path / "adapter")
    assert not (folder / "model.safetensors").exists()
    loaded = load_policy(str(folder))
    assert type(loaded) is type(small_policy(1))
    expected, found = (completion_logps(one, BATCH)[0] for one in (model, loaded))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    # its key is its own: as a reference it is another model than its base
    keys = {
        reference_key(one, device="cpu", bf16=False)[0] for one in (loaded, load_policy(str(base)))
    }
    assert len(keys) == 2


def test_an_adapter_on_an_adapter_loads_as_the_sum_of_all(tmp_path: Path):
    first = save(on_base(save(small_policy(1), tmp_path / "base")), tmp_path / "first")
    second = changed(with_adapter(load_policy(str(first)), options(), base=str(first), seed=4))
    expected = completion_logps(second, BATCH)[0]
    loaded = load_policy(str(save(second, tmp_path / "second")))
    torch.testing.assert_close(completion_logps(loaded, BATCH)[0], expected, rtol=1e-5, atol=1e-5)


def test_a_policys_adapter_starts_a_reward_model(micro_model: Path, tmp_path: Path):
    """The same hidden states as the policy's, under a new head."""
    folder = save(on_base(micro_model, lora_targets=("q_proj", "lm_head")), tmp_path / "adapter")
    tokenizer = load_tokenizer(str(folder))  # the base's: the adapter was saved without one
    reward, policy = load_reward_model(str(folder), tokenizer), load_policy(str(folder))
    for name, weight in policy.model.state_dict().items():
        assert weight.equal(reward.model.state_dict()[name])
    with pytest.raises(InputError, match="tiny has other weights as a reward model"):
        load_reward_model(
            str(save(adapted(load_policy("tiny")), tmp_path / "tiny")), load_tokenizer("tiny")
        )


def test_folders_that_are_no_such_adapters_are_refused(tmp_path: Path):
    base = save(small_policy(1), tmp_path / "base")
    folder = save(on_base(base), tmp_path / "adapter")
    config = (folder / "adapter_config.json").read_text()

    def refused(message: str) -> None:
        with pytest.raises(InputError, match=message):
            load_policy(str(folder))

    (folder / "adapter_config.json").write_text(config.replace('"LORA"', '"PREFIX_TUNING"'))
    refused("of type PREFIX_TUNING; only LoRA")
    (folder / "adapter_config.json").write_text(config.replace('"CAUSAL_LM"', '"SEQ_CLS"'))
    refused("adapter of a reward model")
    (folder / "adapter_config.json").write_text("{")
    refused("adapter_config.json: cannot be read")
    (folder / "adapter_config.json").write_text(config)
    base.rename(tmp_path / "elsewhere")
    refused(f"the base model that {folder}/adapter_config.json names: {base}: no such folder")
    save(small_policy(1).to(torch.float32), base)
    (base / "model.safetensors").unlink()
    refused(r"the base model that .* names: .*: no weights")
    save(load_policy("tiny"), base)
    refused("adapter cannot be loaded")
    (folder / "adapter_model.safetensors").unlink()
    refused("no adapter_model.safetensors")
