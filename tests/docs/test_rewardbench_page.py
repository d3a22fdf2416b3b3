"""The command and the Python lines of docs/rewardbench.md run as written, on made examples."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpo_core.evaluate.rewardbench.scoring import scores_of
from tests.conftest import ROOT
from tests.core.evaluate.test_rewardbench_scoring import MMPO_7B
from tests.rewardbench.made_rows import rows, write_rows

PAGE = (ROOT / "docs/rewardbench.md").read_text(encoding="utf-8")


def test_the_page_runs_as_written(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(Path("examples.jsonl"), rows(["hep-go", "shp"]))
    lines = [line.strip() for line in PAGE.splitlines() if line.startswith("    ")]
    command, *python = lines
    program, *words = shlex.split(command)
    assert (program, len(python)) == ("margintool", 2)
    done = cli(*words)
    assert done.status == 0, done.err
    first = json.loads(Path("scores/rewardbench.json").read_text())
    exec("\n".join(python), {})
    again = json.loads(Path("scores/rewardbench.json").read_text())
    assert again["models"] == first["models"]


def test_the_figures_of_the_published_checkpoint() -> None:
    found = scores_of(MMPO_7B)
    figures = [f"{100 * score:.1f}" for score in found.sections.values()]
    words = f"{', '.join(figures[:-1])} and {figures[-1]} by the same weights, average "
    assert f"{words}{100 * found.average:.1f}," in PAGE
