"""The commands and code of docs/evaluation.md run as written, and its schemas are the files'."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from margintool import score
from tests.conftest import ROOT
from tests.docs.test_docs import code_lines
from tests.score.conftest import shp_row

PAGE = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
SECTIONS = ("Models", "Time and memory")


def first_column(section: str) -> list[str]:
    """The names in the first column of a section's table."""
    body = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in body.splitlines() if line.startswith("|")][2:]
    return [name.strip() for row in rows for name in row.split(",")]


def test_the_page_runs_as_written_and_its_schemas_are_true(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [shp_row(3 + n, 2 + n % 2, 3 * n) for n in range(12)]
    Path("votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(source="shp", input="votes.jsonl", out="pairs.parquet")
    first = [line.strip() for line in PAGE.split("\n## ")[0].splitlines() if line[:4] == "    "]
    lines = [*first, *(line for section in SECTIONS for line in code_lines(section, PAGE))]
    assert len(lines) == 8
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "margintool"
        done = cli(*words[1:])
        assert done.status == 0, f"{line}\n{done.err}"
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    assert 0 <= names["accuracy"] <= 1
    assert len(names["predictions"]) > len(names["result"].predictions["mmpo"])
    report = json.loads(Path("compared/evaluation.json").read_text())
    assert list(report) == first_column("evaluation.json")
    for picture in re.findall(r"`(\w+\.png)`", PAGE):
        assert (tmp_path / "compared" / picture).is_file()
    schema = pq.read_schema("compared/dpo/predictions.parquet")
    assert schema.names == first_column("predictions.parquet")
    for key in re.findall(r"`(margintool_\w+)`", PAGE):
        assert key.encode() in schema.metadata
