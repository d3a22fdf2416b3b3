"""Sections of MT-bench, best-of-n and experiments, and folders that are not whole."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margintool.experiments.options import CalibrationOptions
from margintool.experiments.record import EXPERIMENT_FILE as EXPERIMENTS_OWN
from margintool.experiments.record import command_of
from margintool.page.commands import commands_section
from margintool.page.experiment_file import EXPERIMENT_FILE
from margintool.page.folders import read_folders
from margintool.page.mt_bench import mt_bench_section
from margintool.page.views import Code, Example, Part, Section, Table
from mmpo_core.errors import InputError
from tests.report_page.made import HOSTILE
from tests.report_page.made_results import write_best_of_n, write_experiment, write_mt_bench
from tests.report_page.outline import Outline

FILES = ("mt_bench.json", "best_of_n.json", "experiment.json")


def _tables(section: Section | None) -> list[Table]:
    assert section is not None
    return [block for block in section.blocks if isinstance(block, Table)]


def test_all_of_them_on_a_page(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Hostile texts stay texts, in answers, prompts and claims; numbers are those written."""
    folders = [
        write_mt_bench(tmp_path / "mt"),
        write_best_of_n(tmp_path / "bon"),
        write_experiment(tmp_path / "exp"),
    ]
    out = tmp_path / "report.html"
    done = cli("report", *folders, "--out", out)
    assert done.status == 0, done.err
    outline = Outline(out.read_text(encoding="utf-8"))
    assert [a["id"] for a in outline.named("section")] == (
        "experiment-1 mt-bench best-of-n commands".split()
    )
    assert not outline.named("script")
    assert outline.text.count(HOSTILE) >= 3
    assert "\u202e" not in outline.text
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(deeper <= level + 1 for level, deeper in steps)
    [picture] = outline.named("img")
    assert picture["alt"] == (
        "Expected reward of the best of n by reward: picked by it from 1 at n = 1 to 2 at n = 2."
    )
    assert "-1.000 to +0.500" in outline.text
    assert "margintool best-of-n --reward runs/reward" in outline.text
    assert "margintool experiment calibration --out" in outline.text


def test_ratings_and_the_answers_at_both_ends(tmp_path: Path) -> None:
    """Turn 1: mean of 2 and 6; turn 2: 4, as the other has no rating; both: mean of 2, 4 and 6."""
    found = read_folders([write_mt_bench(tmp_path / "mt")])
    section = mt_bench_section(found.mt_benches, examples=1)
    [table] = _tables(section)
    assert [list(row) for row in table.grid.rows] == [
        ["math", "3.00", "2.00", "4.00", "0"],
        ["stem", "6.00", "6.00", "-", "1"],
        ["all", "4.00", "4.00", "4.00", "1"],
    ]
    assert section is not None
    parts = [block for block in section.blocks if isinstance(block, Part)]
    shown = {part.title: part.blocks[0] for part in parts if isinstance(part.blocks[0], Example)}
    assert [one.title.split(":")[0] for one in shown.values()] == ["2", "6", "no rating"]
    assert list(shown)[2] == "Without a rating: 1 answer"


def test_several_folders_of_mt_bench_are_one_table(tmp_path: Path) -> None:
    """(2 + 4 + 6) / 3 beside (5 + 4 + 6) / 3; other judges cannot be compared."""
    folders = [write_mt_bench(tmp_path / "a"), write_mt_bench(tmp_path / "b", 5.0, "other")]
    section = mt_bench_section(read_folders(folders).mt_benches, examples=0)
    [table] = _tables(section)
    assert list(table.grid.titles) == ["category", ">a", ">b"]
    assert list(table.grid.rows[-1]) == ["all", "4.00", "5.00"]
    assert section is not None
    assert "cannot be compared" in str(section.blocks[1])


def test_commands_hold_what_was_given(tmp_path: Path) -> None:
    """Options as by default are left out; MT-bench's own fixed ones always are."""
    from margintool.mt_bench.options import MtBenchOptions
    from mmpo_core.options import plain_values

    options = MtBenchOptions(model="tiny", judge_model=("j",), bootstrap=7, mode="score")
    bench = write_mt_bench(tmp_path / "mt")
    content = json.loads((bench / "mt_bench.json").read_text())
    arguments = json.loads(json.dumps(plain_values(options)))
    (bench / "mt_bench.json").write_text(json.dumps({**content, "arguments": arguments}))
    given = command_of("calibration", CalibrationOptions(out=Path("c"), seeds=2))
    experiment = write_experiment(tmp_path / "exp", command=given)
    [_, code] = commands_section(read_folders([bench, experiment]), {}).blocks
    assert isinstance(code, Code)
    assert sorted(code.lines) == [
        "margintool evaluate tiny --suite mt-bench --judge-model j --bootstrap 7",
        "margintool experiment calibration --out c --seeds 2",
    ]


def test_an_experiment_is_read_with_its_parts(tmp_path: Path) -> None:
    """A part that has no result yet is passed over; one that is given too is its own."""
    folder = write_experiment(tmp_path / "exp")
    for name in ("mmpo", "empty"):
        (folder / "sweeps" / name).mkdir(parents=True)
    sweep = folder / "sweeps" / "mmpo"
    (sweep / "sweep.json").write_text(json.dumps({"runs": [], "settings": [], "arguments": {}}))
    assert [one.experiment for one in read_folders([folder]).sweeps] == ["exp"]
    assert [one.experiment for one in read_folders([folder, sweep]).sweeps] == [None]
    assert EXPERIMENTS_OWN == EXPERIMENT_FILE


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("mt_bench.json", "published"),
        ("mt_bench.json", "judge"),
        ("best_of_n.json", "picked"),
        ("best_of_n.json", "arguments"),
        ("experiment.json", "tables"),
        ("experiment.json", "pictures"),
    ],
)
def test_a_file_of_another_version_is_named(
    cli: Callable[..., Any], tmp_path: Path, file: str, key: str
) -> None:
    make = dict(zip(FILES, (write_mt_bench, write_best_of_n, write_experiment), strict=True))[file]
    folder = make(tmp_path / "folder")
    content = json.loads((folder / file).read_text())
    del content[key]
    (folder / file).write_text(json.dumps(content))
    done = cli("report", folder, "--out", tmp_path / "report.html")
    assert done.status == 2
    assert f"{file}: cannot be shown: it has no '{key}'" in done.err


def test_answers_without_a_result(tmp_path: Path) -> None:
    (tmp_path / "generated.jsonl").write_text("")
    with pytest.raises(InputError, match="holds answers and no result yet"):
        read_folders([tmp_path])


def test_the_page_needs_no_torch() -> None:
    """Two to three seconds of a command that shows numbers that are there."""
    code = (
        "import sys, margintool.page.writing, mmpo_core.sweep.results\n"
        "print([m for m in ('torch', 'transformers', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
