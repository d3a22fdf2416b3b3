"""`margintool train --plan` as typed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpo_core.pair_file import write_pairs
from tests.core.pair_tables import METADATA, pair_table


def test_prints_the_plan_loads_and_writes_nothing(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    prompts = ["short"] * 5 + ["long " * 40]
    write_pairs(pair_table([1.0] * 6, prompts), tmp_path / "pairs.parquet", METADATA)
    loaded: list[str] = []
    monkeypatch.setattr("mmpo_core.train_setup.load_start", lambda *_: loaded.append("weights"))
    result = cli(
        "train", "pairs.parquet", "--model", "tiny", "--plan", "--eval-split", 0, "--batch-size",
        2, "--max-length", 64, "--overlong", "drop", "--device", "cpu",
    )  # fmt: skip
    assert result.status == 0, result.err
    assert not loaded
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.parquet"]
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(result.out.split())
    for part in (
        "3,085,568, 3,085,568 of them trained",  # 2 * 262 * 256 + 4 * (737,792) + 256
        "5 of 6 kept; 1 dropped (overlong)",
        "steps 3 (3 an epoch) of 2 pairs",
        "weights 12.3 MB",
        "optimizer 24.7 MB",
        "on 5 pairs once; how many are in the cache is not known",
    ):
        assert part in text
