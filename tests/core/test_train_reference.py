"""Training runs share their reference's log-probs, and never get those of another input."""

import gc
import json
import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mmpo_core import train_reference
from mmpo_core.errors import InputError
from mmpo_core.train import TrainResult
from mmpo_core.trainer import MMPOTrainer
from tests.core.conftest import PAIRS

Runner = Callable[..., TrainResult]


def computed(result: TrainResult) -> int:
    reference = result.record["reference"]
    assert reference["from_cache"] + reference["computed"] == reference["pairs"]
    return int(reference["computed"])


def test_what_no_log_prob_depends_on_reuses_them_all(run_with: Runner):
    assert computed(run_with()) == PAIRS
    others: list[dict[str, Any]] = [
        {"gamma": 2.0},
        {"beta": 0.5},
        {"lr": 1e-2},
        {"seed": 7},
        {"epochs": 2},
        {"loss": "ipo"},
        {"batch_size": 3},
        {"eval_split": 0.4},
        {"limit": 4},
        {"max_length": 95},  # which cuts none of these pairs
    ]
    for other in others:
        result = run_with(**other)
        assert computed(result) == 0, other
        assert result.record["reference"]["forward_tokens"] == 0, other


def test_reused_log_probs_train_to_the_same_weights_bit_for_bit(run_with: Runner):
    """The same run computing its reference, reading it, and keeping none."""
    results = [run_with(), run_with(), run_with(reference_cache="none")]
    assert [computed(result) for result in results] == [PAIRS, 0, PAIRS]
    weights = [(result.folder / "model.safetensors").read_bytes() for result in results]
    assert weights[0] == weights[1] == weights[2]


def test_a_limit_computes_its_pairs_and_a_larger_one_the_rest(run_with: Runner):
    assert computed(run_with(limit=2)) == 2
    assert computed(run_with(limit=5)) == 3
    assert computed(run_with()) == 1


def changed_copy(micro_model: Path, folder: Path, change: Callable[[Any, Any], None]) -> str:
    model = AutoModelForCausalLM.from_pretrained(micro_model)
    tokenizer = AutoTokenizer.from_pretrained(micro_model)
    change(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def other_weights(model: Any, tokenizer: Any) -> None:
    with torch.no_grad():
        model.lm_head.weight[3, 3] += 0.5


def other_template(model: Any, tokenizer: Any) -> None:
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "message['content']", "message['content'] + '!'"
    )


