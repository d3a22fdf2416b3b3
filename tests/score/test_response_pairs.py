"""`score` on rated responses, end to end: repeats, the cap, Alpaca's columns and aspects."""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool import score
from margintool.repeats import merge_repeats
from mmpo_core.errors import InputError
from tests.score.conftest import Row, long_row

Run = Callable[..., Any]


def sides(pairs: list[Row]) -> list[tuple[str, str, float]]:
    return [(p["chosen"], p["rejected"], p["margin_raw"]) for p in pairs]


# Repeated responses


def test_a_repeated_best_answer_costs_no_prompt(run: Run) -> None:
    """Two rows of the best and one of the other: best-random once drew the best against itself."""
    rows = [
        long_row(f"prompt {i}", text, rating)
        for i in range(50)
        for text, rating in (("best", 9), ("best", 9), ("other", 4))
    ]
    summary, pairs, rejects = run(rows, source="ratings")
    assert sides(pairs) == [("best", "other", 5)] * 50
    assert summary.rejected == {"merged_response": 50}
    assert len(rejects) == 50


def test_two_raters_per_response_are_averaged(run: Run) -> None:
    """a: (9 + 6) / 2 = 7.5, b: (3 + 4) / 2 = 3.5; 2 ratings of each make weight 2."""
    rows = [long_row("x", t, r) for t, r in (("a", 9), ("b", 3), ("b", 4), ("a", 6))]
    for pairing in ("best-worst", "all", "adjacent", "best-random"):
        _, pairs, rejects = run(rows, source="ratings", pairing=pairing)
        assert sides(pairs) == [("a", "b", 4)]
        assert (pairs[0]["score_chosen"], pairs[0]["score_rejected"]) == (7.5, 3.5)
        assert pairs[0]["weight"] == 2
    origin = pairs[0]["origin"]
    path = origin.split(":1 ")[0]
    assert origin == f"{path}:1 (and 1 more) + {path}:2 (and 1 more)"
    assert [(r["origin"], r["reason"], r["prompt"]) for r in rejects] == [
        (f"{path}:3", "merged_response", "x"),
        (f"{path}:4", "merged_response", "x"),
    ]
    assert rejects[0]["detail"] == (
        f"the same answer to the same prompt as {path}:2; their ratings are averaged"
    )


def test_weight_is_the_harmonic_mean_of_the_numbers_of_ratings(run: Run) -> None:
    """3 ratings against 1: 2 / (1/3 + 1) = 1.5, as the variance of the gap is s^2 (1/3 + 1)."""
    rows = [long_row("x", "a", 9), long_row("x", "a", 9), long_row("x", "a", 9)]
    rows += [long_row("x", "b", 3), long_row("y", "a", 3), long_row("y", "b", 2)]
    _, pairs, _ = run(rows, source="ratings")
    assert [p["weight"] for p in pairs] == [1.5, 1]


def test_the_same_text_under_another_prompt_or_history_is_another_response(run: Run) -> None:
    history = [{"role": "user", "content": "h"}, {"role": "assistant", "content": "i"}]
    rows = [
        long_row(prompt, text, rating, history=earlier)
        for prompt, earlier in (("x", []), ("y", []), ("x", history))
        for text, rating in (("a", 5), ("b", 3))
    ]
    summary, pairs, _ = run(rows, source="ratings")
    assert len(pairs) == 3
    assert summary.rejected == {}


def test_a_prompt_with_one_answer_given_twice_is_single(run: Run) -> None:
    rows = [long_row("x", "a", 5), long_row("x", "a", 7), long_row("y", "a", 5)]
    rows += [long_row("y", "b", 1)]
    summary, pairs, rejects = run(rows, source="ratings")
    assert len(pairs) == 1
    assert summary.rejected == {"merged_response": 1, "single_response": 1}
    assert {r["reason"]: r["origin"].rsplit(":", 1)[1] for r in rejects} == {
        "merged_response": "2",
        "single_response": "1",
    }


