"""`margintool experiment` as a user runs it, at the quick size."""

import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from margintool.cli import app, run
from margintool.experiments.comparing import finding
from margintool.experiments.options import CalibrationOptions, OverfittingOptions
from margintool.experiments.record import (
    EXPERIMENT_FILE,
    PAGE_FILE,
    PAPER,
    RUN_FILES,
    Record,
    finish,
)
from margintool.experiments.registry import EXPERIMENTS
from margintool.experiments.running import begin
from margintool.experiments.table import markdown, with_results
from mmpo_core.errors import InputError
from mmpo_core.evaluate.intervals import Estimate
from mmpo_core.pair_file import read_pairs
from mmpo_core.trainer import PairTrainer
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
ARMS = {"synthetic": 4, "calibration": 4, "overfitting": 2, "cross-dataset": 4}


def check_content(name: str, folder: Any) -> dict[str, Any]:
    """Assert what holds for every finished experiment; return experiment.json's content."""
    content: dict[str, Any] = json.loads((folder / EXPERIMENT_FILE).read_text())
    assert content["experiment"] == name
    assert content["seeds"] == [0, 1]
    assert len(list(folder.glob("sweeps/*/runs/*/run.json"))) == 2 * ARMS[name]
    for table in content["tables"]:
        assert len(table["rows"]) == ARMS[name]
        for row in table["rows"]:
            assert len(row["cells"]) == len(table["columns"])
    for one in content["differences"]:
        assert math.isfinite(one["mean"])
        bounds = [one["over_seeds"], one["over_prompts"] or one["over_seeds"]]
        clear = all(low > 0 or high < 0 for low, high in bounds)
        # two intervals on different sides of 0 would not be clear either
        same = len({low > 0 for low, _ in bounds}) == 1
        assert (one["verdict"] != "no clear difference") == (clear and same)
        assert one["over_seeds"][0] <= one["mean"] <= one["over_seeds"][1]
    means = {
        (column, row["name"]): cell["mean"]
        for table in content["tables"]
        for row in table["rows"]
        for column, cell in zip(table["columns"], row["cells"], strict=True)
    }
    for one in content["differences"]:
        if found := re.fullmatch(r"(.+?)(?: at the end)?, MMPO less (.+)", one["what"]):
            column, other = found.groups()
            if (column, other) in means:
                gap = means[column, "MMPO"] - means[column, other]
                assert one["mean"] == pytest.approx(gap)
    assert len(content["verdicts"]) == len(content["differences"]) + len(content["claims"])
    for picture in content["pictures"]:
        assert (folder / picture).read_bytes()[:4] == b"\x89PNG"
    return content


