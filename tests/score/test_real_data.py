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
    """Three annotators choose 1, 2 or 0 (tie, half a vote each)."""
    path = real_data / "votes/pandalm_3annotators.jsonl.gz"
    out = tmp_path / "pairs.parquet"
    summary = score(source="shp", input=path, out=out, agreement=0.7, max_pairs_per_prompt=0)
    assert summary.read == 999 == summary.kept + sum(summary.rejected.values())
    expected, seen = Counter[float](), set()
    for row in rows_of(path):
        texts = [row["response1"], row["response2"]]
        needed = [*texts, row["instruction"]]
        if not all(isinstance(text, str) and text.strip() for text in needed):
            continue
        votes = [row[f"annotator{i}"] for i in (1, 2, 3)]
        a, b = (votes.count(side) + votes.count(0) / 2 for side in (1, 2))
        half = 0.5 if 0 in (a, b) else 0
        gap = math.log((a + half) / (b + half))
        # A tie is the same pair either way round.
        sides = sorted(texts) if gap == 0 else texts if gap > 0 else texts[::-1]
        key = (row["instruction"], row["input"], *sides)
        if texts[0] != texts[1] and key not in seen:
            seen.add(key)
            expected[round(abs(gap), 9)] += 1
    pairs = read_pairs(out)
    assert Counter(pairs["margin_raw"].round(9)) == expected
    assert set(pairs["weight"]) == {3}


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
            c["response"]
            for c in row["completions"]
            if c["overall_score"] is not None and c["response"].strip()
        }
        expected += len(rated) * (len(rated) - 1) // 2
    assert summary.kept + summary.rejected.get("duplicate_pair", 0) == expected


def test_a_record_with_one_completion_makes_no_pair(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "ratings/ultrafeedback_official_example.jsonl.gz"
    with pytest.raises(InputError, match=r"no usable pair in 1 rows \(single_response 1\)"):
        score(source="ratings", margin="mean", input=path, out=tmp_path / "p.parquet")
    rejects = pd.read_parquet(tmp_path / "p.rejects.parquet")
    assert rejects["reason"].tolist() == ["single_response"]


def test_just_eval_aspects_through_a_map(real_data: Path, tmp_path: Path) -> None:
    """800 responses, aspect scores as strings, some of them "N/A"."""
    path = real_data / "ratings/just_eval_aspects.jsonl.gz"
    out = tmp_path / "p.parquet"
    mapping = "prompt=input,response=output,rating=aspect_scores.factuality"
    summary = score(source="ratings", input=path, out=out, map=mapping, gamma=1.0)
    raw = rows_of(path)
    assert summary.read == 800
    bad = sum(row["aspect_scores"]["factuality"] == "N/A" for row in raw)
    assert summary.rejected["rating_not_a_number"] == bad > 0
    rated = [r for r in raw if r["aspect_scores"]["factuality"] != "N/A"]
    distinct = {(r["input"], r["output"]) for r in rated}
    assert summary.rejected["merged_response"] == len(rated) - len(distinct) > 0
    answers = Counter(prompt for prompt, _ in distinct)
    assert summary.rejected["single_response"] == sum(n == 1 for n in answers.values())
