"""train(): both objectives to the end, what lands in the folder, what was learnt."""

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from mmpo_core.errors import InputError
from mmpo_core.losses import LOSSES, OBJECTIVES
from mmpo_core.pair_file import PairWriter, read_table, write_pairs
from mmpo_core.run_record import fingerprint
from mmpo_core.train import TrainResult, train
from mmpo_core.trainer import MMPOTrainer
from tests.core.pair_tables import METADATA, pair_file, pair_table

QUICK: dict[str, Any] = {
    "lr": 3e-4,
    "batch_size": 4,
    "max_length": 96,
    "device": "cpu",
    "warmup_ratio": 0.0,
    "logging_steps": 1,
}
AUTO = {"policy": AutoModelForCausalLM, "reward": AutoModelForSequenceClassification}


@pytest.fixture(scope="module", params=["policy", "reward"])
def run(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    no_run_pictures: Callable[..., Any],
) -> TrainResult:
    """40 pairs that differ by letters against digits, 2 epochs, a quarter of them held out."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmpo_core.train_plot.plot_history", no_run_pictures)
        given = {"model": "tiny", "objective": request.param, "epochs": 2, "eval_split": 0.25}
        return train(pairs=pair_file(folder, count=40), out=folder / "out", **given, **QUICK)


def test_loss_falls_towards_the_entropy_of_the_targets(run: TrainResult):
    """ln 2 = 0.693 at h = 0; the least is the entropy of sigma(1.5) = 0.8176: 0.4749."""
    assert run.history[0]["loss"] == pytest.approx(math.log(2), abs=0.1)
    assert 0.4749 < run.metrics["eval_loss"] < 0.60


def test_held_out_pairs_are_told_apart(run: TrainResult):
    assert run.metrics["eval_rewards/accuracies"] == 1.0
    assert run.metrics["eval_rewards/margins"] > 0.4


def test_metrics_have_trl_names_and_the_mean_target(run: TrainResult):
    names = "loss rewards/chosen rewards/rejected rewards/accuracies rewards/margins targets/mean"
    logps = "logps/chosen logps/rejected" if "logps/chosen" in run.metrics else ""
    for name in f"{names} {logps}".split():
        assert math.isfinite(run.metrics[name])
        assert math.isfinite(run.metrics[f"eval_{name}"])
    assert ("logps/chosen" in run.metrics) == (run.record["arguments"]["objective"] == "policy")
    assert run.metrics["targets/mean"] == pytest.approx(1 / (1 + math.exp(-1.5)), rel=1e-6)


def test_an_evaluation_is_kept_in_full(run: TrainResult):
    """All margins are 1.5, so that all 10 held-out pairs fall in one bin."""
    (row,) = run.record["eval_by_margin"]
    assert (row["bin"], row["pairs"], row["highest_margin"]) == (1, 10, 1.5)
    assert row["accuracy"] == run.metrics["eval_accuracy_margin_q1"] == 1
    assert row["predicted"] == run.metrics["eval_predicted_margin_q1"]
    assert run.metrics["eval_nll"] == pytest.approx(run.metrics["eval_loss"], rel=1e-5)
    # all targets are 0.8176; bins can only add to the distance of the means
    assert 0.8176 - row["predicted"] - 1e-4 < run.metrics["eval_ece"] < 0.3176


def test_model_and_tokenizer_load_again(run: TrainResult):
    objective = run.record["arguments"]["objective"]
    model = AUTO[objective].from_pretrained(run.folder)
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    chat = [{"role": "user", "content": "question 1"}]
    ids = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)
    assert torch.isfinite(model(**ids).logits).all()
    assert model.config.use_cache
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert (run.folder / "model.safetensors").exists()


def test_folder_holds_the_run_and_nothing_half(run: TrainResult):
    names = {path.name for path in run.folder.iterdir()}
    assert {"run.json", "log_history.jsonl", "train.png", "config.json", "tokenizer.json"} <= names
    assert not [name for name in names if "partial" in name or name.endswith(".bin")]
    # a finished run's last checkpoint has the weights of the model beside it
    assert not list(run.folder.glob("checkpoint-*"))
    assert (run.folder / "train.png").read_bytes().startswith(b"\x89PNG")


def test_run_json_says_what_was_done(run: TrainResult):
    record = json.loads((run.folder / "run.json").read_text())
    assert record == json.loads(json.dumps(run.record))
    assert record["status"] == "finished"
    assert record["steps"] == run.steps == 16  # 30 pairs, batches of 4: 8 steps in each of 2 epochs
    assert record["pairs"]["fingerprint"] == fingerprint(Path(record["pairs"]["path"]))
    assert record["pairs"]["metadata"] == METADATA
    assert [record["data"][split]["kept"] for split in ("train", "eval")] == [30, 10]
    assert record["arguments"]["lr"] == 3e-4
    assert record["versions"]["transformers"] == transformers.__version__
    assert record["seconds"] > 0
    assert "cpu" in record["device"]


def test_log_history_is_one_entry_a_line(run: TrainResult):
    lines = (run.folder / "log_history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == run.history


Runner = Callable[..., TrainResult]


@pytest.fixture
def run_with(tmp_path: Path, micro_model: Path) -> Runner:
    """Train a very small reward model at lr 0 on four pairs, except as the test says."""

    def call(name: str = "out", **options: Any) -> TrainResult:
        path = tmp_path / "pairs.parquet"
        write_pairs(pair_table([0.0, 0.5, 1.0, 2.0]), path, METADATA)
        given = {"pairs": path, "model": str(micro_model), "objective": "reward", "lr": 0.0}
        return train(out=tmp_path / name, **(QUICK | given | {"eval_split": 0.0} | options))

    return call


def test_columns_beside_the_contracts_change_nothing(run_with: Runner, tmp_path: Path):
    plain = run_with("plain", lr=1e-3)
    why = pa.array([{"judge": "m", "draws": [1.0, 2.0]}] * 4)
    path, further = tmp_path / "more.parquet", pa.schema([("why", why.type)])
    with PairWriter(path, METADATA, further=further) as writer:
        writer.write(pair_table([0.0, 0.5, 1.0, 2.0]).append_column("why", why))
    more = run_with("more", lr=1e-3, pairs=path)
    losses = [[entry.get("loss") for entry in result.history] for result in (plain, more)]
    assert losses[0] == losses[1]
    assert losses[0][0] is not None


@pytest.mark.parametrize(
    ("options", "targets"),
    [
        ({}, [0.5, 0.6225, 0.7311, 0.8808]),  # the file's own: sigma(margin)
        ({"gamma": 0.0}, [0.5] * 4),
        ({"gamma": math.inf}, [0.5, 1, 1, 1]),
        # margin_raw is twice the margin: sigma(0, 0.5, 1, 2)
        ({"gamma": 0.5, "margin_column": "margin_raw"}, [0.5, 0.6225, 0.7311, 0.8808]),
    ],
)
def test_targets_come_from_gamma_and_the_margin(
    options: dict[str, Any], targets: list[float], run_with: Runner
):
    result = run_with(**options)
    assert result.metrics["targets/mean"] == pytest.approx(sum(targets) / 4, abs=1e-4)


def test_weights_scale_losses_and_average_one(run_with: Runner):
    """Weights 1, 2, 3, 1 over their mean 7/4; at lr 0, by the losses of each pair alone."""
    plain = run_with("a", batch_size=1)
    by_target = {round(e["targets/mean"], 4): e["loss"] for e in plain.history if "loss" in e}
    losses = [by_target[target] for target in (0.5, 0.6225, 0.7311, 0.8808)]
    weighted = run_with("b", use_weights=True)
    expected = sum(w * loss for w, loss in zip((1, 2, 3, 1), losses, strict=True)) / 7
    assert weighted.metrics["loss"] == pytest.approx(expected, rel=1e-5)
    assert weighted.metrics["loss"] != pytest.approx(sum(losses) / 4, rel=1e-5)


def test_policy_starts_at_its_own_reference(run_with: Runner):
    """Before the first update log pi = log ref, so h = 0 and the loss is ln 2."""
    first = run_with(objective="policy").history[0]
    assert first["rewards/margins"] == pytest.approx(0.0, abs=1e-4)
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-4)


def test_another_reference_model_is_used_when_named(run_with: Runner):
    trained = run_with("a", objective="policy", lr=1e-3)
    first = run_with("b", objective="policy", reference=str(trained.folder)).history[0]
    assert abs(first["rewards/margins"]) > 0.01


EVERY_LOSS = [(objective, name) for objective, losses in OBJECTIVES.items() for name in losses]


@pytest.mark.parametrize(("objective", "loss"), EVERY_LOSS)
def test_every_loss_trains(objective: str, loss: str, run_with: Runner):
    result = run_with(objective=objective, loss=loss, lr=1e-3, epochs=3)
    losses = [entry["loss"] for entry in result.history if "loss" in entry]
    assert losses[-1] < losses[0]
    if objective == "policy":
        assert result.record["arguments"]["beta"] == LOSSES[loss].beta


@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.reference_free])
def test_reference_free_losses_run_no_reference(
    loss: str, run_with: Runner, monkeypatch: pytest.MonkeyPatch
):
    columns: list[set[str]] = []

    class Watched(MMPOTrainer):
        def __init__(self, **kwargs: Any) -> None:
            columns.append(set(kwargs["train_dataset"].columns))
            super().__init__(**kwargs)

    monkeypatch.setattr("mmpo_core.train_setup.MMPOTrainer", Watched)
    run_with("a", objective="policy", loss=loss, max_steps=1)
    run_with("b", objective="policy", loss="mmpo", max_steps=1)
    assert columns[1] - columns[0] == {"reference_chosen_logps", "reference_rejected_logps"}


def test_offset_losses_read_gamma_times_margin(run_with: Runner):
    """A policy starts at its reference, where h = 0: the first rpo loss is the mean (gamma m)^2."""
    gamma = 0.7
    result = run_with(objective="policy", loss="rpo", gamma=gamma, batch_size=12, max_steps=1)
    margins = read_table(result.record["pairs"]["path"])["margin"].to_numpy()
    expected = float(np.mean((gamma * margins) ** 2))
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-5)


def test_same_seed_gives_the_same_weights_and_another_does_not(run_with: Runner):
    heads = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = run_with(name, seed=seed, lr=1e-3)
        heads.append(AutoModelForSequenceClassification.from_pretrained(result.folder).score.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_evaluation_file_and_prompts_it_shares_are_recorded(run_with: Runner, tmp_path: Path):
    other = tmp_path / "held.parquet"
    table = pair_table([1.0] * 3, prompts=["question 1", "new", "newer"])
    write_pairs(table, other, METADATA)
    given = {"eval_pairs": other, "eval_split": 0.05}
    result = run_with(**given)
    assert result.record["eval_prompts_also_trained_on"] == 1
    assert result.record["data"]["eval"]["kept"] == 3
    assert result.record["eval_pairs"]["fingerprint"] == fingerprint(other)


def test_bfloat16_and_checkpointing_and_settings_reach_the_run(run_with: Runner):
    result = run_with(
        objective="policy",
        lr=1e-3,
        scheduler="constant",
        bf16=True,
        gradient_checkpointing=True,
        set=("adam_beta2=0.98", "include_num_input_tokens_seen=all"),
    )
    assert result.history[0]["learning_rate"] == 1e-3
    assert result.history[0]["num_input_tokens_seen"] > 0
    assert result.history[0]["rewards/margins"] == pytest.approx(0.0, abs=0.1)


def test_real_votes_train_both_objectives(real_data: Path, tmp_path: Path):
    """Eight real pairs, both objectives: long prompts, untidy text, several a prompt."""
    path = real_data / "votes" / "eli5_shp_layout.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(next(file)) for _ in range(8)]
    answers = [
        sorted([(r["score_A"], r["human_ref_A"]), (r["score_B"], r["human_ref_B"])]) for r in rows
    ]
    table = pair_table([math.log(better[0] / worse[0]) for worse, better in answers])
    columns = {
        "prompt": [r["history"] for r in rows],
        "chosen": [better[1] for _, better in answers],
        "rejected": [worse[1] for worse, _ in answers],
    }
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(name), [values])
    write_pairs(table, tmp_path / "pairs.parquet", METADATA)
    for objective in ("policy", "reward"):
        result = train(
            pairs=tmp_path / "pairs.parquet",
            objective=objective,
            out=tmp_path / objective,
            **(QUICK | {"model": "tiny", "max_length": 128}),
        )
        assert result.steps == 2
        assert math.isfinite(result.metrics["eval_loss"])
        AUTO[objective].from_pretrained(result.folder)


def test_a_finished_run_is_not_written_over(run_with: Runner):
    run_with()
    with pytest.raises(InputError, match=r"already holds a run.*--overwrite"):
        run_with()
    assert run_with(overwrite=True, seed=5).record["seed"] == 5