WORDS = ("experiment", "overfitting", "--quick", "--seeds", 2, "--epochs", 2, "--out")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An experiment that was interrupted in its second arm, and then went on."""
    out = tmp_path_factory.mktemp("experiment") / "overfitting"
    begun = []

    def interrupt(trainer, *given, **named):
        name = Path(trainer.args.output_dir).name
        begun.append(name)
        if name.startswith("dpo") and name.endswith("seed1") and begun.count(name) == 3:
            raise KeyboardInterrupt
        return compute_loss(trainer, *given, **named)

    compute_loss = PairTrainer.compute_loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PairTrainer, "compute_loss", interrupt)
        assert run([str(word) for word in (*WORDS, out)]) == 130
    assert "verdicts" not in json.loads((out / EXPERIMENT_FILE).read_text())
    states = {path: json.loads(path.read_text())["status"] for path in out.glob(RUN_FILES)}
    finished = [path for path, status in states.items() if status == "finished"]
    assert len(finished) == 3
    before = {path: path.stat().st_mtime_ns for path in finished}
    assert run([str(word) for word in (*WORDS, out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == before
    return out


@pytest.mark.slow
def test_an_experiment_to_its_end_and_again(cli, folder):
    words = (*WORDS, folder)
    content = check_content("overfitting", folder)
    assert "Overfitting" in (folder / PAGE_FILE).read_text()
    (folder / PAGE_FILE).unlink()
    runs = sorted(folder.glob("sweeps/*/runs/*/run.json"))
    before = [path.stat().st_mtime_ns for path in runs]
    done = cli(*words)
    assert done.status == 0, done.err
    for text in ("MMPO", "DPO", "rise", "over training seeds", str(folder / PAGE_FILE)):
        assert text in done.out
    assert (folder / PAGE_FILE).is_file()
    assert [path.stat().st_mtime_ns for path in runs] == before
    again = json.loads((folder / EXPERIMENT_FILE).read_text())
    assert again["tables"] == content["tables"]
    assert again["differences"] == content["differences"]


@pytest.mark.slow
def test_the_numbers_are_those_of_the_evaluations(folder):
    """The mean over seeds in the table is the mean of evaluation.json's values."""
    content = json.loads((folder / EXPERIMENT_FILE).read_text())
    table = content["tables"][0]
    place = table["columns"].index("NLL")
    for arm, row in zip(("mmpo", "dpo"), table["rows"], strict=True):
        values = []
        for seed in (0, 1):
            path = folder / "evaluations" / f"votes-seed{seed}" / "evaluation.json"
            models = json.loads(path.read_text())["models"]
            [label] = [name for name in models if name.startswith(arm)]
            values.append(models[label]["metrics"]["nll"]["value"])
        assert row["cells"][place]["mean"] == pytest.approx(sum(values) / 2)


@pytest.mark.slow
def test_curves_have_a_point_an_epoch_and_end_where_the_evaluation_is(folder):
    path = next(folder.glob("sweeps/mmpo/runs/*_seed0/log_history.jsonl"))
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    measured = [entry for entry in entries if "eval_nll" in entry]
    assert [entry["epoch"] for entry in measured][:2] == [1.0, 2.0]
    report = folder / "evaluations" / "votes-seed0" / "evaluation.json"
    models = json.loads(report.read_text())["models"]
    [label] = [name for name in models if name.startswith("mmpo")]
    assert measured[-1]["eval_nll"] == pytest.approx(
        models[label]["metrics"]["nll"]["value"], abs=1e-4
    )


@pytest.mark.slow
def test_other_settings_are_refused(cli, folder):
    done = cli("experiment", "overfitting", "--quick", "--seeds", 3, "--epochs", 2, "--out", folder)
    assert done.status == 2
    assert "other settings (seeds)" in done.err
    done = cli("experiment", "calibration", "--quick", "--out", folder)
    assert done.status == 2
    assert "holds an experiment with other settings" in done.err


def test_before_the_first_run_an_option_may_be_put_right(tmp_path):
    out = tmp_path / "out"
    begin("calibration", CalibrationOptions(out=out, data=tmp_path / "mistyped.parquet"))
    begin("calibration", CalibrationOptions(out=out, seeds=2))
    assert json.loads((out / EXPERIMENT_FILE).read_text())["settings"]["seeds"] == 2
    run_file = out / "sweeps" / "dpo" / "runs" / "seed0" / "run.json"
    run_file.parent.mkdir(parents=True)
    run_file.write_text("{}")
    begin("calibration", CalibrationOptions(out=out, seeds=2))
    with pytest.raises(InputError, match=r"other settings \(seeds\)"):
        begin("calibration", CalibrationOptions(out=out, seeds=3))
    with pytest.raises(InputError, match="other settings"):
        begin("overfitting", CalibrationOptions(out=out, seeds=2))