def test_completions_of_one_ultrafeedback_row_are_merged_too(run: Run) -> None:
    completions = [
        {"model": m, "response": r, "overall_score": s, "annotations": {}}
        for m, r, s in (("m", "same", 8.0), ("n", "same", 6.0), ("o", "other", 2.0))
    ]
    row = {"instruction": "Why?", "completions": completions}
    _, pairs, _ = run([row], source="ratings", pairing="all")
    assert sides(pairs) == [("same", "other", 5)]


RESPONSES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0.1, 5, 7])))


@given(RESPONSES)
def test_merging_against_a_dictionary(rows: list[tuple[int, int, float]]) -> None:
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, (group, text, _) in enumerate(rows):
        found[group, text].append(i)
    text = np.array([(t, 9 - t) for _, t, _ in rows], np.uint64).reshape(-1, 2)
    ratings = np.array([r for _, _, r in rows], float)
    merged = merge_repeats(np.array([g for g, _, _ in rows], np.uint64), text, ratings)
    assert merged.row.tolist() == [members[0] for members in found.values()]
    assert merged.ratings.tolist() == [len(members) for members in found.values()]
    assert list(zip(merged.group.tolist(), merged.text.tolist(), strict=True)) == list(found)
    means = [np.mean(ratings[members]) for members in found.values()]
    np.testing.assert_allclose(merged.rating, means, rtol=1e-12)
    into = {i: members[0] for members in found.values() for i in members[1:]}
    assert dict(zip(merged.repeats.tolist(), merged.merged_into.tolist(), strict=True)) == into
    assert merged.repeats.tolist() == sorted(into)


def test_the_mean_of_equal_ratings_is_that_rating() -> None:
    """0.1 + 0.1 + 0.1 is not 0.3 in floats; and the order of the rows does not matter."""
    same = np.zeros((3, 2), np.uint64)
    group = np.zeros(3, np.uint64)
    assert merge_repeats(group, same, np.full(3, 0.1)).rating.tolist() == [0.1]
    orders = [np.array(order) for order in permutations([0.1, 0.7, 7.3])]
    assert len({float(merge_repeats(group, same, order).rating[0]) for order in orders}) == 1


# The cap


def test_a_capped_prompt_writes_one_reject_row_and_counts_its_pairs(run: Run) -> None:
    """1,500 responses have 1,124,250 pairs, 5 of which are made."""
    rows = [long_row("x", f"answer {i}", i % 10) for i in range(1500)]
    rows += [long_row("y", "a", 5), long_row("y", "b", 1)]
    options = {"source": "ratings", "pairing": "all", "max_pairs_per_prompt": 5}
    summary, pairs, rejects = run(rows, **options)
    assert [p["prompt"] for p in pairs] == ["x"] * 5 + ["y"]
    assert summary.rejected == {"over_max_pairs_per_prompt": 1_124_245}
    assert len(rejects) == 1
    assert rejects[0]["detail"] == (
        "1124245 of the prompt's 1124250 pairs are over --max-pairs-per-prompt 5"
    )
    assert rejects[0]["origin"].endswith(":1")
    assert [p["pair_id"] for p in run(rows, **options)[1]] == [p["pair_id"] for p in pairs]
    other = run(rows, **options, seed=1)[1]
    assert {p["pair_id"] for p in other[:5]}.isdisjoint(p["pair_id"] for p in pairs[:5])
    turned = run(rows[::-1], **options)[1]
    assert {frozenset((p["chosen"], p["rejected"])) for p in turned} == {
        frozenset((p["chosen"], p["rejected"])) for p in pairs
    }


