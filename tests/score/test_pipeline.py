"""`score` end to end on small inputs: what is kept, in which order, with which numbers."""

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margintool import score
from margintool.option_checks import rejects_path
from margintool.score_options import ScoreOptions
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_metadata, read_table
from tests.score.conftest import long_row, shp_row

Run = Callable[..., Any]


def test_numbers_of_a_small_file_by_hand(run: Run) -> None:
    """Votes 8:2 and 2:4: margins ln 4 and ln 2, rms = ln 2 * sqrt((4 + 1) / 2).

    gamma = 1, so p = sigma(2 / sqrt(2.5)) and sigma(1 / sqrt(2.5)).
    """
    summary, pairs, _ = run([shp_row(8, 2, 0), shp_row(2, 4, 9)], gamma=1.0)
    scale = math.log(2) * math.sqrt(2.5)
    assert [p["margin_raw"] for p in pairs] == pytest.approx([math.log(4), math.log(2)])
    assert [p["margin"] for p in pairs] == pytest.approx([2 / math.sqrt(2.5), 1 / math.sqrt(2.5)])
    expected = [1 / (1 + math.exp(-m / scale)) for m in (math.log(4), math.log(2))]
    assert [p["p_chosen"] for p in pairs] == pytest.approx(expected, abs=1e-15)
    assert (pairs[0]["chosen"], pairs[0]["rejected"]) == ("Answer A0", "Answer B0")
    assert (pairs[1]["chosen"], pairs[1]["rejected"]) == ("Answer B9", "Answer A9")
    assert (pairs[1]["score_chosen"], pairs[1]["score_rejected"]) == (4, 2)
    assert [p["weight"] for p in pairs] == [10, 6]
    assert summary.mean_target == pytest.approx(np.mean(expected))


def test_gamma_auto_gives_the_agreement(run: Run) -> None:
    rows = [shp_row(2 + i, 2, 3 * i) for i in range(30)]
    summary, pairs, _ = run(rows, agreement=0.8)
    assert np.mean([p["p_chosen"] for p in pairs]) == pytest.approx(0.8, abs=1e-9)
    assert summary.mean_target == pytest.approx(0.8, abs=1e-9)


def test_ties_have_margin_zero_and_one_half(run: Run) -> None:
    summary, pairs, _ = run([shp_row(5, 5, 0), shp_row(5, 2, 3)], agreement=0.6)
    assert (pairs[0]["margin"], pairs[0]["p_chosen"]) == (0, 0.5)
    assert summary.ties == 1
    summary, pairs, rejects = run([shp_row(5, 5, 0), shp_row(5, 2, 3)], ties="drop")
    assert len(pairs) == 1
    assert [r["reason"] for r in rejects] == ["tie_dropped"]


def test_a_tie_keeps_the_given_preference(run: Run) -> None:
    _, pairs, _ = run([shp_row(5, 5, 0, labels=0)], gamma=1.0)
    assert pairs[0]["chosen"] == "Answer B0"


def test_conflicting_labels_are_flipped_or_rejected_and_counted(run: Run) -> None:
    rows = [shp_row(9, 2, 0, labels=0), shp_row(9, 2, 3)]
    summary, pairs, _ = run(rows)
    assert (summary.flipped, len(pairs)) == (1, 2)
    assert pairs[0]["chosen"] == "Answer A0"
    summary, pairs, rejects = run(rows, on_conflict="reject")
    assert (summary.flipped, len(pairs)) == (0, 1)
    assert summary.rejected == {"preference_conflict": 1}
    assert rejects[0]["origin"].endswith("input.jsonl:1")


def test_rows_come_in_input_order_with_their_origin(run: Run) -> None:
    _, pairs, _ = run([shp_row(2 + i, 2 + (i % 7), i) for i in range(50)], max_pairs_per_prompt=0)
    assert [int(p["origin"].rsplit(":", 1)[1]) for p in pairs] == list(range(1, 51))
    assert [p["prompt"] for p in pairs] == [f"Question {i // 3}?" for i in range(50)]


