"""Runs with adapters: what they train, keep and go on from; the base model is their reference."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmpo_core.errors import InputError
from mmpo_core.models import load_policy, load_reward_model, load_tokenizer
from mmpo_core.train import TrainResult
from mmpo_core.train_options import TrainOptions
from mmpo_core.training_args import training_arguments
from tests.core.conftest import PAIRS

Runner = Callable[..., TrainResult]


@pytest.fixture
def run_with(run_with: Runner) -> Runner:
    """Train adapters of rank 2, for two epochs."""

    def call(**options: Any) -> TrainResult:
        given: dict[str, Any] = {"lora_rank": 2, "epochs": 2, "lr": 2e-2}
        if options.keys() & {"reference_logps", "objective"}:
            given["reference_cache"] = None
        return run_with(**(given | options))

    return call


def losses(result: TrainResult) -> list[float]:
    return [entry["loss"] for entry in result.history if "loss" in entry]


def test_a_run_keeps_its_adapter_alone_and_says_so(run_with: Runner, micro_model: Path):
    before = (micro_model / "model.safetensors").read_bytes()
    result = run_with()
    names = {path.name for path in result.folder.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert not names & {"model.safetensors", "config.json", "training_args.bin"}
    assert "margintool train" in (result.folder / "README.md").read_text()  # not peft's own card
    config = json.loads((result.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(micro_model.resolve())
    record = json.loads((result.folder / "run.json").read_text())["adapter"]
    saved = load_file(result.folder / "adapter_model.safetensors")
    assert record["trainable_parameters"] == sum(weight.numel() for weight in saved.values())
    assert (record["base"], record["rank"]) == (str(micro_model.resolve()), 2)
    assert losses(result)[-1] < losses(result)[0] - 0.01
    assert (micro_model / "model.safetensors").read_bytes() == before


def test_a_run_without_adapters_has_no_record_of_them(run_with: Runner):
    assert run_with(lora_rank=0).record["adapter"] is None


@pytest.mark.parametrize("more", [{}, {"dora": True}, {"bf16": True}])
def test_base_model_is_the_reference_with_log_probs_in_common(
    more: dict[str, Any], run_with: Runner
):
    """A full fine-tune computed them; and h = 0 before the first step, whatever the dropout."""
    whole = run_with(lora_rank=0, **{name: v for name, v in more.items() if name != "dora"})
    assert whole.record["reference"]["computed"] == PAIRS
    result = run_with(**more, lora_dropout=0.5)
    assert result.record["reference"]["computed"] == 0
    assert result.history[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-4)
    assert abs(result.history[-2]["rewards/margins"]) > 1e-3


def test_online_asks_the_policy_itself_with_its_adapters_off(
    run_with: Runner, monkeypatch: pytest.MonkeyPatch
):
    expected = run_with(eval_split=0.4)

    def second(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a second model was loaded")

    monkeypatch.setattr("mmpo_core.train_reference.load_policy", second)
    online = run_with(eval_split=0.4, reference_logps="online")
    assert losses(online) == pytest.approx(losses(expected), rel=1e-5)
    assert online.metrics["eval_loss"] == pytest.approx(expected.metrics["eval_loss"], rel=1e-5)
    assert abs(losses(online)[0] - losses(online)[-1]) > 3e-3


@pytest.mark.parametrize("objective", ["policy", "reward"])
def test_gradient_checkpointing_learns_the_same(objective: str, run_with: Runner):
    plain, saving = (
        run_with(objective=objective, gradient_checkpointing=on) for on in (False, True)
    )
    assert losses(saving) == pytest.approx(losses(plain), rel=1e-6)


@pytest.mark.parametrize("objective", ["policy", "reward"])
def test_a_base_in_bfloat16_keeps_what_it_learns_in_float32(
    objective: str, run_with: Runner, caplog: pytest.LogCaptureFixture
):
    result = run_with(
        objective=objective, dtype="bfloat16", bf16=True, gradient_checkpointing=True, dora=True
    )
    saved = load_file(result.folder / "adapter_model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.float32}
    exact = run_with(objective=objective, dora=True)
    assert losses(result) == pytest.approx(losses(exact), abs=0.05)
    assert "updates below their rounding" not in caplog.text


def test_a_reward_models_run_keeps_its_score_head(run_with: Runner, micro_model: Path):
    result = run_with(objective="reward", seed=5)
    saved = load_file(result.folder / "adapter_model.safetensors")
    (head,) = [weight for name, weight in saved.items() if "lora_" not in name]
    tokenizer = load_tokenizer(str(result.folder))
    base = load_reward_model(str(micro_model), tokenizer, seed=5)
    assert not head.equal(base.score.weight)
    assert load_reward_model(str(result.folder), tokenizer).score.weight.equal(head)


def test_a_run_goes_on_from_an_adapter_as_from_any_model(run_with: Runner, tmp_path: Path):
    """The second run's reference is base and first adapter, not the base."""
    first = run_with()
    second = run_with(model=str(first.folder))
    assert second.record["reference"]["computed"] == PAIRS
    assert second.history[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-4)
    assert losses(second)[0] == pytest.approx(losses(run_with(model=str(first.folder)))[0])
    third = run_with(model=str(first.folder), lora_rank=0, max_steps=1, lr=0.0)
    whole = load_policy(str(third.folder))
    for name, weight in load_policy(str(first.folder)).state_dict().items():
        assert torch.allclose(weight, whole.state_dict()[name])
    with pytest.raises(InputError, match="the model is read from here"):
        run_with(model=str(first.folder), out=first.folder, overwrite=True)


