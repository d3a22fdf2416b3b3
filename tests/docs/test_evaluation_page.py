"""The commands and code of docs/evaluation.md run as written, and its schemas are the files'."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.docs.pages import (
    code_lines,
    first_column,
    first_lines,
    run_as_written,
    write_twelve_pairs,
)

PAGE = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
SECTIONS = ("Models", "Time and memory")


def test_the_page_runs_as_written_and_its_schemas_are_true(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_twelve_pairs()
    lines = [*first_lines(PAGE), *code_lines(PAGE, *SECTIONS)]
    assert len(lines) == 8
    run_as_written(cli, lines)
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    assert 0 <= names["accuracy"] <= 1
    assert len(names["predictions"]) > len(names["result"].predictions["mmpo"])
    report = json.loads(Path("compared/evaluation.json").read_text())
    assert list(report) == first_column(PAGE, "evaluation.json")
    for picture in re.findall(r"`(\w+\.png)`", PAGE):
        assert (tmp_path / "compared" / picture).is_file()
    schema = pq.read_schema("compared/dpo/predictions.parquet")
    assert schema.names == first_column(PAGE, "predictions.parquet")
    for key in re.findall(r"`(margintool_\w+)`", PAGE):
        assert key.encode() in schema.metadata