def test_five_pairs_a_prompt_is_the_default_of_shp(run: Run) -> None:
    """12 pairs of one prompt: 5 kept, 7 named."""
    rows = [{**shp_row(9, 2, i), "history": "One?"} for i in range(12)]
    summary, pairs, rejects = run(rows)
    assert len(pairs) == 5
    assert summary.rejected == {"over_max_pairs_per_prompt": 7}
    assert {r["reason"] for r in rejects} == set(summary.rejected)
    kept = [p["chosen"] for p in pairs]
    assert kept != [f"Answer A{i}" for i in range(5)]
    assert [p["chosen"] for p in run(rows)[1]] == kept
    assert [p["chosen"] for p in run(rows, seed=1)[1]] != kept


def test_soft_labels_of_two_pairs_of_one_prompt_stay_apart(run: Run) -> None:
    """The paper's code keyed targets by prompt alone, so that the second overwrote the first."""
    rows = [{**shp_row(100, 2, i), "history": "One?"} for i in (0, 1)]
    rows[1]["score_A"] = 3
    _, pairs, _ = run(rows)
    assert pairs[0]["p_chosen"] != pairs[1]["p_chosen"]
    assert pairs[0]["pair_id"] != pairs[1]["pair_id"]


def test_duplicates_are_dropped_also_with_answers_swapped(run: Run) -> None:
    row = shp_row(9, 2, 0)
    swapped = {
        **row,
        "human_ref_A": row["human_ref_B"],
        "human_ref_B": row["human_ref_A"],
        "score_A": 2,
        "score_B": 9,
        "labels": 0,
    }
    summary, pairs, _ = run([row, row, swapped])
    assert len(pairs) == 1
    assert summary.rejected == {"duplicate_pair": 2}


def test_min_margin_is_in_the_sources_unit(run: Run) -> None:
    summary, pairs, _ = run([shp_row(9, 2, 0), shp_row(3, 2, 3)], margin="diff", min_margin=2.0)
    assert [p["margin_raw"] for p in pairs] == [7]
    assert summary.rejected == {"below_min_margin": 1}


def test_limit_reads_that_many_rows(run: Run) -> None:
    summary, pairs, _ = run([shp_row(9, 2, i * 3) for i in range(9)], limit=4)
    assert (summary.read, len(pairs)) == (4, 4)


def test_same_input_same_bytes_whatever_the_output_is_called(
    tmp_path: Path, write_jsonl: Run
) -> None:
    data = write_jsonl([shp_row(2 + i, 2 + i % 5, i) for i in range(200)])

    def digest(name: str, **options: Any) -> str:
        score(source="shp", input=data, out=tmp_path / name, **options)
        return hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()

    first = digest("p.parquet")
    assert digest("p.parquet", overwrite=True) == first
    assert digest("q.parquet", rejects=tmp_path / "r.parquet") == first
    assert digest("s.parquet", seed=1) != first


def test_metadata_says_how_the_file_was_made(run: Run) -> None:
    summary, _, _ = run([shp_row(9, 2, 0), shp_row(-1, 2, 3)], gamma=math.inf)
    metadata = read_metadata(summary.out)
    assert metadata["counts"] == {
        "read": 2,
        "kept": 1,
        "ties": 0,
        "flipped": 0,
        "rejected": {"votes_negative": 1},
    }
    assert [metadata[k] for k in ("source", "layout", "margin")] == ["shp", "shp", "log-ratio"]
    assert metadata["gamma"] == "inf" == metadata["options"]["gamma"]
    assert metadata["normalizer"]["name"] == "rms"
    assert len(metadata["input"]["fingerprint"]) == 32
    json.dumps(metadata, allow_nan=False)


def test_written_file_keeps_the_contract(run: Run) -> None:
    summary, _, _ = run([shp_row(9, 2, 0)])
    assert read_table(summary.out).num_rows == 1


def test_existing_output_is_an_error_without_overwrite(tmp_path: Path, write_jsonl: Run) -> None:
    out = tmp_path / "p.parquet"
    out.write_text("precious")
    with pytest.raises(InputError, match="exists already; --overwrite"):
        score(source="shp", input=write_jsonl([shp_row(9, 2)]), out=out)
    assert out.read_text() == "precious"


def test_no_usable_pair_is_an_error_that_names_the_reasons(
    tmp_path: Path, write_jsonl: Run
) -> None:
    out = tmp_path / "p.parquet"
    with pytest.raises(InputError, match=r"no usable pair in 1 rows \(votes_negative 1\)"):
        score(source="shp", input=write_jsonl([shp_row(-4, 2)]), out=out)
    assert not out.exists()
    assert (tmp_path / "p.rejects.parquet").exists()


