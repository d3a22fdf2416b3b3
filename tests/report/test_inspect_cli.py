"""`margintool inspect`: exit statuses, pure JSON, and what goes to which stream."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_valid_file_gives_status_0_and_a_report(cli: Callable[..., Any], pair_file: Path) -> None:
    result = cli("inspect", pair_file)
    assert result.status == 0
    assert "kept in full" in result.out
    assert result.err == ""


def test_a_breach_gives_status_2_and_still_the_report(
    cli: Callable[..., Any], broken_file: Callable[..., Path]
) -> None:
    result = cli("inspect", broken_file(weight=[1.0, 0.0, 1.0, 1.0]))
    assert result.status == 2
    assert "'weight' is 0.0 in row 1" in result.out
    assert "Lengths" in result.out


def test_json_is_all_there_is_on_stdout(
    cli: Callable[..., Any], pair_file: Path, broken_file: Callable[..., Path]
) -> None:
    good = cli("inspect", pair_file, "--json", "--sample", 2)
    assert good.status == 0
    assert json.loads(good.out)["pairs"] == 4
    assert len(json.loads(good.out)["sample"]) == 2
    bad = cli("inspect", broken_file(drop=("margin",)), "--json")
    assert bad.status == 2
    assert json.loads(bad.out)["breaches"][0] == {
        "kind": "missing",
        "column": "margin",
        "row": None,
        "problem": json.loads(bad.out)["breaches"][0]["problem"],
    }


def test_a_missing_file_gives_status_2_and_one_line(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    result = cli("inspect", tmp_path / "none.parquet")
    assert result.status == 2
    assert result.out == ""
    assert "no such file" in result.err
    assert "Traceback" not in result.err


def test_a_negative_sample_is_bad_usage(cli: Callable[..., Any], pair_file: Path) -> None:
    assert cli("inspect", pair_file, "--sample", "-1").status == 2


def test_plot_is_written(cli: Callable[..., Any], pair_file: Path, tmp_path: Path) -> None:
    assert cli("inspect", pair_file, "--plot", tmp_path / "p.png").status == 0
    assert (tmp_path / "p.png").exists()


def test_inspecting_imports_neither_torch_nor_transformers(pair_file: Path) -> None:
    code = (
        "import sys; from margintool.report.inspecting import inspect_pairs;"
        "from margintool.report.text import print_report;"
        f"print_report(inspect_pairs({str(pair_file)!r}));"
        "sys.exit(bool({'torch', 'transformers', 'matplotlib', 'datasets'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