def test_results_come_into_their_place_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr("margintool.experiments.record.finished_seconds", lambda out: [60.0, 90.0])
    record = Record("overfitting", [{"what": "votes", "pairs": 5, "held_out_pairs": 4}])
    record.add_difference("ECE", finding([Estimate(-0.1, np.empty(0))] * 2), "less")
    record.add_claim("MMPO overfits less", "better", "better", PAPER)
    content = finish(record, OverfittingOptions(out=tmp_path), 0.0, [])
    assert "2.5 minutes of training" in markdown(content)
    assert "| ECE | -0.100 | -0.100 to -0.100 | - | better |" in markdown(content)
    assert "| MMPO overfits less | the paper | better | agrees |" in markdown(content)
    page = with_results(PAGE, content)
    assert markdown(content) in page
    assert with_results(page, content) == page
    assert "](experiments/a.png)\n\nvotes: 5 pairs" in with_results(
        page, content, ["experiments/a.png"]
    )
    for name in EXPERIMENTS:
        assert page.count(f"<!-- results: {name} -->") == 1
    own = {**content, "experiment": "calibration", "settings": {"data": "votes.parquet"}}
    both = "<!-- results: calibration -->\n<!-- end -->\n<!-- results: calibration, own data -->\n"
    assert with_results(f"{both}<!-- end -->", own) == f"{both}{markdown(own)}<!-- end -->"
    with pytest.raises(InputError, match="no place"):
        with_results("# Nothing", content)
    with pytest.raises(InputError, match="not finished"):
        with_results(PAGE, {"experiment": "overfitting", "settings": {}})


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--seeds", 0), "seeds must be at least 1"),
        (("--seed", 2**32), "seed must lie between"),
        (("--data", "none.parquet"), "no such file"),
    ],
)
def test_what_cannot_be_is_refused(cli, tmp_path, words, complaint):
    done = cli("experiment", "calibration", *words, "--out", tmp_path / "out")
    assert (done.status, complaint in done.err) == (2, True), done.err


def test_a_folder_with_something_else_is_left_alone(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = cli("experiment", "synthetic", "--quick", "--out", tmp_path)
    assert done.status == 2
    assert "not an experiment's folder" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_cross_dataset_wants_two_different_files(cli, tmp_path):
    words = ("experiment", "cross-dataset", "--out", tmp_path / "out", "--data", "a.parquet")
    assert "give two files, got 1" in cli(*words).err


def commands_of_the_page() -> list[list[str]]:
    lines = [line.strip() for line in PAGE.splitlines() if line.startswith("    margintool ")]
    return [shlex.split(line)[1:] for line in lines]


def test_the_commands_of_the_page_are_understood():
    found = [words for words in commands_of_the_page() if words[0] == "experiment"]
    assert {words[1] for words in found} == set(EXPERIMENTS)
    root: Any = get_command(app)
    for _, name, *rest in found:
        context = root.commands["experiment"].commands[name].make_context(name, list(rest))
        assert context.params["out"].name in (name, "own", "two")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["synthetic", "calibration", "cross-dataset"])
def test_every_other_experiment_at_the_quick_size(cli, tmp_path, name):
    done = cli("experiment", name, "--quick", "--seeds", 2, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    check_content(name, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.real_data
def test_calibration_on_real_votes(cli, tmp_path, real_data):
    votes = real_data / "votes" / "eli5_shp_layout.jsonl.gz"
    words = ("--data", votes, "--limit", 20, "--max-length", 96, "--quick", "--seeds", 2)
    done = cli("experiment", "calibration", *words, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    content = check_content("calibration", tmp_path / "out")
    [data] = content["data"]
    assert len(read_pairs(data["train"])) + len(read_pairs(data["held_out"])) == 20


@pytest.mark.slow
@pytest.mark.real_data
def test_cross_dataset_on_real_votes_and_ratings(cli, tmp_path, real_data):
    files = {
        "votes": ("shp", real_data / "votes" / "eli5_shp_layout.jsonl.gz"),
        "ratings": ("ratings", real_data / "ratings" / "arena_bench_long.jsonl.gz"),
    }
    words = []
    for name, (source, path) in files.items():
        out = tmp_path / f"{name}.parquet"
        assert cli("score", "--source", source, "--input", path, "--out", out).status == 0
        words += ["--data", out]
    words += ["--limit", 20, "--max-length", 96, "--quick", "--seeds", 2]
    done = cli("experiment", "cross-dataset", *words, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    check_content("cross-dataset", tmp_path / "out")
