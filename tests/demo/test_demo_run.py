"""`margintool demo` as a user runs it: to the end, stopped and gone on with, on a wrong folder."""

import contextlib
import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from margintool.demo.heldout import predict, read_heldout, sigmoid
from margintool.demo.model_run import ModelRun, is_finished
from margintool.demo.outcome import numbers
from margintool.demo.run import open_folder
from margintool.demo.settings import DemoOptions, budget
from margintool.demo.workers import train_all
from mmpo_core.errors import InputError
from tests.conftest import ROOT

QUICK = ("--quick", "--seeds", "2")


def start_demo(folder):
    code = (
        "import signal\n"
        # a job in the background ignores it
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from margintool.cli import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "demo", "--out", str(folder), *QUICK],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_about(folder):
    """Logs in this folder that living processes write to."""
    found = []
    for output in Path("/proc").glob("[0-9]*/fd/[12]"):
        with contextlib.suppress(OSError):  # the process has ended meanwhile
            found.append(str(output.readlink()))
    return [path for path in found if path.startswith(str(folder))]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A demo that got Ctrl-C when its first model was finished: folder, output, exit status."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    process = start_demo(folder)
    deadline = time.monotonic() + 120
    while not list(folder.glob("*/predictions.json")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    return folder, output, process.returncode


def test_ctrl_c_ends_every_process_and_says_that_the_command_goes_on(stopped):
    folder, output, status = stopped
    assert status == 130
    assert "The same command goes on from here" in output
    assert "Traceback" not in output
    if sys.platform == "linux":
        assert processes_about(folder) == []
    assert not (folder / "results.json").exists()


@pytest.fixture(scope="module")
def finished(stopped):
    """The same command again, to its end: folder and output."""
    folder, _, _ = stopped
    kept = {path: path.read_bytes() for path in folder.glob("*/predictions.json")}
    output, _ = start_demo(folder).communicate(timeout=300)
    return folder, output, kept


def test_the_same_command_keeps_finished_models_and_trains_the_rest(finished):
    folder, output, kept = finished
    assert output.count("kept from an earlier run") == len(kept) >= 1
    assert all(path.read_bytes() == content for path, content in kept.items())
    names = ["hard-seed0", "hard-seed1", "mmpo-seed0", "mmpo-seed1"]
    assert sorted(path.parent.name for path in folder.glob("*/predictions.json")) == names


def test_results_hold_what_the_kept_models_predict(finished):
    """One model is loaded again and asked again; its numbers are those of results.json."""
    folder, _, _ = finished
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    heldout = read_heldout(folder / "heldout.jsonl.gz")
    gaps = predict(folder / "hard-seed1", heldout)
    again = numbers(sigmoid(gaps), heldout)
    assert again == pytest.approx(results["arms"]["hard"]["seeds"]["1"], abs=1e-5)
    assert (results["training_pairs"], results["heldout_pairs"]) == (36, 60)
    assert results["settings"]["training_seeds"] == [0, 1]


def test_predictions_turn_round_with_the_pair(finished):
    """h(A, B) = r(A) - r(B) = -h(B, A)."""
    folder, _, _ = finished
    heldout = read_heldout(folder / "heldout.jsonl.gz")
    names = {"chosen": "rejected", "rejected": "chosen"}
    columns = [names.get(name, name) for name in heldout.table.column_names]
    turned = replace(heldout, table=heldout.table.rename_columns(columns))
    model = folder / "mmpo-seed0"
    np.testing.assert_allclose(predict(model, turned), -predict(model, heldout), atol=1e-6)


def test_arms_trained_on_the_targets_they_claim(finished):
    """mmpo: the mean share of the votes; hard: 1 for every pair, as no pair ties."""
    folder, _, _ = finished
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    runs = {
        arm: json.loads((folder / f"{arm}-seed0" / "run.json").read_text(encoding="utf-8"))
        for arm in ("mmpo", "hard")
    }
    assert runs["hard"]["arguments"]["gamma"] == "inf"
    assert runs["mmpo"]["arguments"]["gamma"] is None
    assert runs["mmpo"]["steps"] == runs["hard"]["steps"] == math.ceil(36 / 16)
    assert results["mean_target"] == pytest.approx(0.72, abs=0.06)


def test_the_output_has_the_table_the_conclusion_and_the_commands(finished):
    folder, output, _ = finished
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert " ".join(results["conclusion"].split()) in " ".join(output.split())
    for command in results["commands"]:
        assert command in output
    assert (folder / "demo.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_printed_commands_parse(finished):
    """Every option of every printed command exists and takes the value that is given."""
    import shlex

    import typer

    from margintool.cli import app

    folder, _, _ = finished
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    group = typer.main.get_command(app)
    for command in results["commands"]:
        program, name, *arguments = shlex.split(command)
        assert program == "margintool"
        group.commands[name].make_context(name, arguments)


def test_a_run_with_another_option_is_not_taken_for_finished(finished):
    folder, _, _ = finished
    training = {**budget(DemoOptions(quick=True)).training, "seed": 0}
    run = ModelRun(
        title="MMPO targets, seed 0",
        folder=str(folder / "mmpo-seed0"),
        pairs=str(folder / "pairs.parquet"),
        heldout=str(folder / "heldout.jsonl.gz"),
        training=training,
    )
    assert is_finished(run)
    assert not is_finished(replace(run, training={**training, "lr": 2e-3}))
    assert not is_finished(replace(run, pairs=run.heldout))
    assert not is_finished(replace(run, folder=str(folder)))


def test_another_seed_in_the_same_folder_is_refused(finished, cli):
    folder, _, _ = finished
    result = cli("demo", "--out", folder, "--quick", "--seed", "7")
    assert result.status == 2
    assert "holds a demo with other settings (seed, simulation)" in result.err


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path, cli):
    (tmp_path / "thesis.txt").write_text("mine")
    result = cli("demo", "--out", tmp_path)
    assert result.status == 2
    assert "not a demo's folder" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    result = cli("demo", "--out", tmp_path / "thesis.txt")
    assert result.status == 2
    result = cli("demo", "--out", tmp_path / "thesis.txt" / "demo")
    assert result.status == 2
    assert "cannot be written" in result.err


def test_a_damaged_settings_file_is_named(tmp_path):
    (tmp_path / "demo.json").write_text("{")
    with pytest.raises(InputError, match=r"demo\.json"):
        open_folder(DemoOptions(out=tmp_path), budget(DemoOptions()))


def test_a_failing_training_process_is_reported_with_its_last_words(tmp_path):
    run = ModelRun("a model", str(tmp_path / "m"), "p.parquet", "h.jsonl.gz", {"no_option": 1})
    with pytest.raises(RuntimeError, match=r"training-1\.log:\n(.*\n)+.*'no_option'"):
        train_all([run], tmp_path, lambda line: None)


def test_a_training_process_ends_when_the_demo_is_killed():
    """A kill -9 of the demo closes the pipe to its processes, which is all they can see of it."""
    run = ModelRun("a model", "m", "p.parquet", "h.jsonl.gz", budget(DemoOptions()).training)
    process = subprocess.Popen(
        [sys.executable, "-m", "margintool.demo.workers"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, complaint = process.communicate(json.dumps([asdict(run)]) + "\n", timeout=60)
    # A missing pair file would be told with a traceback: it did not come so far.
    assert (process.returncode, complaint) == (1, "")
