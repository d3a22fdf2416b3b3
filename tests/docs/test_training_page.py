"""The commands of docs/training.md run as written, in their order, on a few pairs."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margintool import score
from tests.conftest import ROOT
from tests.docs.test_docs import code_lines
from tests.layouts.conftest import assistant, user
from tests.score.conftest import shp_row

SECTIONS = (
    "The supervised step before",
    "Adapters",
    "Sweeps",
)


def test_the_commands_run_as_written(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [shp_row(3 + n, 2 + n % 2, 3 * n) for n in range(12)]
    Path("votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(source="shp", input="votes.jsonl", out="pairs.parquet")
    chats = [{"messages": [user(f"Why {n}?"), assistant(f"So {n}.")]} for n in range(12)]
    Path("chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    text = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    first = [line.strip() for line in text.split("\n## ")[0].splitlines() if line[:4] == "    "]
    lines = [*first, *(line for section in SECTIONS for line in code_lines(section, text))]
    assert len(lines) == 9
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "margintool"
        done = cli(*words[1:])
        assert done.status == 0, f"{line}\n{done.err}"
    for folder in ("policy", "reward", "sft-model", "after-sft", "merged"):
        assert (tmp_path / folder / "model.safetensors").is_file()
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "sweep" / "sweep.png").stat().st_size > 10_000
