"""The commands of docs/mt_bench.md run as written, in their order, on four questions."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpo_core import models
from tests.conftest import ROOT
from tests.core.conftest import micro_model
from tests.docs.pages import code_lines
from tests.docs.test_docs import prices
from tests.judge.conftest import MockJudge, start_mock
from tests.mt_bench.conftest import QUESTIONS, REFERENCES, write

__all__ = ["micro_model", "start_mock"]  # fixtures

SECTIONS = ("Try it without a key", "A real run")


def test_the_commands_run_as_written(
    cli: Callable[..., Any],
    start_mock: Callable[..., MockJudge],
    micro_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Replaced are the judge's name, the large model, and the servers' ports."""
    monkeypatch.chdir(tmp_path)
    judge = start_mock()
    monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
    for name in ("tiny", "mistral-7b-instruct"):
        monkeypatch.setitem(models.MODELS, name, str(micro_model))
    write(tmp_path / "question.jsonl", QUESTIONS)
    write(tmp_path / "gpt-4.jsonl", REFERENCES)
    text = (ROOT / "docs/mt_bench.md").read_text(encoding="utf-8")
    lines = list(code_lines(text, *SECTIONS))
    assert len(lines) == 7
    for line in lines:
        if line.startswith("export"):
            assert re.fullmatch(r"export OPENAI_BASE_URL=http://127.0.0.1:8000/v1", line)
            continue
        here = line.replace("gpt-4o", "mock-judge").replace("my-model", "mock-judge")
        words = shlex.split(here.replace("http://localhost:8001/v1", judge.url))
        assert words[0] == "margintool"
        if words[1:3] == ["judge", "mock-server"]:
            assert words[3:] == ["--port", "8000"]
            continue
        priced = ["--prices", prices(tmp_path)] if "--max-cost" in words else []
        shorter = [] if "--answers" in words else ["--max-new-tokens", "4"]
        done = cli(*words[1:], *priced, *shorter)
        assert done.status == 0, f"{line}\n{done.err}"
    assert (tmp_path / "tiny-bench" / "mt_bench.parquet").is_file()
    assert (tmp_path / "mistral" / "mt_bench.json").is_file()
    assert (tmp_path / "served" / "model_answer.jsonl").is_file()
