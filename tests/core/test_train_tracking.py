"""--report-to: what reaches TensorBoard and Weights & Biases, read back from their own files."""

from pathlib import Path
from typing import Any

import pytest

from mmpo_core.train import train
from tests.core.pair_tables import pair_file

METRICS = ("loss", "rewards/margins", "rewards/accuracies", "targets/mean", "logps/chosen")
HELD_OUT = (*METRICS, "accuracy", "nll", "brier", "ece")


def run(folder: Path, model: Path, where: str) -> Any:
    return train(
        pairs=pair_file(folder),
        model=str(model),
        out=folder / "out",
        lr=1e-3,
        batch_size=4,
        max_length=128,
        eval_split=0.3,
        logging_steps=1,
        device="cpu",
        report_to=where,
    )


def test_tensorboard_has_the_metrics_of_the_log(micro_model: Path, tmp_path: Path):
    pytest.importorskip("tensorboard", reason="tensorboard is in margintool[tracking]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run(tmp_path, micro_model, "tensorboard")
    scalars: dict[str, dict[int, float]] = {}
    for file in sorted((tmp_path / "out").rglob("events.out.tfevents.*")):
        events = EventAccumulator(str(file)).Reload()
        for tag in events.Tags()["scalars"]:
            scalars.setdefault(tag, {}).update({e.step: e.value for e in events.Scalars(tag)})
    steps = [entry for entry in done.history if "loss" in entry]
    assert [entry["step"] for entry in steps] == [1, 2]
    for name in METRICS:
        expected = {entry["step"]: entry[name] for entry in steps}
        assert scalars[f"train/{name}"] == pytest.approx(expected)
    for name in HELD_OUT:
        assert scalars[f"eval/{name}"] == {2: pytest.approx(done.metrics[f"eval_{name}"])}


def test_wandb_has_the_metrics_of_the_log(
    micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wandb = pytest.importorskip("wandb", reason="wandb is in margintool[tracking]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    done = run(tmp_path, micro_model, "wandb")
    summary = dict(wandb.run.summary)
    wandb.finish()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    for name in METRICS:
        assert summary[f"train/{name}"] == pytest.approx(done.metrics[name])
    for name in HELD_OUT:
        assert summary[f"eval/{name}"] == pytest.approx(done.metrics[f"eval_{name}"])
