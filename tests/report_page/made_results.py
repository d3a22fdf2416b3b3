"""Folders as MT-bench, best-of-n and experiments leave them, made without models."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from margintool.best_of_n.reading import Candidate
from margintool.best_of_n.results import pick, write_rows
from margintool.mt_bench.questions import Question
from margintool.mt_bench.rating import Rated
from margintool.mt_bench.results import write_rows as write_answers
from mmpo_core.best_of_n.expected import expected_rewards
from tests.report_page.made import HOSTILE, TURNED


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