def test_failure_leaves_an_old_output_and_no_temporary_files(
    tmp_path: Path, write_jsonl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "p.parquet"
    data = write_jsonl([shp_row(9, 2)])
    score(source="shp", input=data, out=out)
    before = out.read_bytes()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("margintool.pipeline.PairWriter.write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        score(source="shp", input=data, out=out, overwrite=True)
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["input.jsonl", "p.parquet"]


def test_stale_rejects_go_when_nothing_is_rejected(run: Run, tmp_path: Path) -> None:
    run([shp_row(9, 2, 0), shp_row(-1, 2, 3)])
    assert (tmp_path / "pairs.rejects.parquet").exists()
    summary, _, _ = run([shp_row(9, 2, 0)])
    assert summary.rejects is None
    assert not (tmp_path / "pairs.rejects.parquet").exists()


def test_rejects_path_is_beside_the_output_or_as_asked() -> None:
    options = ScoreOptions(source="shp", out="a/pairs.parquet")
    assert rejects_path(options) == Path("a/pairs.rejects.parquet")
    named = ScoreOptions(source="shp", out="a/pairs.parquet", rejects="b.parquet")
    assert rejects_path(named) == Path("b.parquet")


def test_ratings_of_one_prompt_need_not_be_adjacent(run: Run) -> None:
    rows = [
        long_row("x", "x1", 3),
        long_row("y", "y1", 1),
        long_row("x", "x2", 9),
        long_row("y", "y2", 5),
    ]
    _, pairs, _ = run(rows, source="ratings", scale="1,10")
    assert [(p["prompt"], p["chosen"], p["rejected"], p["margin_raw"]) for p in pairs] == [
        ("x", "x2", "x1", 6),
        ("y", "y2", "y1", 4),
    ]
    assert pairs[0]["origin"].endswith("input.jsonl:3 + " + pairs[0]["origin"].split(" + ")[1])
    assert [p["weight"] for p in pairs] == [1, 1]


def test_unusable_ratings_are_named_and_the_rest_is_paired(run: Run) -> None:
    rows = [long_row("x", f"x{i}", r) for i, r in enumerate(["8", "N/A", None, "-1", "3"])]
    rows.append(long_row("y", "alone", "4"))
    summary, pairs, rejects = run(rows, source="ratings")
    assert [(p["chosen"], p["rejected"]) for p in pairs] == [("x0", "x4")]
    assert {r["origin"].rsplit(":", 1)[1]: r["reason"] for r in rejects} == {
        "2": "rating_not_a_number",
        "3": "rating_missing",
        "4": "rating_out_of_scale",
        "6": "single_response",
    }
    assert summary.rejected == {
        "rating_missing": 1,
        "rating_not_a_number": 1,
        "rating_out_of_scale": 1,
        "single_response": 1,
    }


def test_identical_responses_make_no_pair(run: Run) -> None:
    """They are one response, rated (8 + 3) / 2."""
    rows = [long_row("x", "same", 8), long_row("x", "same", 3), long_row("x", "other", 5)]
    summary, pairs, _ = run(rows, source="ratings", pairing="all")
    assert [(p["chosen"], p["margin_raw"]) for p in pairs] == [("same", 0.5)]
    assert summary.rejected == {"merged_response": 1}


def test_range_normaliser_uses_the_scale(run: Run) -> None:
    """Scale 1 to 10: a gap of 3 is 3 / 9."""
    rows = [long_row("x", "x1", 5), long_row("x", "x2", 8)]
    _, pairs, _ = run(rows, source="ratings", scale="1,10", normalize="range", gamma=1.0)
    assert pairs[0]["margin"] == pytest.approx(1 / 3)


VOTES = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=2, max_size=12)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(votes=VOTES)
def test_every_input_row_is_kept_or_rejected(run: Run, votes: list[tuple[int, int]]) -> None:
    rows = [shp_row(a, b, 3 * i) for i, (a, b) in enumerate(votes)]
    summary, pairs, rejects = run(rows, gamma=1.0)
    assert summary.read == len(rows) == len(pairs) + len(rejects)
    assert summary.kept == len(pairs)
    assert sum(summary.rejected.values()) == len(rejects)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "shq"}, "unknown source 'shq'. Did you mean 'shp'?"),
        ({"margin": "ratio"}, "unknown margin of source shp 'ratio'"),
        ({"normalize": "rmz"}, "Did you mean 'rms'?"),
        ({"pairing": "best"}, "--pairing: 'best' is not one of best-random, "),
        ({"ties": "dropp"}, "--ties: 'dropp' is not one of keep, drop. Did you mean 'drop'?"),
        ({"on_conflict": "flp"}, "--on-conflict: 'flp' is not one of flip, reject"),
        ({"gamma": "high"}, "--gamma: 'high' is not one of auto"),
        ({"normalize": None}, "--normalize: expected text, got None"),
        ({"map": {"hisory": "ctx"}}, "no layout has a column 'hisory'"),
        ({"layout": "ship"}, "Did you mean 'shp'?"),
        ({"layout": "helpsteer2"}, "no scores for source shp"),
        ({"gamma": -1.0}, "gamma must be a number >= 0"),
        ({"agreement": 1.5}, "--agreement must lie between"),
        ({"min_margin": -1.0}, "--min-margin must be >= 0"),
        ({"limit": 0}, "--limit must be >= 1"),
        ({"scale": "1,10"}, "no meaning for source shp"),
        ({"layout": "votes_pair"}, "layout votes_pair misses 'prompt'"),
    ],
)
def test_bad_options_are_named(run: Run, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        run([shp_row(9, 2)], **options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "10,1"}, "MIN,MAX with MIN < MAX"),
        ({"scale": "1-10"}, "MIN,MAX with MIN < MAX"),
        ({"margin": "mean"}, "no aspect ratings"),
        ({"aspects": "helpfulness"}, "--aspects needs --margin mean"),
    ],
)
def test_bad_rating_options_are_named(run: Run, options: dict[str, Any], message: str) -> None:
    rows = [long_row("x", "a", 3), long_row("x", "b", 8)]
    with pytest.raises(InputError) as error:
        run(rows, source="ratings", **options)
    assert message in str(error.value)


