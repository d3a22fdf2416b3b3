"""`margintool train` and `margintool losses` as typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margintool.cli.train_summary import _TRAINING, _numbers, _time
from mmpo_core.losses import OBJECTIVES
from mmpo_core.pair_file import write_pairs
from tests.core.pair_tables import METADATA, pair_table

Cli = Callable[..., Any]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([1.0] * 6), path, METADATA)
    return path


def test_trains_and_says_what_came_of_it(
    cli: Cli, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The command of the README; without --out the model lands in runs/MODEL-OBJECTIVE."""
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "run.yaml"
    config.write_text("objective: reward\nmax_length: 64\nlr: 1e-3\nbatch_size: 2\n")
    result = cli(
        "train", "pairs.parquet", "--model", "tiny", "--config", config, "--batch-size", 3,
        "--set", "adam_beta2=0.98", "--set", "adam_epsilon=1e-7", "--device", "cpu",
    )  # fmt: skip
    assert result.status == 0, result.err
    folder = tmp_path / "runs" / "tiny-reward"
    record = json.loads((folder / "run.json").read_text())
    assert record["arguments"]["batch_size"] == 3
    assert record["arguments"]["lr"] == 1e-3
    assert record["arguments"]["set"] == ["adam_beta2=0.98", "adam_epsilon=1e-7"]
    loads = "AutoModelForSequenceClassification"
    for text in ("2 steps", "held out", "ECE 0.", "runs/tiny-reward", loads):
        assert text in result.out
    # whole lines, whatever the width: they are there to be copied
    assert "margintool evaluate runs/tiny-reward --data pairs.parquet --held-out" in result.out
    assert "step 2/2" in result.err
    assert "5 of 5 pairs encoded" in result.err
    assert "Warning" not in result.err
    assert "%|" not in result.err  # no bar where there is no terminal


def test_says_which_log_probs_of_the_reference_were_computed(cli: Cli, pairs: Path, tmp_path: Path):
    options = ["--model", "tiny", "--reference-cache", tmp_path / "cache", "--eval-split", 0]
    options += ["--max-length", 64, "--batch-size", 2, "--max-steps", 1, "--device", "cpu"]
    first = cli("train", pairs, *options, "--limit", 2, "--out", tmp_path / "first")
    assert "reference log-probs: 0 from cache, 2 computed" in first.err
    second = cli("train", pairs, *options, "--out", tmp_path / "second")
    assert "2 log-probs from cache, 4 computed" in second.out


def test_the_held_out_accuracy_shown_is_that_of_run_json(cli: Cli, tmp_path: Path):
    """Nothing pulls a tie's answers apart: h stays 0, and a level pair is half right."""
    ties = tmp_path / "ties.parquet"
    write_pairs(pair_table([0.0] * 6), ties, METADATA)
    result = cli(
        "train", ties, "--model", "tiny", "--eval-split", 0.5, "--reference-cache", "none",
        "--max-length", 64, "--device", "cpu", "--out", tmp_path / "out",
    )  # fmt: skip
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["metrics"]["eval_accuracy"] == 0.5
    assert "eval_accuracy 0.5000" in result.err
    held_out = next(line for line in result.out.splitlines() if line.startswith("held out"))
    assert "accuracy 0.5000" in held_out


def test_summary_says_of_which_part_of_a_run_the_time_is():
    resumed = {"resumed_from": "checkpoint-4", "seconds_since_resume": 2.04, "device": "cpu"}
    assert _time(resumed) == "2.0 s since checkpoint-4 on cpu"
    assert _time({"resumed_from": None, "seconds": 7.0, "device": "cpu"}) == "7.0 s on cpu"


def test_summary_says_what_is_not_finite():
    metrics = {"loss": 0.5, "rewards/accuracies": 1.0, "rewards/margins": None}
    assert _numbers(metrics, _TRAINING) == "loss 0.5000  accuracy 1.0000  margin not finite"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "tiny", "--gamma", "-1"], "gamma must be a number >= 0"),
        (["--model", "tiny", "--preset", "gemma-7"], "unknown preset 'gemma-7'"),
        (["--model", "tiny", "--set", "adam_beta3=1"], "Did you mean 'adam_beta"),
        (["--model", "tiny", "--config", "no.yaml"], "no.yaml: no such configuration file"),
        ([], "nothing says model: give --model"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(
    arguments: list[str], message: str, cli: Cli, pairs: Path, tmp_path: Path
):
    result = cli("train", pairs, *arguments, "--out", tmp_path / "out")
    assert result.status == 2
    assert message in result.err
    assert "Traceback" not in result.err


def test_unknown_choice_is_refused_with_the_choices(cli: Cli, pairs: Path):
    result = cli("train", pairs, "--model", "tiny", "--loss", "dop")
    assert result.status == 2
    assert "dpo" in result.err


def test_losses_are_listed_with_equation_and_source(cli: Cli):
    result = cli("losses")
    assert result.status == 0
    shown = " ".join(result.out.split())
    for losses in OBJECTIVES.values():
        for name, loss in losses.items():
            assert f"{name} {loss.equation} " in shown
            assert loss.source in shown
            for option, value in loss.options.items():
                assert f"--{option.replace('_', '-')}={value:g}" in shown
    assert "reads p; no reference (s = log pi); mean over tokens; --beta=2" in shown
    assert "margin not read; needs a reference; sum over tokens; --beta=0.1" in shown


def test_help_shows_the_options_of_training(cli: Cli):
    done = cli("train", "--help")
    assert done.status == 0
    assert "--margin-column" in done.out
