"""The commands of docs/training.md run as written, in their order, on a few pairs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.docs.pages import code_lines, first_lines, run_as_written, write_twelve_pairs
from tests.layouts.conftest import assistant, user

SECTIONS = (
    "The supervised step before",
    "Adapters",
    "Sweeps",
)


def test_the_commands_run_as_written(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_twelve_pairs()
    chats = [{"messages": [user(f"Why {n}?"), assistant(f"So {n}.")]} for n in range(12)]
    Path("chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    text = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    lines = [*first_lines(text), *code_lines(text, *SECTIONS)]
    assert len(lines) == 9
    run_as_written(cli, lines)
    for folder in ("policy", "reward", "sft-model", "after-sft", "merged"):
        assert (tmp_path / folder / "model.safetensors").is_file()
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "sweep" / "sweep.png").stat().st_size > 10_000