def test_the_cap_chooses_among_pairs_that_ties_and_small_margins_leave(run: Run) -> None:
    """Ratings 5 5 5 6 9: 3 ties, 3 gaps of 1, gaps 4 4 4 3: of 4 useful pairs, 3."""
    rows = [long_row("x", f"answer {i}", r) for i, r in enumerate((5, 5, 5, 6, 9))]
    options = {"source": "ratings", "pairing": "all", "ties": "drop", "min_margin": 2.0}
    summary, pairs, rejects = run(rows, **options, max_pairs_per_prompt=3)
    assert len(pairs) == 3
    assert all(p["margin_raw"] >= 3 for p in pairs)
    assert summary.rejected == {
        "below_min_margin": 3, "over_max_pairs_per_prompt": 1, "tie_dropped": 3,
    }  # fmt: skip
    assert sorted(r["detail"] for r in rejects) == [
        "1 of the prompt's 10 pairs are over --max-pairs-per-prompt 3",
        "3 of the prompt's 10 pairs have margin 0, and --ties drop",
        "3 of the prompt's 10 pairs have margin_raw below --min-margin 2",
    ]
    summary, pairs, rejects = run(rows, **options)
    assert len(pairs) == 4
    assert summary.rejected == {"below_min_margin": 3, "tie_dropped": 3}
    assert len(rejects) == 6


def test_rows_of_one_prompt_are_capped_together_and_counted_once(run: Run) -> None:
    """Two UltraFeedback rows of one prompt, 3 completions each: 3 + 3 pairs.

    Cap 2: each row leaves out 1 of its own, and of the 4 made 2 are dropped later.
    """
    rows = [
        {
            "instruction": "Why?",
            "completions": [
                {"model": "m", "response": f"{row} {i}", "overall_score": i, "annotations": {}}
                for i in (1, 2, 3)
            ],
        }
        for row in "ab"
    ]
    summary, pairs, _ = run(rows, source="ratings", pairing="all", max_pairs_per_prompt=2)
    assert len(pairs) == 2
    assert summary.rejected == {"over_max_pairs_per_prompt": 4}


# Alpaca's instruction and input

ALPACA = [
    {"instruction": "Translate", "input": source, "output": answer, "rating": rating}
    for source, answer, rating in (
        ("dog", "Hund", 9), ("dog", "Katze", 2), ("cat", "Katze", 8), ("cat", "Hund", 1),
        ("", "What?", 3), (None, "Gladly.", 5),
    )
]  # fmt: skip


@pytest.mark.parametrize(
    "mapping",
    [None, "prompt=instruction", "instruction=instruction", "prompt=instruction,input=input"],
)
def test_one_instruction_with_two_inputs_is_two_prompts(run: Run, mapping: str | None) -> None:
    _, pairs, _ = run(ALPACA, source="ratings", pairing="all", map=mapping)
    assert [(p["prompt"], *side) for p, side in zip(pairs, sides(pairs), strict=True)] == [
        ("Translate\n\ndog", "Hund", "Katze", 7),
        ("Translate\n\ncat", "Katze", "Hund", 7),
        ("Translate", "Gladly.", "What?", 2),
    ]


def test_input_of_pairs_goes_below_the_instruction(run: Run) -> None:
    rows = [
        {
            "instruction": "Add", "input": text, "response1": "2", "response2": "3",
            "rating_a": 4, "rating_b": 1,
        }
        for text in ("1 + 1", "0 + 2")
    ]  # fmt: skip
    _, pairs, _ = run(rows, source="ratings")
    assert [p["prompt"] for p in pairs] == ["Add\n\n1 + 1", "Add\n\n0 + 2"]


def test_input_named_by_map_goes_below_any_prompt_and_else_stays_out(run: Run) -> None:
    rows = [{**long_row("Say", t, r), "context": "it"} for t, r in (("a", 5), ("b", 2))]
    assert run(rows, source="ratings", map="input=context")[1][0]["prompt"] == "Say\n\nit"
    rows = [{**long_row("Say", t, r), "input": "it"} for t, r in (("a", 5), ("b", 2))]
    assert run(rows, source="ratings")[1][0]["prompt"] == "Say"
    _, pairs, _ = run(rows, source="ratings", map="prompt=input")
    assert pairs[0]["prompt"] == "it"


# Aspects

ASPECTS = [
    {"prompt": "x", "response": t, "aspects": {"help": h, "depth": d}}
    for t, h, d in (("a", "5", 1), ("b", "2", 2), ("c", "N/A", 3))
]


