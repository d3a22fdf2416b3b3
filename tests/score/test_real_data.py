"""`score` on files that nobody here wrote: the figures an independent computation gives."""

import gzip
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from margintool import read_pairs, score
from mmpo_core.errors import InputError

pytestmark = pytest.mark.real_data


def rows_of(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_eli5_votes(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "votes/eli5_shp_layout.jsonl.gz"
    summary = score(source="shp", input=path, out=tmp_path / "pairs.parquet")
    assert (summary.read, summary.kept, summary.rejected) == (3200, 3200, {})
    pairs = read_pairs(tmp_path / "pairs.parquet")
    raw = rows_of(path)
    expected = [abs(math.log(r["score_A"] / r["score_B"])) for r in raw]
    np.testing.assert_allclose(pairs["margin_raw"], expected, atol=1e-12, rtol=0)
    ratio = np.log(pairs["score_chosen"] / pairs["score_rejected"])
    np.testing.assert_allclose(pairs["margin_raw"], ratio, atol=1e-12, rtol=0)
    target = 1 / (1 + np.exp(-summary.gamma * pairs["margin"]))
    np.testing.assert_allclose(pairs["p_chosen"], target, atol=1e-12, rtol=0)
    assert pairs["p_chosen"].mean() == pytest.approx(0.75, abs=1e-9)
    winners = [r["human_ref_A"] if r["score_A"] > r["score_B"] else r["human_ref_B"] for r in raw]
    assert pairs["chosen"].tolist() == winners
    assert pairs["prompt"].tolist() == [r["history"] for r in raw]


def test_pandalm_annotators(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "votes/pandalm_3annotators.jsonl.gz"
    summary = score(source="shp", input=path, out=tmp_path / "pairs.parquet", agreement=0.7)
    assert summary.read == 999 == summary.kept + sum(summary.rejected.values())
    pairs = read_pairs(tmp_path / "pairs.parquet")
    assert set(pairs["weight"]) == {3}
    # Unanimous votes are 3:0, so ln(3.5 / 0.5); 2:1 is ln 2.
    margins = Counter(pairs["margin_raw"].round(9))
    assert margins[round(math.log(7), 9)] > 700
    assert margins[round(math.log(2), 9)] > 60


def test_arena_ratings_36_nulls_are_rejected_by_name(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "ratings/arena_bench_long.jsonl.gz"
    summary = score(source="ratings", input=path, out=tmp_path / "p.parquet", scale="1,10")
    assert summary.read == 3900
    assert summary.rejected["rating_missing"] == 36
    rejects = pd.read_parquet(tmp_path / "p.rejects.parquet")
    nulls = {f"{path}:{i}" for i, r in enumerate(rows_of(path), start=1) if r["rating"] is None}
    assert set(rejects.loc[rejects["reason"] == "rating_missing", "origin"]) == nulls
    pairs = read_pairs(tmp_path / "p.parquet")
    best: dict[str, float] = {}
    for row in rows_of(path):
        if row["rating"] is not None and row["response"].strip():
            best[row["prompt"]] = max(best.get(row["prompt"], 0), row["rating"])
    assert pairs["score_chosen"].tolist() == [best[prompt] for prompt in pairs["prompt"]]
    np.testing.assert_array_equal(
        pairs["margin_raw"], pairs["score_chosen"] - pairs["score_rejected"]
    )


def test_arena_in_ultrafeedback_layout(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "ratings/arena_bench_ultrafeedback_layout.jsonl.gz"
    summary = score(source="ratings", input=path, out=tmp_path / "p.parquet", pairing="all")
    assert (summary.layout, summary.read) == ("ultrafeedback", 300)
    expected = 0
    for row in rows_of(path):
        rated = {
            (c["response"], i)
            for i, c in enumerate(row["completions"])
            if c["overall_score"] is not None and c["response"].strip()
        }
        expected += len(rated) * (len(rated) - 1) // 2
    made = summary.kept + sum(
        summary.rejected.get(r, 0) for r in ("identical_responses", "duplicate_pair")
    )
    assert made == expected


def test_a_record_with_one_completion_makes_no_pair(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "ratings/ultrafeedback_official_example.jsonl.gz"
    with pytest.raises(InputError, match=r"no usable pair in 1 rows \(single_response 1\)"):
        score(source="ratings", margin="mean", input=path, out=tmp_path / "p.parquet")
    rejects = pd.read_parquet(tmp_path / "p.rejects.parquet")
    assert rejects["reason"].tolist() == ["single_response"]


def test_just_eval_aspects_through_a_map(real_data: Path, tmp_path: Path) -> None:
    """800 responses; 43 aspect scores are "N/A", some of them here."""
    path = real_data / "ratings/just_eval_aspects.jsonl.gz"
    raw = rows_of(path)
    bad = sum(row["aspect_scores"]["factuality"] == "N/A" for row in raw)
    with pytest.raises(InputError, match="no usable pair"):
        score(
            source="ratings",
            input=path,
            out=tmp_path / "p.parquet",
            map="prompt=input,response=output,rating=aspect_scores.factuality",
        )
    reasons = Counter(pd.read_parquet(tmp_path / "p.rejects.parquet")["reason"])
    assert reasons["rating_not_a_number"] == bad > 0
    assert reasons["single_response"] == 800 - bad