def test_a_checkpoint_is_an_adapter_too(run_with: Runner, tmp_path: Path):
    """Of tiny as a reward model, whose weights are those of the run's seed."""
    result = run_with(model="tiny", objective="reward", save_steps=1, max_steps=2, seed=3)
    tokenizer = load_tokenizer("tiny")
    checkpoint, last = (
        load_reward_model(str(folder), tokenizer)
        for folder in (result.folder / "checkpoint-1", result.folder)
    )
    embeddings = load_reward_model("tiny", tokenizer, seed=3).get_input_embeddings().weight
    assert checkpoint.get_input_embeddings().weight.equal(embeddings)
    assert not checkpoint.score.weight.equal(last.score.weight)
    (result.folder / "run.json").unlink()
    with pytest.raises(InputError, match=r"no run.json with the run's seed"):
        load_reward_model(str(result.folder), tokenizer)


@pytest.mark.parametrize(
    ("options", "computes"),
    [({}, "float32"), ({"bf16": True}, "bfloat16"), ({"dtype": "bfloat16"}, "bfloat16")],
)
def test_a_quantized_base_is_loaded_in_the_type_that_it_computes_in(
    options: dict[str, Any], computes: str, run_with: Runner, monkeypatch: pytest.MonkeyPatch
):
    """As far as it goes without a GPU: what transformers is asked for."""
    asked: dict[str, Any] = {}

    def load(name: str, **how: Any) -> None:
        asked.update(how)
        raise InputError("that is all")

    monkeypatch.setattr("mmpo_core.adapters.find_spec", lambda name: name)
    monkeypatch.setattr("mmpo_core.train_setup.runs_on_cpu", lambda options: False)
    monkeypatch.setattr("mmpo_core.train_setup.load_policy", load)
    with pytest.raises(InputError, match="that is all"):
        run_with(quantize="4bit", **options)
    config = asked["quantization"].to_dict()
    assert config["load_in_4bit"]
    assert config["bnb_4bit_compute_dtype"] == asked["dtype"] == computes


def test_ddp_looks_for_unused_weights_as_without_adapters(tmp_path: Path):
    def looks(**options: Any) -> bool | None:
        checked = TrainOptions(pairs=tmp_path, model="tiny", device="cpu", **options)
        arguments = training_arguments(checked, evaluates=False)
        found: bool | None = arguments.ddp_find_unused_parameters
        return found

    assert looks() is None
    assert looks(lora_rank=2) is True
    assert looks(lora_rank=2, gradient_checkpointing=True) is False


def test_overwriting_leaves_no_adapter_behind(run_with: Runner, tmp_path: Path):
    run_with(out=tmp_path / "out")
    run_with(out=tmp_path / "out", lora_rank=0, overwrite=True)
    assert not list((tmp_path / "out").glob("adapter*"))
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora_rank": 0, "dora": True}, "dora is for adapters"),
        ({"lora_targets": ("no_proj",)}, "lora_targets: "),
        ({"quantize": "8bit"}, "quantize: '8bit' is not one of 4bit"),
    ],
)
def test_adapters_that_cannot_be_are_refused(
    options: dict[str, Any], message: str, run_with: Runner
):
    with pytest.raises(InputError, match=message):
        run_with(**options)
