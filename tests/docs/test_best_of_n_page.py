"""The commands of docs/best_of_n.md run as written, in their order, and its columns are true."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mmpo_core import models
from tests.best_of_n.conftest import PROMPTS, write
from tests.conftest import ROOT
from tests.core.conftest import micro_model
from tests.core.evaluate.evaluated import write_file
from tests.docs.pages import first_column
from tests.judge.scripted_server import completion, good, scripted

__all__ = ["micro_model"]  # fixture

PAGE = (ROOT / "docs/best_of_n.md").read_text(encoding="utf-8")


def give_temperatures(path: Path) -> None:
    """Put in temperatures, which cannot be fitted on so few prompts."""
    report = json.loads(path.read_text())
    for model in report["models"].values():
        assert "too few" in model["temperature"]["reason"]
        model["temperature"] = {"temperature": {"value": 0.5}}
    path.write_text(json.dumps(report))


def test_the_commands_run_as_written(
    cli: Callable[..., Any], micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaced are the model, the server's port, and temperatures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(models.MODELS, "tiny", str(micro_model))
    monkeypatch.setattr("mmpo_core.evaluate.plots.plot_evaluation", lambda *_: [])
    write_file(tmp_path / "pairs.parquet")
    write_file(tmp_path / "heldout.parquet", seed=1)
    write(tmp_path / "prompts.jsonl", [{"prompt": text} for text in PROMPTS])
    lines = [line.strip() for line in PAGE.splitlines() if line.startswith("    ")]
    assert len(lines) == 8
    with scripted(lambda one: good(completion(f"to {one.question}"))) as server:
        for line in lines:
            words = shlex.split(line.replace("http://localhost:8001/v1", server.url))
            assert words[0] == "margintool"
            done = cli(*words[1:])
            assert done.status == 0, f"{line}\n{done.err}"
            if words[1] == "evaluate":
                give_temperatures(tmp_path / "evaluated" / "evaluation.json")
    table = pq.read_table("best-of-n/candidates.parquet")
    assert table.column_names == first_column(PAGE, "candidates.parquet")
    assert table.num_rows == 8 * len(PROMPTS)
    # the last command: rewards below 0 are no reason to reject a pair
    assert pq.read_metadata("best-worst.parquet").num_rows == len(PROMPTS)
    assert not Path("best-worst.rejects.parquet").exists()
    made = {path.name for path in Path("best-of-n").iterdir() if path.suffix != ".lock"}
    named = {line.split("|")[1].strip() for line in PAGE.splitlines() if line.startswith("| ")}
    assert made <= named
    assert {"reward_reward", "reward_policy"} <= set(
        pq.read_schema("by-both/candidates.parquet").names
    )
