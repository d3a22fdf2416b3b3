"""Judgments in both orders: what is merged, what is rejected, and the real ones of QLoRA."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margintool.both_orders import merged_orders
from margintool.canonical import PAIR_TYPES, CanonicalBatch
from margintool.orders import OrderCounts
from margintool.rejects import Rejects
from margintool.sources import SOURCES, Settings
from margintool.storage import Spill
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_metadata

Row = dict[str, Any]
Merge = Callable[..., tuple[list[Row], list[Row], OrderCounts]]
READ = partial(SOURCES["ratings"].score_pairs, settings=Settings("overall", (0.0, 10.0)))


def judged(prompt: str, a: str, b: str, score_a: Any, score_b: Any, **more: Any) -> Row:
    """One judgment: a was shown first."""
    texts = {"prompt": prompt, "response_a": a, "response_b": b}
    return {"history": [], **texts, "score_a": score_a, "score_b": score_b, **more}


def batch(rows: list[Row], start: int) -> CanonicalBatch:
    """Canonical pairs that begin with row `start` of file x."""
    score = pa.string() if any(isinstance(r["score_a"], str) for r in rows) else pa.float64()
    columns = {
        name: pa.array([r.get(name) for r in rows], kind or score)
        for name, kind in PAIR_TYPES.items()
    }
    origin = pa.array([f"x:{start + i}" for i in range(len(rows))], pa.string())
    return CanonicalBatch(pa.table({**columns, "origin": origin}), len(rows))


@pytest.fixture
def merge(tmp_path: Path) -> Merge:
    """Merge rows; return pairs, rejects and counts. cuts: rows at which batches begin."""

    def call(rows: list[Row], cuts: Iterable[int] = ()) -> tuple[list[Row], list[Row], OrderCounts]:
        counts = OrderCounts()
        edges = [0, *sorted(cuts), len(rows)]
        batches = [batch(rows[start:end], start) for start, end in pairwise(edges) if end > start]
        with Rejects(tmp_path) as rejects, Spill(tmp_path) as spill:
            out = list(merged_orders(batches, spill, rejects, counts, READ))
            rejects.move_to(tmp_path / "rejected.parquet")
        assert sum(b.rows_read for b in out) == len(rows)
        written = tmp_path / "rejected.parquet"
        named = pq.read_table(written).to_pylist() if written.exists() else []
        return [pair for b in out for pair in b.table.to_pylist()], named, counts

    return call


def test_two_orders_are_one_pair_with_the_mean_scores(merge: Merge) -> None:
    """a: (9 + 6) / 2 = 7.5, b: (5 + 8) / 2 = 6.5. Gaps for a: 4 first, -2 second, a flip to the
    first place; the mean gap is 1 = 7.5 - 6.5, and being first adds (4 + 2) / 2 = 3.
    """
    pairs, rejects, counts = merge([judged("p", "a", "b", 9, 5), judged("p", "b", "a", 8, 6)])
    (pair,) = pairs
    assert (pair["response_a"], pair["response_b"]) == ("a", "b")
    assert (pair["score_a"], pair["score_b"], pair["votes"]) == (7.5, 6.5, 2)
    assert pair["origin"] == "x:0 + x:1"
    assert pair["reason"] is None
    assert pair["preferred"] is None
    assert rejects == []
    assert (counts.both, counts.first_won, counts.advantage) == (1, 1, 3.0)


def test_an_order_with_more_judgments_counts_no_more(merge: Merge) -> None:
    """a: mean 6 over three rows with a first, 2 with b first: (6 + 2) / 2 = 4, not 20 / 4 = 5.
    b: 3 and 5: 4. Worth 4 / (1/3 + 1) = 3 judgments.
    """
    rows = [judged("p", "a", "b", s, 3) for s in (5, 6, 7)]
    rows.insert(1, judged("p", "b", "a", 5, 2))
    ((pair,), rejects, counts) = merge(rows)
    assert (pair["score_a"], pair["score_b"]) == (4, 4)
    assert pair["votes"] == pytest.approx(3)
    assert pair["origin"] == "x:0 (and 2 more) + x:1"
    assert rejects == []
    assert (counts.both, counts.first_won) == (1, 1)  # 6 : 3 with a first, 2 : 5 with b first


def test_equal_scores_give_that_very_score(merge: Merge) -> None:
    """0.1 + 0.1 + 0.1 is not 0.3."""
    rows = [judged("p", "a", "b", 0.1, 0.7)] * 3 + [judged("p", "b", "a", 0.7, 0.1)] * 3
    ((pair,), _, counts) = merge(rows)
    assert (pair["score_a"], pair["score_b"], pair["votes"]) == (0.1, 0.7, 6)
    assert counts.advantage == 0


def test_one_order_alone_is_rejected_row_by_row(merge: Merge) -> None:
    rows = [judged("p", "a", "b", 9, 5), judged("p", "a", "c", 9, 5), judged("p", "b", "a", 1, 2)]
    rows.append(judged("p", "a", "c", 7, 5))
    pairs, rejects, counts = merge(rows)
    assert [p["origin"] for p in pairs] == ["x:0 + x:2"]
    assert [(r["origin"], r["reason"], r["prompt"]) for r in rejects] == [
        ("x:1", "judge_one_order", "p"),
        ("x:3", "judge_one_order", "p"),
    ]
    assert "--layout ratings_pair" in rejects[0]["detail"]
    assert (counts.both, counts.one_order) == (1, 1)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"score_a": "N/A"}, "rating_not_a_number"),
        ({"score_a": None}, "rating_missing"),
        ({"score_a": "-1"}, "out_of_scale"),  # how judges mark that they failed
        ({"reason": "empty_response", "detail": "said by the layout"}, "empty_response"),
    ],
)
def test_a_row_without_a_verdict_is_never_averaged(bad: Row, reason: str, merge: Merge) -> None:
    """It keeps its own reason, and leaves the other order alone."""
    rows = [judged("p", "a", "b", "9", "5") | bad, judged("p", "b", "a", "5", "9")]
    pairs, rejects, counts = merge(rows)
    assert pairs == []
    assert [r["origin"] for r in rejects] == ["x:0", "x:1"]
    assert reason in rejects[0]["reason"]
    assert rejects[1]["reason"] == "judge_one_order"
    assert (counts.both, counts.one_order) == (0, 1)


def test_the_same_answers_to_another_prompt_or_history_are_another_pair(merge: Merge) -> None:
    earlier = [{"role": "user", "content": "h"}, {"role": "assistant", "content": "i"}]
    rows = [judged("p", "a", "b", 9, 5), judged("q", "b", "a", 5, 9)]
    rows.append(judged("p", "b", "a", 5, 9, history=earlier))
    pairs, rejects, _ = merge(rows)
    assert pairs == []
    assert len(rejects) == 3


def test_pairs_stand_in_the_order_of_their_first_rows(merge: Merge) -> None:
    names = ["d", "a", "c", "b"]
    rows = [judged("p", n, "z", 1, 2) for n in names]
    rows += [judged("p", "z", n, 2, 1) for n in sorted(names)]
    pairs, _, _ = merge(rows)
    assert [p["response_a"] for p in pairs] == names
    assert [p["origin"] for p in pairs] == ["x:0 + x:7", "x:1 + x:4", "x:2 + x:6", "x:3 + x:5"]


def test_no_rows_and_no_usable_rows_give_no_pair(merge: Merge) -> None:
    assert merge([]) == ([], [], OrderCounts())
    pairs, rejects, counts = merge([judged("p", "a", "b", None, 1)])
    assert (pairs, len(rejects), counts) == ([], 1, OrderCounts())


ROWS = st.lists(
    st.tuples(
        st.sampled_from("pq"),
        st.sampled_from([("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("b", "c")]),
        st.integers(0, 10),
        st.integers(0, 10),
    ),
    max_size=14,
)


def by_hand(rows: list[Row]) -> dict[tuple[str, str, str], tuple[float, float, int]]:
    """The same by plain loops: (prompt, a, b) as first seen -> mean scores and rows."""
    seen: dict[Any, list[Row]] = {}
    for row in rows:
        answers = frozenset((row["response_a"], row["response_b"]))
        seen.setdefault((row["prompt"], answers), []).append(row)
    pairs = {}
    for (prompt, _), found in seen.items():
        a, b = found[0]["response_a"], found[0]["response_b"]
        scores: dict[str, list[tuple[float, float]]] = {a: [], b: []}
        for row in found:
            score = {row["response_a"]: row["score_a"], row["response_b"]: row["score_b"]}
            scores[row["response_a"]].append((score[a], score[b]))
        if scores[a] and scores[b]:
            means = np.mean([np.mean(scores[a], axis=0), np.mean(scores[b], axis=0)], axis=0)
            pairs[prompt, a, b] = (*means.tolist(), len(found))
    return pairs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(ROWS, st.sets(st.integers(1, 13), max_size=3))
def test_any_rows_in_any_batches_are_what_plain_loops_give(
    merge: Merge, drawn: list[Any], cuts: set[int]
) -> None:
    rows = [judged(p, a, b, sa, sb) for p, (a, b), sa, sb in drawn]
    pairs, rejects, counts = merge(rows, [cut for cut in cuts if cut < len(rows)])
    expected = by_hand(rows)
    found = {(p["prompt"], p["response_a"], p["response_b"]): p for p in pairs}
    assert list(found) == list(expected)
    for key, (score_a, score_b, number) in expected.items():
        assert found[key]["score_a"] == pytest.approx(score_a)
        assert found[key]["score_b"] == pytest.approx(score_b)
        assert 0 < found[key]["votes"] <= number + 1e-9
    assert counts.both == len(expected)
    assert len(rows) - len(rejects) == sum(number for *_, number in expected.values())


def row(a: str, b: str, score_a: float, score_b: float) -> Row:
    """A row of layout judgments."""
    return {"prompt": "p", "answer_1": a, "answer_2": b, "score_1": score_a, "score_2": score_b}


def test_score_merges_both_orders_and_says_what_they_show(run: Callable[..., Any]) -> None:
    """b is better by (8 - 6 + 5 - 9) / 2 = -1: a by 1. Being first adds (4 + 2) / 2 = 3."""
    rows = [row("a", "b", 9, 5), row("a", "c", 4, 4), row("b", "a", 8, 6), row("c", "a", 5, 3)]
    summary, pairs, rejects = run([*rows, row("a", "d", 1, 2)], source="ratings")
    assert summary.layout == "judgments"
    assert [(p["chosen"], p["rejected"], p["margin_raw"], p["weight"]) for p in pairs] == [
        ("a", "b", 1, 2),
        ("c", "a", 1, 2),
    ]
    assert [r["reason"] for r in rejects] == ["judge_one_order"]
    assert summary.read == 5
    orders = read_metadata(summary.out)["findings"]["orders"]
    assert (orders["both_orders"], orders["one_order"], orders["flip_rate"]) == (2, 1, 0.5)
    assert orders["first_advantage"] == 2  # 3 and (0 + 2) / 2 = 1
    assert ("flips", "1 (50.0%) have another winner when swapped") in summary.findings


def test_a_file_with_one_order_is_an_error_and_can_be_read_row_by_row(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [row("a", "b", 9, 5), row("a", "c", 4, 6)]
    with pytest.raises(InputError, match=r"no usable pair in 2 rows \(judge_one_order 2"):
        run(rows, source="ratings")
    (detail,) = set(pq.read_table(tmp_path / "pairs.rejects.parquet")["detail"].to_pylist())
    assert "--layout ratings_pair (and --map)" in detail
    names = {"response_a": "answer_1", "response_b": "answer_2"}
    names |= {"rating_a": "score_1", "rating_b": "score_2"}
    _, pairs, _ = run(rows, source="ratings", layout="ratings_pair", map=names)
    assert [p["margin_raw"] for p in pairs] == [4, 2]


@pytest.fixture(scope="module")
def qlora(real_data: Path) -> pd.DataFrame:
    """GPT-4's scores of two models' answers, every pair in both orders, with the texts."""
    verdicts, answers, questions = (
        pd.read_json(real_data / "judge" / f"qlora_{name}.jsonl.gz", lines=True)
        for name in ("gpt4_both_orders", "answers", "questions")
    )
    texts = answers.set_index(["model", "question_id"])["answer"]
    for side in "12":
        keys = pd.MultiIndex.from_frame(verdicts[[f"model_{side}", "question_id"]])
        verdicts[f"answer_{side}"] = texts.reindex(keys).to_numpy()
    return verdicts.merge(questions[["question_id", "text"]], on="question_id")


@pytest.mark.real_data
def test_qlora_agrees_with_pandas(qlora: pd.DataFrame, merge: Merge) -> None:
    """Pandas merges by models and question, this by texts; where no other pair of models has the
    same two texts to a question, both must say the same of every pair.
    """
    usable = qlora.dropna(subset=["answer_1", "answer_2"])
    usable = usable[(usable.score_1 >= 0) & (usable.score_2 >= 0)]
    usable = usable[usable.answer_1.str.strip().ne("") & usable.answer_2.str.strip().ne("")]
    usable = usable[usable.answer_1 != usable.answer_2]
    low = usable[["answer_1", "answer_2"]].min(axis=1)
    high = usable[["answer_1", "answer_2"]].max(axis=1)
    models = usable[["model_1", "model_2"]].apply(lambda row: " ".join(sorted(row)), axis=1)
    per_text = models.groupby([usable.question_id, low, high]).transform("nunique")
    usable = usable[per_text == 1]
    rows = [
        judged(r.text, r.answer_1, r.answer_2, r.score_1, r.score_2)
        for r in usable.itertuples(index=False)
    ]
    pairs, rejects, counts = merge(rows, range(500, len(rows), 500))

    gap = usable.assign(gap=usable.score_1 - usable.score_2)
    both = gap.merge(
        gap,
        left_on=["question_id", "model_1", "model_2"],
        right_on=["question_id", "model_2", "model_1"],
    )
    both = both[both.model_1_x < both.model_2_x]  # every pair once
    first, second = both.gap_x, -both.gap_y
    assert counts.both == len(both) == len(pairs)
    assert len(rejects) == len(usable) - 2 * len(both)
    assert counts.flips == int((first * second < 0).sum())
    assert counts.first_won == int(((first > 0) & (second < 0)).sum())
    assert counts.tie_changes == int(((first == 0) ^ (second == 0)).sum())
    advantage = (first - second) / 2
    assert counts.advantage == pytest.approx(advantage.mean())
    assert counts.interval is not None
    half = 1.959964 * advantage.std() / len(both) ** 0.5
    assert counts.interval[1] - counts.interval[0] == pytest.approx(2 * half)
    margins = sorted(abs(p["score_a"] - p["score_b"]) for p in pairs)
    assert margins == pytest.approx(sorted(((first + second) / 2).abs()))
    # Most pairs are there, and GPT-4 did prefer the answer it saw first.
    assert counts.both > 2500
    assert counts.interval[0] > 0
