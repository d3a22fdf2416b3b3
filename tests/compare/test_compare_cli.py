"""`margintool compare`: exit statuses, pure JSON, the table, the picture."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margintool.compare.measures import AGREEMENT
from tests.compare.files_of_pairs import row, signed_file, write_rows


@pytest.fixture
def two_files(tmp_path: Path) -> list[Path]:
    a = signed_file(
        tmp_path / "a.parquet", [1, 2, -3, 0, 5], source="similarity", unit="1 - cosine"
    )
    b = signed_file(tmp_path / "b.parquet", [2, -1, -4, 1, 3], source="shp", margin="diff")
    return [a, b]


def test_the_table_has_every_number(cli: Callable[..., Any], two_files: list[Path]) -> None:
    """The winner is the same in 3 of the 4 pairs that have one in both."""
    result = cli("compare", *two_files, "--bootstrap", 20)
    assert (result.status, result.err) == (0, "")
    assert "5 pairs of 5 prompts in both; 0 only in A, 0 only in B" in result.out
    assert "winner in both: 4 pairs, the same in 3 (75.0%)" in result.out
    assert "ties: 1 in A alone, 0 in B alone, 0 in both" in result.out
    assert re.search(r"same winner, where both have one +0\.750 +\d\.\d+ to \d\.\d+", result.out)
    assert result.out.count("Kendall tau-b") == 2
    assert "shp diff, 5 pairs" in result.out
    assert "similarity (1 - cosine), 5 pairs, 1 tie" in result.out
    assert max(len(line) for line in result.out.splitlines()) <= 80


def test_without_a_bootstrap_there_are_no_intervals(
    cli: Callable[..., Any], two_files: list[Path]
) -> None:
    out = cli("compare", *two_files, "--bootstrap", 0).out
    assert not re.search(r"\d to \d", out)


def test_json_is_all_there_is_on_stdout(cli: Callable[..., Any], two_files: list[Path]) -> None:
    result = cli("compare", *two_files, "--json", "--bootstrap", 5, "--seed", 3)
    found = json.loads(result.out)
    assert (result.status, result.err) == (0, "")
    assert (found["bootstrap"], found["seed"]) == (5, 3)
    assert list(found["comparisons"][0]["agreement"]) == list(AGREEMENT)
    assert found == json.loads(
        cli("compare", *two_files, "--json", "--bootstrap", 5, "--seed", 3).out
    )


def test_three_files_have_a_matrix(
    cli: Callable[..., Any], two_files: list[Path], tmp_path: Path
) -> None:
    third = signed_file(tmp_path / "c.parquet", [2, -1, -4, 1, 3])
    out = cli("compare", *two_files, third, "--bootstrap", 0).out
    assert "B and C" not in out
    assert re.search(r"\n +C +0\.\d+ +1\.000 +1\.000", out)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_files_are_bad_usage(
    cli: Callable[..., Any], two_files: list[Path], count: int
) -> None:
    result = cli("compare", *two_files[:count])
    assert (result.status, result.out) == (2, "")


def test_bad_files_give_status_2_and_no_traceback(
    cli: Callable[..., Any], two_files: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "votes.jsonl"
    text.write_text('{"a": 1}\n')
    others = write_rows(tmp_path / "others.parquet", [row("another question", 1)])
    for other, problem in (
        (two_files[0], "are the same file"),
        (tmp_path / "none.parquet", "no such file"),
        (text, "not a Parquet file"),
        (tmp_path, "is a folder"),
        (others, "have no pair in common"),
    ):
        result = cli("compare", two_files[0], other, "--json")
        assert (result.status, result.out) == (2, "")
        assert problem in result.err
        assert "Traceback" not in result.err


def test_control_characters_of_a_name_do_not_reach_the_terminal(
    cli: Callable[..., Any], two_files: list[Path], tmp_path: Path
) -> None:
    odd = signed_file(tmp_path / "[red]\x1b[31m.parquet", [1, 2, -3], unit="[bold]\x1b[5m")
    result = cli("compare", two_files[0], odd, "--bootstrap", 0)
    assert result.status == 0
    assert "\x1b[31m" not in result.out
    assert "\x1b[5m" not in result.out
    assert "[bold]" in result.out


def test_the_plot_is_written(
    cli: Callable[..., Any], two_files: list[Path], tmp_path: Path
) -> None:
    picture = tmp_path / "p.png"
    assert cli("compare", *two_files, "--plot", picture, "--bootstrap", 0).status == 0
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    refused = cli("compare", *two_files, "--plot", tmp_path / "p.svg")
    assert (refused.status, refused.out) == (2, "")


def test_help_imports_nothing_heavy_and_comparing_no_torch(two_files: list[Path]) -> None:
    code = (
        "import sys; from margintool.cli import run; run(['compare', '--help']);"
        "assert not {'scipy', 'pandas', 'matplotlib', 'torch'} & set(sys.modules);"
        f"status = run(['compare', *{[str(p) for p in two_files]!r}, '--bootstrap', '2']);"
        "heavy = {'torch', 'transformers', 'matplotlib', 'datasets'} & set(sys.modules);"
        "sys.exit(f'{status} {heavy}' if status or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
