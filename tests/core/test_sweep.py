"""sweep(): what is computed once, what is done again, and what a failure does to the rest."""

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.sweep.sweeping import SweepResult, plan_sweep, sweep
from mmpo_core.train import train
from mmpo_core.trainer import PairTrainer
from tests.core.pair_tables import METADATA, pair_table

Sweep = Callable[..., SweepResult]
PAIRS = 10


@pytest.fixture
def given(tmp_path: Path, micro_model: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Ten pairs, two held out: steps of 4 and 4 pairs. No plot."""
    monkeypatch.setattr("mmpo_core.sweep.files.plot_sweep", lambda *args: None)
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([0.3 * i for i in range(PAIRS)]), path, METADATA)
    return {
        "pairs": path,
        "model": str(micro_model),
        "out": tmp_path / "sweep",
        "reference_cache": str(tmp_path / "cache"),
        "eval_split": 0.2,
        "batch_size": 4,
        "max_length": 96,
        "packing": "padded",
        "lr": 1e-2,
        "save_steps": 1,
        "logging_steps": 1,
        "device": "cpu",
    }


@pytest.fixture
def run_sweep(given: dict[str, Any]) -> Sweep:
    return lambda **options: sweep(**(given | options))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Every forward pass of a model: whether it is one of training, and its positions."""
    from transformers.models.mistral.modeling_mistral import MistralModel

    passes: list[tuple[bool, int]] = []
    forward = MistralModel.forward

    def counting(self: Any, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        passes.append((torch.is_grad_enabled(), input_ids.numel()))
        return forward(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(MistralModel, "forward", counting)
    return passes


def test_six_gammas_cost_one_reference_pass_and_six_training_passes(
    run_sweep: Sweep, counted: list[tuple[bool, int]]
):
    """Positions that the model computed, against what the sweep says; each run also evaluates."""
    result = run_sweep(gamma="0,0.3,1.1,2.2,file,inf")
    reference = [row["reference_tokens"] for row in result.rows]
    training = {row["training_tokens"] for row in result.rows}
    assert reference[0] > 0
    assert reference[1:] == [0] * 5
    assert len(training) == 1

    trained = [positions for grad, positions in counted if grad]
    assert sum(trained) == 6 * training.pop()
    without_gradient = sum(positions for grad, positions in counted if not grad)
    evaluations = without_gradient - reference[0]
    assert evaluations > 0
    assert evaluations % 6 == 0

    content = json.loads((result.folder / "sweep.json").read_text())
    assert content["forward_tokens"] == {
        "reference_tokens": reference[0],
        "training_tokens": sum(trained),
    }


def test_all_runs_hold_out_the_same_pairs_and_only_seeds_of_the_order_differ(run_sweep: Sweep):
    """The mean margin of the held-out pairs, and the targets that all are measured against."""
    result = run_sweep(gamma="0.5,2", seeds=2)
    records = [json.loads((r / "run.json").read_text()) for r in (result.folder / "runs").iterdir()]
    assert len(records) == 4
    held = [(r["eval_by_margin"][0]["lowest_margin"], r["metrics"]["eval_targets/mean"])
            for r in records]  # fmt: skip
    assert len(set(held)) == 1
    assert len({row["nll"] for row in result.rows}) == 4


def test_a_run_is_that_of_train_alone(run_sweep: Sweep, given: dict[str, Any], tmp_path: Path):
    result = run_sweep(gamma="0.5,2", seeds="4,")
    row = result.rows[-1]
    alone = train(
        **(given | {"out": tmp_path / "alone"}), gamma=2.0, seed=4, split_seed=42, eval_gamma="file"
    )
    assert (row["gamma"], row["seed"]) == (2.0, 4)
    assert row["nll"] == alone.metrics["eval_nll"]
    assert row["reward_margin"] == alone.metrics["eval_rewards/margins"]


def test_files_hold_a_row_for_each_run_and_no_models(run_sweep: Sweep):
    result = run_sweep(gamma="0.5,2")
    with (result.folder / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == [row["run"] for row in result.rows]
    assert [float(row["nll"]) for row in rows] == [row["nll"] for row in result.rows]
    content = json.loads((result.folder / "sweep.json").read_text())
    assert content["pairs"] == {"train": 8, "eval": 2}
    assert content["best_by_nll"]["setting"] in [
        {name: one[name] for name in ("loss", "gamma", "beta", "lr")} for one in content["settings"]
    ]
    for run in (result.folder / "runs").iterdir():
        assert sorted(path.name for path in run.iterdir()) == ["log_history.jsonl", "run.json"]


def test_models_are_kept_where_asked_for(run_sweep: Sweep):
    result = run_sweep(keep_models=True)
    assert list((result.folder / "runs").glob("*/model.safetensors"))


def watch(monkeypatch: pytest.MonkeyPatch, act: Callable[[str, int], None]) -> list[str]:
    """Call `act` with the run's folder and the micro-batch's number; return the runs trained."""
    compute_loss, seen = PairTrainer.compute_loss, []

    def watched(self: PairTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        name = Path(self.args.output_dir).name
        seen.append(name)
        act(name, seen.count(name))
        return compute_loss(self, *args, **kwargs)

    monkeypatch.setattr(PairTrainer, "compute_loss", watched)
    return seen


def test_an_interrupted_sweep_goes_on_where_it_was(
    run_sweep: Sweep,
    given: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """Ctrl-C in the second step of the second run; its first step has a checkpoint."""
    whole = run_sweep(gamma="0.5,1").rows

    def interrupt(name: str, micro_batch: int) -> None:
        if "gamma1_" in name and micro_batch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        watch(patch, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(gamma="0.5,1", overwrite=True)
    assert "interrupted in run 2 of 2" in caplog.text
    assert "goes on with this one from checkpoint-1" in caplog.text
    assert "--resume" not in caplog.text
    states = [one.words() for one in plan_sweep(**given, gamma="0.5,1").runs]
    assert states == ["done", "goes on from checkpoint-1"]
    trained = watch(monkeypatch, lambda *_: None)
    rows = run_sweep(gamma="0.5,1").rows
    assert trained == ["mmpo_gamma1_beta0.1_lr0.01_seed0"]
    assert [row["nll"] for row in rows] == [row["nll"] for row in whole]


def test_a_larger_grid_trains_what_is_new(run_sweep: Sweep, monkeypatch: pytest.MonkeyPatch):
    run_sweep(gamma="0.5")
    trained = watch(monkeypatch, lambda *_: None)
    result = run_sweep(gamma="0.5,2")
    assert set(trained) == {"mmpo_gamma2_beta0.1_lr0.01_seed0"}
    assert [row["status"] for row in result.rows] == ["finished"] * 2


def test_a_run_that_fails_is_recorded_and_tried_again(
    run_sweep: Sweep, monkeypatch: pytest.MonkeyPatch
):
    def fail(name: str, micro_batch: int) -> None:
        if "gamma0.5_" in name:
            raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        watch(patch, fail)
        result = run_sweep(gamma="0.5,1")
    assert [row["status"] for row in result.rows] == ["failed", "finished"]
    assert result.rows[0]["message"] == "RuntimeError: out of luck"
    assert result.failed == result.rows[:1]
    assert [row["status"] for row in run_sweep(gamma="0.5,1").rows] == ["finished"] * 2


def test_a_run_that_diverges_says_so(run_sweep: Sweep):
    result = run_sweep(lr="1e30,1e-2", max_steps=2)
    assert [row["status"] for row in result.rows] == ["failed", "finished"]
    assert "Lower lr" in result.rows[0]["message"]


def test_what_keeps_the_first_run_from_beginning_ends_the_sweep(run_sweep: Sweep, tmp_path: Path):
    with pytest.raises(InputError, match="no such folder"):
        run_sweep(model=str(tmp_path / "none"), gamma="0.5,1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 2}, r"made with other options: batch_size \(4 -> 2\)"),
        ({"eval_gamma": 1.0}, r"eval_gamma \(file -> 1.0\)"),
        ({"keep_models": True}, "its model was not kept"),
    ],
)
def test_runs_made_with_other_options_are_not_taken_for_these(
    options: dict[str, Any], message: str, run_sweep: Sweep
):
    run_sweep()
    with pytest.raises(InputError, match=message):
        run_sweep(**options)
    assert run_sweep(**options, overwrite=True).rows[0]["status"] == "finished"


def test_other_pairs_are_another_sweep(run_sweep: Sweep, given: dict[str, Any]):
    run_sweep()
    write_pairs(pair_table([1.0] * PAIRS), given["pairs"], METADATA)
    with pytest.raises(InputError, match="the content of the input"):
        run_sweep()


def test_a_plan_trains_nothing(given: dict[str, Any]):
    plan = plan_sweep(**given, gamma="0.5,1", epochs=3)
    assert [one.words() for one in plan.runs] == ["to do", "to do"]
    assert [plan.steps(one.run) for one in plan.runs] == [6, 6]
    assert not given["out"].exists()


def test_progress_is_told(run_sweep: Sweep, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "mmpo_core.sweep"):
        run_sweep(gamma="0.5,1")
    assert "run 2 of 2: mmpo_gamma1_beta0.1_lr0.01_seed0" in caplog.text
    assert caplog.text.count("held out: accuracy") == 2