def ultrafeedback(overall: float, aspects: str) -> dict[str, Any]:
    names = ("instruction_following", "honesty", "truthfulness", "helpfulness")
    return {
        "model": "m",
        "response": f"answer {overall} {aspects}",
        "annotations": {name: {"Rating": aspects} for name in names},
        "overall_score": overall,
    }


def test_a_ten_that_was_a_one_is_rejected_unless_the_overall_score_is_not_used(run: Run) -> None:
    """UltraFeedback stored a critique score of 1 as 10 in about 2,000 rows."""
    completions = [ultrafeedback(10, "1"), ultrafeedback(8, "4"), ultrafeedback(6, "3")]
    rows = [{"instruction": "Why?", "completions": completions}]
    summary, pairs, _ = run(rows, source="ratings", pairing="best-worst")
    assert summary.rejected == {"score_conflict": 1}
    assert (pairs[0]["score_chosen"], pairs[0]["score_rejected"]) == (8, 6)
    _, pairs, _ = run(rows, source="ratings", pairing="best-worst", margin="mean")
    assert (pairs[0]["score_chosen"], pairs[0]["score_rejected"]) == (4, 1)


def test_range_of_a_given_gap_is_its_largest_value(run: Run) -> None:
    """HelpSteer3's preference runs from -3 to 3: a gap of 2 is 2 / 3, not 2 / 6."""
    row = {
        "context": [{"role": "user", "content": "Why?"}],
        "response1": "first",
        "response2": "second",
        "overall_preference": 2,
    }
    _, pairs, _ = run([row], source="ratings", normalize="range", gamma=1.0)
    assert pairs[0]["margin"] == pytest.approx(2 / 3)
    assert pairs[0]["chosen"] == "second"
    assert pairs[0]["score_chosen"] is None


def test_responses_that_are_all_unusable_are_an_error_with_their_reasons(run: Run) -> None:
    rows = [long_row("x", "a", None), long_row("x", "b", "N/A")]
    with pytest.raises(InputError, match="rating_missing 1, rating_not_a_number 1"):
        run(rows, source="ratings")


