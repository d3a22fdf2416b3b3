"""What a run learns and publishes: updates that are not lost, and no weights that are not finite."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.presets import PRESETS
from mmpo_core.run_folder import write_history
from mmpo_core.train import TrainResult, train
from mmpo_core.trainer import PairTrainer
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
        ({"max_steps": 1, "eval_split": 0.5}, "loss of the held-out pairs"),
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
