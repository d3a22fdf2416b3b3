"""`margintool best-of-n` killed from outside while a server answers: the same command goes on."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.best_of_n.conftest import PROMPTS
from tests.conftest import ROOT, CliResult
from tests.judge.scripted_server import Try, completion, good, scripted

N, IN_FLIGHT = 8, 2
ENOUGH = 5  # answers on the disk, and it is killed
PATIENCE = 120.0  # seconds until then


def draw(one: Try) -> Any:
    """Answer with what the question and the seed alone decide."""
    return good(completion(f"to {one.question} {one.body['seed']}"))


def lines_of(path: Path) -> list[bytes]:
    """Whole lines; a last one that was cut is none."""
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def kill_midway(command: list[str], written: Path) -> None:
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + PATIENCE
    try:
        while len(lines_of(written)) < ENOUGH:
            if child.poll() is not None or time.monotonic() > end:
                pytest.fail(f"ended, or did not begin: {child.communicate()}")
            time.sleep(0.005)
    finally:
        child.kill()
        child.communicate()


@pytest.mark.slow
def test_no_answer_is_lost_and_none_asked_for_twice(
    best_of_n: Callable[..., CliResult], scorers: Path, prompts: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    with scripted(draw, latency=0.1) as server:
        given = [
            "--prompts", prompts, "--policy", "mine", "--server-url", server.url, "-n", N,
            "--concurrency", IN_FLIGHT, "--reward", scorers / "reward",
        ]  # fmt: skip
        command = [sys.executable, "-m", "margintool", "best-of-n", *map(str, given)]
        kill_midway([*command, "--device", "cpu", "--out", str(out)], out / "generated.jsonl")
        before = [one for one in lines_of(out / "generated.jsonl") if one.endswith(b"\n")]
        number = len(PROMPTS) * N
        assert ENOUGH <= len(before) < number
        asked = len(server.tries)
        assert asked <= len(before) + 2 * IN_FLIGHT
        again = best_of_n(*given, "--out", out)
        assert again.status == 0, again.err
        assert len(server.tries) - asked == number - len(before)
        assert best_of_n(*given, "--out", whole).status == 0
    after = lines_of(out / "generated.jsonl")
    assert after[: len(before)] == before
    keys = [json.loads(line)["key"] for line in after]
    assert len(keys) == len(set(keys)) == number
    tables = [pq.read_table(folder / "candidates.parquet").to_pylist() for folder in (out, whole)]
    assert tables[0] == tables[1]
