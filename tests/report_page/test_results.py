"""Sections of MT-bench, best-of-n and experiments, and folders that are not whole."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from margintool.best_of_n.reading import Candidate
from margintool.best_of_n.results import pick, write_rows
from margintool.experiments.record import EXPERIMENT_FILE as EXPERIMENTS_OWN
from margintool.mt_bench.questions import Question
from margintool.mt_bench.rating import Rated
from margintool.mt_bench.results import write_rows as write_answers
from margintool.page.experiment_file import EXPERIMENT_FILE
from margintool.page.folders import read_folders
from margintool.page.mt_bench import mt_bench_section
from margintool.page.views import Example, Part, Section, Table
from mmpo_core.best_of_n.expected import expected_rewards
from mmpo_core.errors import InputError
from tests.report_page.made import HOSTILE, TURNED
from tests.report_page.outline import Outline

FILES = ("mt_bench.json", "best_of_n.json", "experiment.json")


def write_mt_bench(folder: Path, low: float = 2.0, judge: str = "judge") -> Path:
    """Two questions; the ratings of their turns are low, 4, 6 and none."""
    from margintool.judge.item import Item
    from margintool.judge.running.records import RunOutcome
    from margintool.mt_bench.table import table

    folder.mkdir()
    questions = [Question("1", "math", (HOSTILE, "second")), Question("2", "stem", ("q", TURNED))]
    items = [Item(turn, (), (f"answer {turn}",), None) for one in questions for turn in one.turns]
    rating = np.array([low, 4.0, 6.0, np.nan])
    problems = [None, None, None, ("no_score", "no number")]
    write_answers(
        folder, [judge], questions, items, Rated(rating, rating[:, None], problems, RunOutcome())
    )
    content = {
        "model": "tiny",
        "questions": {"fingerprint": "q"},
        "judge": {"judge_model": [judge]},
        "ratings": table(rating, ["math", "stem"], bootstrap=0, seed=0).as_json(),
        "without_verdict": {"no_score": 1},
        "bootstrap": 0,
        "published": {"source": "paper", "scores": []},
    }
    (folder / "mt_bench.json").write_text(json.dumps(content))
    return folder


def write_best_of_n(folder: Path) -> Path:
    """A prompt with rewards 0 and 2: the best of 1 is worth 1, of 2 it is worth 2."""
    folder.mkdir()
    rewards = {"reward": [np.array([0.0, 2.0])]}
    picked = pick(rewards, [1.0])
    answers = [[Candidate(f"{TURNED} worse"), Candidate(f"{HOSTILE} better")]]
    write_rows(
        folder / "candidates.parquet",
        [({"role": "user", "content": HOSTILE},)],
        answers,
        rewards,
        picked,
    )
    content = {
        "arguments": {"reward": ["runs/reward"], "out": str(folder)},
        "candidates": {"file": "prompts.jsonl", "prompts": 1, "number": 2},
        "rewards": {"reward": {"model": "runs/reward", "temperature": 1.0}},
        "picked": picked.about(rewards),
        "expected": expected_rewards(rewards, resamples=0),
    }
    (folder / "best_of_n.json").write_text(json.dumps(content))
    return folder


def write_experiment(folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    cell = {"mean": 0.25, "sd": None, "over_seeds": None, "over_prompts": None}
    content = {
        "experiment": "calibration",
        "settings": {"lr": 0.001, "seeds": 1, "data": None},
        "seeds": [0],
        "data": [{"what": "votes", "pairs": 9, "held_out_pairs": 3}],
        "tables": [
            {"title": "Held out", "columns": ["ECE"], "rows": [{"name": "MMPO", "cells": [cell]}]}
        ],
        "differences": [
            {"what": "ECE, a less b", **cell, "over_seeds": [-1.0, 0.5], "verdict": "unclear"}
        ],
        "claims": [{"claim": HOSTILE, "here": "unclear", "outcome": "open"}],
        "verdicts": [],
        "pictures": ["gone.png"],
        **changes,
    }
    (folder / "experiment.json").write_text(json.dumps(content))
    return folder


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
