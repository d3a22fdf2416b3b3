"""The commands of docs/report.md run as written, and so do those that the page says made it."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from margintool import score
from tests.conftest import ROOT
from tests.docs.test_docs import code_lines
from tests.report_page.outline import Outline
from tests.score.conftest import shp_row

PAGE = (ROOT / "docs/report.md").read_text(encoding="utf-8")


def test_the_commands_run_as_written(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [shp_row(3 + n, 2 + n % 2, 3 * n) for n in range(12)]
    Path("votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(source="shp", input="votes.jsonl", out="pairs.parquet")
    first = [line.strip() for line in PAGE.split("\n## ")[0].splitlines() if line[:4] == "    "]
    lines = [*first, *code_lines("A pair file alone", PAGE)]
    assert len(lines) == 6
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "margintool"
        done = cli(*words[1:])
        assert done.status == 0, f"{line}\n{done.err}"
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