def other_tokenizer(model: Any, tokenizer: Any) -> None:
    """q and z have each other's ids: the same questions are other ids to the same weights."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    vocabulary["q"], vocabulary["z"] = vocabulary["z"], vocabulary["q"]
    tokenizer._tokenizer = type(tokenizer.backend_tokenizer).from_str(json.dumps(state))


@pytest.mark.parametrize("change", [other_weights, other_template, other_tokenizer])
def test_another_model_template_or_tokenizer_is_computed(
    change: Callable[[Any, Any], None], run_with: Runner, micro_model: Path, tmp_path: Path
):
    run_with()
    other = changed_copy(micro_model, tmp_path / "other", change)
    result = run_with(model=other)
    assert computed(result) == PAIRS
    first = result.history[0]  # the reference is the model before training: h = 0
    assert first["rewards/margins"] == pytest.approx(0.0, abs=1e-4)


def test_the_same_model_elsewhere_is_the_same_reference(
    run_with: Runner, micro_model: Path, tmp_path: Path
):
    run_with()
    other = changed_copy(micro_model, tmp_path / "other", lambda model, tokenizer: None)
    assert computed(run_with(model=other)) == 0


@pytest.mark.parametrize(
    "options", [{"bf16": True}, {"dtype": "bfloat16"}, {"attn_implementation": "eager"}]
)
def test_another_way_to_compute_is_computed(options: dict[str, Any], run_with: Runner):
    run_with()
    assert computed(run_with(**options)) == PAIRS
    assert computed(run_with(**options)) == 0


def test_only_pairs_that_a_shorter_limit_cuts_are_computed(run_with: Runner):
    """The pairs have 26, 25, 24, 24, 26 and 21 tokens: 24 cuts three, 21 cuts five."""
    assert computed(run_with()) == PAIRS
    assert computed(run_with(max_length=24)) == 3
    cut = run_with(max_length=21)
    assert computed(cut) == 5
    assert cut.history[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-4)


def test_held_out_pairs_get_theirs_too(run_with: Runner):
    result = run_with(eval_split=0.4)
    assert result.record["reference"]["pairs"] == computed(result) == PAIRS


def test_a_named_reference_is_freed_before_training_begins(
    run_with: Runner, micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = changed_copy(micro_model, tmp_path / "other", other_weights)
    loaded: list[weakref.ref[Any]] = []
    alive: list[bool] = []
    load, begin = train_reference.load_policy, MMPOTrainer.train

    def watched_load(*args: Any, **kwargs: Any) -> Any:
        model = load(*args, **kwargs)
        loaded.append(weakref.ref(model))
        return model

    def watched_train(self: Any, **kwargs: Any) -> Any:
        gc.collect()
        alive.append(loaded[-1]() is not None)
        return begin(self, **kwargs)

    monkeypatch.setattr(train_reference, "load_policy", watched_load)
    monkeypatch.setattr(MMPOTrainer, "train", watched_train)
    run_with(reference=other)
    run_with(reference=other, reference_logps="online", reference_cache=None)
    assert alive == [False, True]


def losses(result: TrainResult) -> list[float]:
    return [entry["loss"] for entry in result.history if "loss" in entry]


@pytest.mark.parametrize("named", [False, True])
def test_online_trains_as_precomputed_does_and_keeps_nothing(
    named: bool, run_with: Runner, micro_model: Path, tmp_path: Path
):
    other = changed_copy(micro_model, tmp_path / "other", other_weights)
    options = {"reference": other if named else None, "eval_split": 0.4, "lr": 1e-2}
    online = run_with(**options, reference_logps="online", reference_cache=None)
    assert online.record["reference"] is None
    assert not (tmp_path / "cache").exists()
    before = run_with(**options)
    assert losses(online) == pytest.approx(losses(before), rel=1e-5)
    assert online.metrics["eval_loss"] == pytest.approx(before.metrics["eval_loss"], rel=1e-5)
    assert abs(losses(online)[0] - losses(online)[-1]) > 1e-3


def test_a_reward_model_has_no_reference(run_with: Runner, tmp_path: Path):
    result = run_with(objective="reward", reference_cache=None)
    assert result.record["reference"] is None
    assert not (tmp_path / "cache").exists()


def test_a_reference_free_loss_has_no_reference(run_with: Runner):
    assert run_with(loss="simpo", reference_cache=None).record["reference"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "reward"}, "reference_cache is for policies"),
        ({"loss": "simpo"}, "uses no reference model; leave reference_cache out"),
        ({"reference_logps": "online"}, "online keeps no log-probs: leave reference_cache out"),
        ({"reference_logps": "sometimes"}, "reference_logps"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(
    options: dict[str, Any], message: str, run_with: Runner
):
    with pytest.raises(InputError, match=message):
        run_with(**options)


def test_the_log_says_what_was_computed(run_with: Runner, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "mmpo_core.train"):
        run_with(limit=2)
        run_with()
    assert "reference log-probs: 0 from cache, 2 computed" in caplog.text
    assert "reference log-probs: 2 from cache, 4 computed" in caplog.text


def test_a_damaged_part_is_computed_again(
    run_with: Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    first = run_with()
    (part,) = (tmp_path / "cache").glob("*/*.parquet")
    part.write_bytes(part.read_bytes()[:100])
    again = run_with()
    assert computed(again) == PAIRS
    assert f"{part} is damaged" in caplog.text
    assert losses(again) == losses(first)
