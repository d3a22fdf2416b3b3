"""The commands of docs/report.md run as written, and so do those that the page says made it."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.docs.pages import code_lines, first_lines, run_as_written, write_twelve_pairs
from tests.report_page.outline import Outline

PAGE = (ROOT / "docs/report.md").read_text(encoding="utf-8")


def test_the_commands_run_as_written(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_twelve_pairs()
    lines = [*first_lines(PAGE), *code_lines(PAGE, "A pair file alone")]
    assert len(lines) == 6
    run_as_written(cli, lines)
    outline = Outline(Path("report.html").read_text(encoding="utf-8"))
    shown = [a["id"] for a in outline.named("section")]
    results = "runs held-out reliability by-margin overfitting training examples"
    assert shown == [*results.split(), "data", "targets", "commands"]
    texts = "\n".join(outline.texts).splitlines()
    made = [line for line in texts if line.startswith("margintool ")]
    assert [shlex.split(line)[1] for line in made] == ["score", "train", "train", "evaluate"]
    again = {"score": ["--out", "again.parquet"], "train": ["--plan"], "evaluate": []}
    for line in made:
        words = shlex.split(line)[1:]
        done = cli(*words, *again[words[0]])
        assert done.status == 0, f"{line}\n{done.err}"
    assert pq.read_table("again.parquet").equals(pq.read_table("pairs.parquet"))
