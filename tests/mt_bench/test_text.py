"""The table in the terminal."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from margintool.mt_bench.results import MtBench
from margintool.mt_bench.table import table
from margintool.mt_bench.text import print_mt_bench


def printed(rating: list[float], width: int) -> str:
    found = table(np.array(rating), ["humanities", "extraction"], bootstrap=50, seed=0)
    report: dict[str, Any] = {"model": "tiny", "without_verdict": {}, "answers": {}}
    shown = io.StringIO()
    console = Console(file=shown, width=width, highlight=False)
    print_mt_bench(MtBench(Path("bench"), report, found, []), console)
    return shown.getvalue().partition("Judged")[0]


def test_the_longest_categories_fit_80_columns() -> None:
    """Both questions have 2 in turn 1 and 8 in turn 2, and so has every resample."""
    lines = printed([2.0, 8.0, 2.0, 8.0], 80).splitlines()
    assert lines[2].split() == ["turn", "1", "turn", "2", "both"]
    assert lines[-2].split(maxsplit=1)[0] == "all"
    assert lines[-2].count("2.00 (2.00 to 2.00)") == 1
    assert lines[-2].count("8.00 (8.00 to 8.00)") == 1


@pytest.mark.parametrize("width", [40, 60, 80])
def test_numbers_are_broken_on_a_narrow_terminal_and_never_cut(width: int) -> None:
    text = printed([2.0, 8.0, 2.0, np.nan], width)
    assert "…" not in text
    assert "without" in printed([2.0, 8.0, 2.0, np.nan], 120)