def test_rejects_are_written_also_where_everything_is_dropped(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\(tie_dropped 2\)"):
        run([shp_row(5, 5, 0), shp_row(3, 3, 3)], ties="drop")
    rejects = pq.read_table(tmp_path / "pairs.rejects.parquet").to_pylist()
    assert [r["reason"] for r in rejects] == ["tie_dropped", "tie_dropped"]


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/votes-\xff.jsonl"))
    path.write_text(json.dumps(shp_row(9, 2)))
    with pytest.raises(InputError, match="not UTF-8 text; rename it"):
        score(source="shp", input=path, out=tmp_path / "pairs.parquet")


@pytest.mark.parametrize("name", ["p.csv", "p.JSONL"])
def test_parquet_is_not_written_under_the_name_of_another_format(
    name: str, tmp_path: Path, write_jsonl: Run
) -> None:
    data = write_jsonl([shp_row(9, 2)])
    with pytest.raises(InputError, match=rf"{name}: a pair file is Parquet; name it p\.parquet"):
        score(source="shp", input=data, out=tmp_path / name)
    assert not (tmp_path / name).exists()


def test_rejects_never_replace_an_input_or_a_file_of_the_users(
    tmp_path: Path, write_jsonl: Run
) -> None:
    data = write_jsonl([shp_row(9, 2)])
    before = data.read_bytes()
    out = tmp_path / "p.parquet"
    for overwrite in (False, True):
        with pytest.raises(InputError, match="holds no rejects; name another file"):
            score(source="shp", input=data, out=out, rejects=data, overwrite=overwrite)
    mine = tmp_path / "p.rejects.parquet"
    mine.write_text("mine")
    with pytest.raises(InputError, match="holds no rejects"):
        score(source="shp", input=data, out=out)
    assert (data.read_bytes(), mine.read_text()) == (before, "mine")


def test_an_output_that_a_glob_reads_is_refused(tmp_path: Path, write_jsonl: Run) -> None:
    write_jsonl([shp_row(9, 2)], "votes.jsonl")
    pattern = str(tmp_path / "*.*")
    score(source="shp", input=pattern, out=tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"p\.parquet: is an input; give --out another name"):
        score(source="shp", input=pattern, out=tmp_path / "p.parquet", overwrite=True)


@pytest.mark.parametrize("out", ["", "."])
def test_an_output_without_a_name_is_refused(write_jsonl: Run, out: str) -> None:
    with pytest.raises(InputError, match="name a file, such as pairs"):
        score(source="shp", input=write_jsonl([shp_row(9, 2)]), out=out)


def test_out_and_rejects_by_two_paths_to_one_file(
    tmp_path: Path, write_jsonl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_jsonl([shp_row(9, 2)])
    with pytest.raises(InputError, match="name the same file"):
        score(source="shp", input=data, out="p.parquet", rejects=tmp_path / "p.parquet")


def test_of_two_equal_pairs_the_one_with_the_margin_stays(run: Run) -> None:
    """3:2 falls below the smallest margin; 30:2 of the same texts does not."""
    summary, pairs, _ = run([shp_row(3, 2, 0), shp_row(30, 2, 0)], min_margin=1.0)
    assert [p["score_chosen"] for p in pairs] == [30]
    assert summary.rejected == {"below_min_margin": 1}


@pytest.mark.parametrize("margin", ["log-ratio", "diff", "posterior"])
def test_votes_at_the_end_of_the_floats_harm_no_other_row(run: Run, margin: str) -> None:
    rows = [shp_row(1.5e308, 1.6e308, 0), shp_row(1e308, 1e-308, 3), shp_row(9, 2, 6)]
    _, pairs, _ = run(rows, margin=margin, gamma=1.0, normalize="none")
    assert pairs[-1]["prompt"] == "Question 2?"
    assert all(np.isfinite(p["margin_raw"]) and np.isfinite(p["weight"]) for p in pairs)


def test_a_scale_for_preferences_is_symmetric(run: Run) -> None:
    row = {
        "context": [{"role": "user", "content": "Why?"}],
        "response1": "a",
        "response2": "b",
        "overall_preference": -2,
    }
    with pytest.raises(InputError, match="run from -M to M, got 1,5"):
        run([row], source="ratings", scale="1,5")
    assert len(run([row], source="ratings", scale=(-2, 2), gamma=1.0)[1]) == 1
