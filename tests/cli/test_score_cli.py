"""`margintool score` as a user types it: output, errors, exit statuses, interruption."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.score.conftest import long_row, shp_row

Cli = Callable[..., Any]


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    path = tmp_path / "votes.jsonl"
    rows = [shp_row(9, 2, 0), shp_row(2, 7, 3), shp_row(-1, 2, 6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_summary_says_what_happened(cli: Cli, votes: Path, tmp_path: Path) -> None:
    done = cli("score", "--source", "shp", "--input", votes, "--out", tmp_path / "p.parquet")
    assert done.status == 0
    for text in ("3 rows", "2 pairs", "votes_negative 1", "flipped", "ties", "mean target"):
        assert text in done.out
    assert done.err == ""


def test_several_inputs_keep_their_order(cli: Cli, votes: Path, tmp_path: Path) -> None:
    more = tmp_path / "a_more.jsonl"
    more.write_text(json.dumps(shp_row(5, 3, 30)) + "\n")
    out = tmp_path / "p.parquet"
    done = cli("score", "--source", "shp", "--input", votes, "--input", more, "--out", out)
    assert done.status == 0
    origins = pd.read_parquet(out)["origin"].tolist()
    assert origins == [f"{votes}:1", f"{votes}:2", f"{more}:1"]


def test_column_map_with_a_struct_path(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"q": "x", "answer": f"a{i}", "scores": {"fun": str(i)}} for i in (1, 4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "p.parquet"
    mapping = "prompt=q,response=answer,rating=scores.fun"
    done = cli("score", "--source", "ratings", "--input", path, "--map", mapping, "--out", out)
    assert done.status == 0, done.err
    pairs = pd.read_parquet(out)
    assert pairs[["prompt", "chosen", "margin_raw"]].values.tolist() == [["x", "a4", 3]]


def test_gamma_takes_a_number_inf_or_auto(cli: Cli, votes: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    base = ("score", "--source", "shp", "--input", votes, "--out", out, "--overwrite", "--gamma")
    assert cli(*base, "inf").status == 0
    assert pd.read_parquet(out)["p_chosen"].tolist() == [1, 1]
    assert cli(*base, "0").status == 0
    assert pd.read_parquet(out)["p_chosen"].tolist() == [0.5, 0.5]
    assert cli(*base, "auto").status == 0
    wrong = cli(*base, "high")
    assert wrong.status == 2
    assert "neither a number nor 'auto'" in wrong.err


def test_debug_shows_the_traceback(cli: Cli, tmp_path: Path) -> None:
    args = ("score", "--source", "shp", "--input", tmp_path / "no.jsonl", "--out", tmp_path / "p")
    quiet = cli(*args)
    assert quiet.status == 2
    assert "Traceback" not in quiet.err
    with pytest.raises(Exception, match="no such file"):
        cli(*args, "--debug")


@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        (OSError(28, "No space left on device"), 2, "the disk is full"),
        (RuntimeError("a bug"), 1, "failed: RuntimeError: a bug"),
    ],
)
def test_failures_are_one_message(
    cli: Cli,
    votes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    status: int,
    message: str,
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr("margintool.pipeline.first_pass", fail)
    done = cli("score", "--source", "shp", "--input", votes, "--out", tmp_path / "p.parquet")
    assert done.status == status
    assert message in done.err
    assert "Traceback" not in done.err


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
import margintool.pipeline as pipeline
from margintool.cli import main
write = pipeline.PairWriter.write
def slow(self, table):
    write(self, table)
    print("writing", flush=True)
    time.sleep(60)
pipeline.PairWriter.write = slow
main()
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_interrupted_in_the_middle_leaves_no_partial_output(
    votes: Path, tmp_path: Path, sent: signal.Signals, status: int, cli: Cli
) -> None:
    out = tmp_path / "out" / "pairs.parquet"
    args = ["score", "--source", "shp", "--input", str(votes), "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert not out.exists()
    left = names_in(out.parent)
    if sent == signal.SIGKILL:
        assert all(name.startswith(".") for name in left)  # nothing that looks like a result
    else:
        assert left == []
        assert "Traceback" not in err
    assert cli(*args).status == 0  # the next run works, and clears what a killed one left
    assert names_in(out.parent) == ["pairs.parquet", "pairs.rejects.parquet"]


def test_runs_from_python_with_the_same_result(cli: Cli, votes: Path, tmp_path: Path) -> None:
    from margintool import score

    cli("score", "--source", "shp", "--input", votes, "--out", tmp_path / "cli.parquet")
    score(source="shp", input=votes, out=tmp_path / "python.parquet")
    left, right = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("cli", "python"))
    pd.testing.assert_frame_equal(left, right)


def test_pandas_reads_plain_text_and_numbers(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    rows = [long_row("about python", "a", 3), long_row("about python", "b", 8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "p.parquet"
    assert cli("score", "--source", "ratings", "--input", path, "--out", out).status == 0
    pairs = pd.read_parquet(out)
    assert len(pairs[pairs.prompt.str.contains("python")]) == 1
    assert pairs.dtypes[["margin_raw", "margin", "p_chosen", "weight"]].eq("float64").all()


def test_started_progress_is_silent_when_piped(votes: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "margintool", "score", "--source", "shp"]
        + ["--input", str(votes), "--out", str(tmp_path / "p.parquet")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
