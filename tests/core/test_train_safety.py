"""What a run learns and publishes: no updates lost, and no weights that are not finite."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.presets import PRESETS
from mmpo_core.run_folder import write_history
from mmpo_core.tiny import make_tiny_policy, make_tiny_tokenizer
from mmpo_core.train import TrainResult, train
from mmpo_core.train_options import TrainOptions
from mmpo_core.train_setup import load_start, without_dropout
from mmpo_core.trainer import PairTrainer
from mmpo_core.training_args import warmup_steps
from tests.core.pair_tables import METADATA, pair_table


def start(folder: Path, model: Path, **options: Any) -> TrainResult:
    """Train on four pairs, except as the options say."""
    write_pairs(pair_table([0.5, 1.0, 1.5, 2.0]), folder / "pairs.parquet", METADATA)
    given: dict[str, Any] = {
        "pairs": folder / "pairs.parquet",
        "model": str(model),
        "out": folder / "out",
        "eval_split": 0.0,
        "device": "cpu",
        "batch_size": 4,
    }
    return train(**(given | options))


def changed_share(before: Path, after: Path) -> float:
    """The share of the weights that differ."""
    old, new = (load_file(folder / "model.safetensors") for folder in (before, after))
    changed = sum(int((old[name] != new[name].to(old[name].dtype)).sum()) for name in old)
    return changed / sum(value.numel() for value in old.values())


def test_a_presets_learning_rate_changes_the_weights(
    tmp_path: Path, micro_model: Path, caplog: pytest.LogCaptureFixture
):
    """At 5e-7 Adam moves a weight by 5e-7 a step: float32 holds that, bfloat16 (2^-8) does not."""
    preset = dict(PRESETS["gemma-7b-ultrafeedback"].options)
    assert preset["lr"] == 5e-7
    assert all("dtype" not in preset.options for preset in PRESETS.values())
    options = preset | {"batch_size": 4, "max_steps": 4, "margin_column": "margin"}
    own = {name: value for name, value in options.items() if name != "model"}
    kept = start(tmp_path, micro_model, **own)
    assert changed_share(micro_model, kept.folder) > 0.5
    assert "dtype bfloat16" not in caplog.text
    rounded = start(tmp_path, micro_model, **(own | {"out": tmp_path / "b", "dtype": "bfloat16"}))
    assert "dtype bfloat16: weights are trained in bfloat16" in caplog.text
    assert load_file(rounded.folder / "model.safetensors")["lm_head.weight"].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 2}, "became nan by step 2"),
        ({"max_steps": 1, "eval_split": 0.5}, "the held-out loss became"),
    ],
)
def test_a_diverged_run_publishes_nothing(
    options: dict[str, Any], message: str, tmp_path: Path, micro_model: Path
):
    with pytest.raises(InputError, match=message):
        start(tmp_path, micro_model, **({"lr": 1e30, "warmup_ratio": 0.0} | options))
    assert not list((tmp_path / "out").glob("*.safetensors"))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "unfinished"


def test_weights_that_the_last_update_broke_are_not_published(
    tmp_path: Path, micro_model: Path, monkeypatch: pytest.MonkeyPatch
):
    """The last log entry is of the weights before the last update; nothing is held out here."""
    whole = PairTrainer.train

    def broken(self: PairTrainer, **options: Any) -> None:
        whole(self, **options)
        self.model.score.weight.data[0, 0] = math.inf

    monkeypatch.setattr(PairTrainer, "train", broken)
    with pytest.raises(InputError, match=r"weights score.weight are not finite after step 1;"):
        start(tmp_path, micro_model, objective="reward")
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_history_is_strict_json(tmp_path: Path):
    write_history(tmp_path, [{"step": 1, "rewards/margins": math.nan}])
    text = (tmp_path / "log_history.jsonl").read_text()
    assert text == '{"step": 1, "rewards/margins": null}\n'


@pytest.mark.parametrize(
    ("pairs", "options", "steps"),
    [
        (1, {}, 0),  # one step: 0.1 of it is none
        (64 * 19, {}, 1),
        (64 * 19 + 1, {}, 2),  # 20 steps, the last of one pair
        (65, {"epochs": 7.5, "warmup_ratio": 0.2}, 3),  # 15 steps
        (64, {"max_steps": 100, "warmup_ratio": 0.29}, 29),
    ],
)
def test_warmup_is_rounded_down(pairs: int, options: dict[str, Any], steps: int):
    assert warmup_steps(TrainOptions(pairs=Path("p"), model="m", **options), pairs) == steps


@pytest.mark.parametrize(
    ("options", "evaluated"),
    [
        ({"eval_steps": 2}, [2, 4]),
        ({"eval_steps": 3}, [3, 4]),
        ({}, [4]),
        # the model that is kept may be that of step 2
        ({"eval_steps": 2, "save_steps": 2, "set": ("load_best_model_at_end=true",)}, [2, 4, 4]),
    ],
)
def test_no_model_is_evaluated_twice(
    options: dict[str, Any], evaluated: list[int], tmp_path: Path, micro_model: Path
):
    given: dict[str, Any] = {
        "eval_split": 0.5,
        "max_steps": 4,
        "batch_size": 1,
        "packing": "padded",
    }
    run = start(tmp_path, micro_model, **(given | options))
    assert [entry["step"] for entry in run.history if "eval_loss" in entry] == evaluated
    assert sum(row["pairs"] for row in run.record["eval_by_margin"]) == 2


def test_the_only_step_of_a_run_changes_the_weights(tmp_path: Path, micro_model: Path):
    run = start(tmp_path, micro_model, lr=1e-3)
    assert run.steps == 1
    assert changed_share(micro_model, run.folder) > 0.5


def test_dropout_is_off_so_that_a_policy_starts_at_its_reference(tmp_path: Path):
    """GPT-2 drops 0.1 by default; h = 0 at step 1, and the loss is ln 2."""
    folder = tmp_path / "gpt2"
    config = GPT2Config(
        vocab_size=262, n_positions=256, n_embd=16, n_layer=1, n_head=1, bos_token_id=1,
        eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    GPT2LMHeadModel(config).save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    assert config.resid_pdrop == config.attn_pdrop == config.embd_pdrop == 0.1
    run = start(tmp_path, folder, max_length=128, beta=1.0)
    assert run.history[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-4)
    assert run.history[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    options = TrainOptions(pairs=Path("p"), model=str(folder), objective="reward")
    model = load_start(options, make_tiny_tokenizer()).train()
    assert model.config.resid_pdrop == model.config.attn_pdrop == model.config.embd_pdrop == 0.0
    ids = torch.arange(1, 40)[None]
    assert torch.equal(model(ids).logits, model(ids).logits)


def test_dropout_held_as_a_number_is_off_too():
    """Mistral's attention keeps its rate as a number, not as a module."""
    policy = make_tiny_policy()
    policy.config.attention_dropout = 0.5
    attention = policy.model.layers[0].self_attn
    attention.attention_dropout = 0.5
    without_dropout(policy)
    assert attention.attention_dropout == policy.config.attention_dropout == 0.0


def test_pairs_longer_than_the_models_positions_are_refused(tmp_path: Path):
    """With 8 learned positions, the ninth token would be an index error deep inside."""
    folder = tmp_path / "gpt2"
    tokenizer = make_tiny_tokenizer()
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=8, n_embd=16, n_layer=1, n_head=2, eos_token_id=1
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match="the model was made for 8"):
        start(tmp_path, folder, max_length=64)