def test_means_of_own_aspects_by_hand(run: Run) -> None:
    """a: (5 + 1) / 2 = 3; b: 2; c has no number for help."""
    summary, pairs, rejects = run(ASPECTS, source="ratings", margin="mean")
    assert sides(pairs) == [("a", "b", 1)]
    assert summary.rejected == {"rating_not_a_number": 1}
    assert rejects[0]["detail"] == "help rating 'N/A' is not a number"
    _, pairs, _ = run(
        ASPECTS, source="ratings", margin="mean", aspects="depth", pairing="best-worst"
    )
    assert sides(pairs) == [("c", "a", 2)]


def test_aspects_in_columns_of_their_own_as_csv_has_them(tmp_path: Path) -> None:
    path, out = tmp_path / "rated.csv", tmp_path / "pairs.parquet"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["prompt", "response", "aspects.help", "deep"])
        table.writerows([["x", "a", 5, 1], ["x", "b", 2, 2]])
    for mapping, margin in ((None, 3), ("aspects.depth=deep", 1)):
        score(source="ratings", input=path, out=out, overwrite=True, margin="mean", map=mapping)
        assert pq.read_table(out)["margin_raw"].to_pylist() == [margin]


def test_a_batch_without_an_aspect_rejects_its_rows(tmp_path: Path) -> None:
    """Record by record, JSON may lack a field: an aspect that a whole later file lacks is null."""
    files = []
    for name, rows in (("a", ASPECTS[:2]), ("b", [{**ASPECTS[0], "aspects": {"help": "1"}}])):
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "p.parquet"
    summary = score(source="ratings", input=tuple(files), out=out, margin="mean")
    assert (summary.kept, summary.rejected) == (1, {"rating_missing": 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": "mean", "aspects": "helpp"}, "aspect of layout ratings_long 'helpp'"),
        ({}, "there is no column 'rating'; name yours with --map rating=COLUMN"),
    ],
)
def test_wrong_use_of_own_aspects_is_named(run: Run, options: Row, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(ASPECTS, source="ratings", **options)


def test_aspects_that_are_not_there_are_named(run: Run) -> None:
    rows = [long_row("x", "a", 3, aspects="none"), long_row("x", "b", 4, aspects="none")]
    with pytest.raises(InputError, match=r"no aspect ratings\. --map aspects=COLUMN"):
        run(rows, source="ratings", margin="mean")
    assert sides(run(rows, source="ratings")[1]) == [("b", "a", 1)]


@pytest.mark.real_data
def test_just_eval_aspects_against_an_independent_computation(
    real_data: Path, tmp_path: Path
) -> None:
    path, out = real_data / "ratings/just_eval_aspects.jsonl.gz", tmp_path / "p.parquet"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    means: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    unrated = 0
    for row in rows:
        scores = [row["aspect_scores"][name] for name in ("helpfulness", "depth")]
        if "N/A" in scores:
            unrated += 1
        else:
            means[row["input"]][row["output"]].append(sum(map(int, scores)) / 2)
    expected = []
    for answers in means.values():
        ratings = [sum(r) / len(r) for r in answers.values()]
        if len(ratings) > 1:
            expected.append(max(ratings) - min(ratings))
    summary = score(
        source="ratings",
        input=path,
        out=out,
        map="prompt=input,response=output,aspects=aspect_scores",
        margin="mean",
        aspects="helpfulness,depth",
        pairing="best-worst",
        scale="1,5",
        gamma=1.0,
    )
    margins = pq.read_table(out)["margin_raw"].to_numpy()
    np.testing.assert_allclose(margins, expected, atol=1e-12)
    assert len(expected) == 5  # most prompts of the file have one answer
    repeats = sum(len(r) - 1 for answers in means.values() for r in answers.values())
    single = sum(len(answers) == 1 for answers in means.values())
    reasons = {
        "merged_response": repeats, "rating_not_a_number": unrated, "single_response": single,
    }  # fmt: skip
    assert summary.rejected == {reason: n for reason, n in reasons.items() if n}
