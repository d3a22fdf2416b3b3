"""`score --source similarity` interrupted and killed: it goes on, and nothing is embedded twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from margintool import score
from margintool.similarity.embedder import Embedder
from margintool.similarity.parts import SUFFIX, read_part
from tests.conftest import ROOT
from tests.judge.judged_rows import pair
from tests.score.conftest import write_jsonl
from tests.similarity.small_models import WORDS

__all__ = ["write_jsonl"]  # fixture

PAIRS = 40
# A `score` that computes 8 texts a forward pass, slowly, each part written at once.
SLOW = """
import sys, time
from margintool.cli import main
from margintool.similarity import store
from margintool.similarity.embedder import Embedder

store.PART_SECONDS = 0.0
whole = Embedder._embed
def slow(self, readings):
    time.sleep(0.05)
    return whole(self, readings)
Embedder._embed = slow
main()
"""


@pytest.fixture
def rows(write_jsonl: Callable[..., Path]) -> Path:
    texts = [" ".join(WORDS[n % 20 :]) + f" {n}" for n in range(2 * PAIRS)]
    return write_jsonl([pair(n, texts[2 * n], texts[2 * n + 1]) for n in range(PAIRS)])


@pytest.fixture
def asked(rows: Path, small_path: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "source": "similarity",
        "input": rows,
        "out": tmp_path / "pairs.parquet",
        "similarity_model": str(small_path),
        "batch_tokens": 32,  # one text or two at a time
    }


class Embedded:
    """Which texts were embedded, and an interrupt after so many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: list[str] = []
        self.stop_after: int | None = None
        whole = Embedder.stream

        def counted(embedder: Embedder, texts: Any) -> Iterator[Any]:
            for places, made in whole(embedder, texts):
                if self.stop_after is not None and len(self.texts) >= self.stop_after:
                    raise KeyboardInterrupt
                read = [texts[place] for place in places.tolist()]
                self.texts += [text for text in read if text[-1].isdigit()]  # not the probes
                yield places, made

        monkeypatch.setattr(Embedder, "stream", counted)


def test_interrupted_and_started_again_nothing_is_embedded_twice(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = score(**{**asked, "out": tmp_path / "whole.parquet"}).out
    embedded = Embedded(monkeypatch)
    for stop_after in (20, 50):
        embedded.stop_after = stop_after
        with pytest.raises(KeyboardInterrupt):
            score(**asked)
        assert stop_after <= len(embedded.texts) < 2 * PAIRS
        assert not asked["out"].exists()
    embedded.stop_after = None
    made = score(**asked)
    same_pairs(made.out, whole)
    assert len(embedded.texts) == 2 * PAIRS
    assert len(set(embedded.texts)) == 2 * PAIRS


def start(asked: dict[str, Any]) -> "subprocess.Popen[str]":
    options = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, "score", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"pairs.embeddings/*/[0-9]*{SUFFIX}"))


def same_pairs(made: Path, whole: Path) -> None:
    """Same rows in the same order; margins up to what the company in a batch changes."""
    one, other = (pq.read_table(path) for path in (made, whole))
    texts = ["pair_id", "prompt", "chosen", "rejected", "origin"]
    assert one.select(texts).equals(other.select(texts))
    margin, expected = (table.column("margin_raw").to_numpy() for table in (one, other))
    np.testing.assert_allclose(margin, expected, atol=1e-6)


@pytest.mark.parametrize(
    "ending", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_killed_and_started_again(
    asked: dict[str, Any], small_path: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    whole = score(**{**asked, "out": tmp_path / "whole.parquet"}).out
    process = start(asked)
    deadline = time.monotonic() + 120
    while len(parts(tmp_path)) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(ending)
    process.communicate(timeout=60)
    assert process.returncode == (143 if ending == signal.SIGTERM else -ending)
    kept = sum(len(read_part(path, 16)) for path in parts(tmp_path))
    assert 0 < kept < 2 * PAIRS
    made = score(**asked)
    same_pairs(made.out, whole)
    told = dict(made.findings)["texts"]
    assert f"{2 * PAIRS - kept} computed now" in told
    assert f"{kept} stored before" in told
    assert sum(len(read_part(path, 16)) for path in parts(tmp_path)) == 2 * PAIRS
