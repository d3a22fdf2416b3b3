"""`margintool sweep` as typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpo_core.pair_file import write_pairs
from tests.core.pair_tables import METADATA, pair_table

Cli = Callable[..., Any]
OPTIONS = ["--model", "tiny", "--lr", "1e-3", "--batch-size", 4, "--max-length", 64]
OPTIONS += ["--device", "cpu", "--eval-split", 0.25, "--max-steps", 1]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([0.5, 1.0, 1.5, 2.0] * 2), path, METADATA)
    return path


def test_plans_trains_compares_and_is_done(cli: Cli, pairs: Path, tmp_path: Path):
    command = ["sweep", pairs, *OPTIONS, "--gamma", "0.3,2", "--out", tmp_path / "out"]
    planned = cli(*command, "--dry-run")
    assert planned.status == 0, planned.err
    assert "2, 2 of them to do" in planned.out
    assert not (tmp_path / "out").exists()

    done = cli(*command)
    assert done.status == 0, done.err
    assert "run 2 of 2: mmpo_gamma2_beta0.1_lr0.001_seed0" in done.err
    assert "step 1/1" not in done.err  # of a single run
    assert max(map(len, done.out.splitlines())) <= 80
    said = " ".join(done.out.split())
    for text in ("gamma accuracy ECE NLL margin", "by mean NLL; with one seed nothing says"):
        assert text in said
    assert "2 pairs of 2 prompts, the same in every run, against the file's own p_chosen" in said

    again = cli(*command)
    assert again.status == 0
    assert again.out == done.out
    assert "run 1" not in again.err


def test_a_failed_run_is_status_1_and_named(
    cli: Cli, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr("mmpo_core.trainer.MMPOTrainer.pair_losses", broken)
    result = cli("sweep", pairs, *OPTIONS, "--out", tmp_path / "out")
    assert result.status == 1
    assert "1 of 1 runs failed" in result.err
    assert "RuntimeError: no luck" in result.out
    assert "no setting has all its runs" in result.out


def test_options_come_from_a_file_and_a_recipe(cli: Cli, pairs: Path, tmp_path: Path):
    config = tmp_path / "sweep.yaml"
    config.write_text("gamma: [0.3, file]\nlr: 1e-4\nseeds: 2\nout: s\nmargin_column: margin\n")
    result = cli(
        "sweep", pairs, "--config", config, "--preset", "gemma-2b-ultrafeedback", "--model", "tiny",
        "--dry-run",
    )  # fmt: skip
    assert result.status == 0, result.err
    assert "mmpo_gamma0.3_beta0.01_lr0.0001_seed1" in result.out
    assert "mmpo_gammafile_beta0.01_lr0.0001_seed0" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gamma", "0.3;1"], "gamma: expected numbers, inf or file, got '0.3;1'"),
        (["--eval-split", 0], "a sweep compares its runs on held-out pairs"),
        (["--eval-gamma", "soft"], "neither a number nor 'file'"),
        (["--seed", 3], "No such option"),
        (["--resume"], "No such option"),
    ],
)
def test_bad_usage_is_status_2(
    arguments: list[Any], message: str, cli: Cli, pairs: Path, tmp_path: Path
):
    result = cli("sweep", pairs, "--model", "tiny", "--out", tmp_path / "out", *arguments)
    assert result.status == 2
    assert message in result.err
    assert "Traceback" not in result.err


def test_help_shows_the_options_of_a_sweep(cli: Cli):
    done = cli("sweep", "--help")
    assert done.status == 0
    assert "--eval-gamma <float|file>" in done.out
    assert "--seed " not in done.out


def test_json_of_infinite_gammas_is_json(cli: Cli, pairs: Path, tmp_path: Path):
    result = cli(
        "sweep", pairs, *OPTIONS, "--gamma", "inf", "--eval-gamma", "inf", "--out", tmp_path / "out"
    )
    assert result.status == 0, result.err
    content = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert content["arguments"]["gamma"] == ["inf"]
    assert content["settings"][0]["gamma"] == "inf"
    assert content["targets_of_held_out_pairs"] == "inf"
