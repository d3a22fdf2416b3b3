"""`score --source similarity` from rows to pairs, with small models made on the spot.

Expected margins come from sentence-transformers' own `encode`, text by text.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from margintool import score
from margintool.card.writing import write_card
from mmpo_core.errors import InputError
from tests.judge.judged_rows import metadata, pair
from tests.score.conftest import run, shp_row, write_jsonl

__all__ = ["run", "write_jsonl"]  # fixtures

CAT, DOG, SUN = "the cat sat on a mat", "a dog ran far away", "sun was up"
Compared = Callable[..., Any]


@pytest.fixture
def compared(run: Callable[..., Any], small_path: Path) -> Compared:
    """Score rows with the small embedder; options over its own."""

    def call(rows: list[dict[str, Any]], **options: Any) -> Any:
        asked = {"source": "similarity", "similarity_model": str(small_path), "gamma": 1.0}
        return run(rows, **{**asked, **options})

    return call


def vectors(model: Any, *texts: str) -> Any:
    return [np.asarray(model.encode(text, show_progress_bar=False), np.float64) for text in texts]


def cosine_distance(model: Any, one: str, other: str) -> float:
    a, b = vectors(model, one, other)
    return float(1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_the_margin_is_one_minus_cosine_and_the_given_preference_stands(
    compared: Compared, small_model: Any
) -> None:
    _, pairs, rejects = compared([pair(1, CAT, DOG), pair(2, DOG, SUN)])
    assert not rejects
    assert [(p["chosen"], p["rejected"]) for p in pairs] == [(CAT, DOG), (DOG, SUN)]
    expected = [cosine_distance(small_model, CAT, DOG), cosine_distance(small_model, DOG, SUN)]
    assert min(expected) > 1e-4
    assert [p["margin_raw"] for p in pairs] == pytest.approx(expected, abs=1e-6)
    assert {p["source"] for p in pairs} == {"similarity"}
    assert {p["score_chosen"] for p in pairs} == {None}


def test_euclidean_is_the_distance_of_the_vectors(compared: Compared, small_model: Any) -> None:
    _, (row,), _ = compared([pair(1, CAT, DOG)], metric="euclidean")
    a, b = vectors(small_model, CAT, DOG)
    assert row["margin_raw"] == pytest.approx(float(np.linalg.norm(a - b)), abs=1e-5)


def test_with_prompt_embeds_both(compared: Compared, small_model: Any) -> None:
    _, (row,), _ = compared([pair(1, CAT, DOG)], with_prompt=True)
    texts = [f"Question 1?\n\n{answer}" for answer in (CAT, DOG)]
    assert row["margin_raw"] == pytest.approx(cosine_distance(small_model, *texts), abs=1e-6)


def test_a_cross_encoder(run: Callable[..., Any], cross_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    _, (row,), _ = run(
        [pair(1, CAT, DOG)],
        source="similarity",
        metric="cross-encoder",
        similarity_model=str(cross_path),
        device="cpu",
    )
    model = CrossEncoder(str(cross_path), device="cpu")
    both = model.predict([(CAT, DOG), (DOG, CAT)], show_progress_bar=False)
    assert row["margin_raw"] == pytest.approx(1 - float(np.mean(both)), abs=1e-6)


def test_long_pairs_of_a_cross_encoder(
    run: Callable[..., Any], cross_path: Path, tmp_path: Path
) -> None:
    """Two different pairs of three, one of them over the limit: pairs are counted, not texts."""
    summary, _, _ = run(
        [pair(1, CAT, DOG), pair(2, DOG, CAT), pair(3, f"{CAT} " * 20, SUN)],
        source="similarity",
        metric="cross-encoder",
        similarity_model=str(cross_path),
        device="cpu",
    )
    told = "1 pairs (50.0%) exceed the 32 tokens that the model reads at once: cut to what it reads"
    assert dict(summary.findings)["long"] == told
    over = "1 of 2 different pairs are longer than the model reads at once"
    assert f"- {over}: cut to what it reads.\n" in write_card(tmp_path / "pairs.parquet")


def test_votes_stay_beside_the_margin_and_say_who_won(compared: Compared, small_model: Any) -> None:
    rows = [
        shp_row(30, 10, 0, human_ref_A=CAT, human_ref_B=DOG),
        shp_row(2, 9, 3, human_ref_A=DOG, human_ref_B=SUN, labels=0),
    ]
    summary, (first, second), _ = compared(rows)
    assert summary.layout == "shp"
    assert (first["chosen"], first["score_chosen"], first["score_rejected"]) == (CAT, 30, 10)
    assert (second["chosen"], second["score_chosen"], second["score_rejected"]) == (SUN, 9, 2)
    assert first["margin_raw"] == pytest.approx(cosine_distance(small_model, CAT, DOG), abs=1e-6)


def test_a_label_against_the_votes_is_flipped_or_rejected_and_counted(compared: Compared) -> None:
    rows = [
        shp_row(30, 10, 0, human_ref_A=CAT, human_ref_B=DOG, labels=0),
        shp_row(30, 10, 3, human_ref_A=CAT, human_ref_B=SUN, labels=1),
    ]
    summary, (first, _), _ = compared(rows)
    assert (first["chosen"], summary.flipped) == (CAT, 1)
    summary, _, (reject,) = compared(rows, on_conflict="reject")
    assert reject["reason"] == "preference_conflict"
    assert summary.kept == 1


def test_without_a_preference_the_inputs_own_scores_say_who_won(compared: Compared) -> None:
    rows = [
        {"prompt": "a", "response_a": CAT, "response_b": DOG, "rating_a": 2, "rating_b": 4},
        {"prompt": "b", "response_a": CAT, "response_b": SUN, "rating_a": 3, "rating_b": 3},
        {"prompt": "c", "response_a": CAT, "response_b": SUN, "rating_a": None, "rating_b": 3},
    ]
    summary, (won, tie), (reject,) = compared(rows, layout="ratings_pair")
    assert (won["chosen"], won["score_chosen"], won["score_rejected"]) == (DOG, 4, 2)
    assert won["margin_raw"] > 0
    assert (tie["margin_raw"], tie["p_chosen"], summary.ties) == (0, 0.5, 1)
    assert (reject["reason"], reject["origin"][-2:]) == ("no_preference", ":3")


def test_identical_answers_are_a_tie_and_empty_ones_are_rejected(compared: Compared) -> None:
    rows = [
        pair(1, CAT, CAT),
        pair(2, CAT, ""),
        pair(3, CAT, DOG),
        {**pair(4, CAT, DOG), "chosen": None},
    ]
    summary, (same, other), rejects = compared(rows)
    assert (same["margin_raw"], same["p_chosen"]) == (0, 0.5)
    assert other["margin_raw"] > 0
    assert summary.ties == 1
    assert [reject["reason"] for reject in rejects] == ["empty_response", "empty_response"]


@pytest.mark.parametrize(
    ("pooling", "words", "hint"),
    [
        ("mean-of-chunks", "read in chunks, the mean of their embeddings taken", ""),
        (
            "truncate",
            "cut there, what follows is not read",
            " (--pooling mean-of-chunks reads it)",
        ),
    ],
)
def test_very_long_texts(
    compared: Compared, tmp_path: Path, pooling: str, words: str, hint: str
) -> None:
    long = "the cat sat on a mat and dog ran far away " * 2500
    assert len(long) > 100_000
    summary, (row,), _ = compared([pair(1, long + SUN, long + DOG)], pooling=pooling)
    # Only their last words differ, which a model of 32 tokens does not read.
    assert (row["margin_raw"] > 0) == (pooling == "mean-of-chunks")
    (told,) = [text for label, text in summary.findings if label == "long"]
    assert told == (
        f"2 texts (100.0%) exceed the 32 tokens that the model reads at once: {words}{hint}"
    )
    card = write_card(tmp_path / "pairs.parquet")
    over = "2 of 2 different texts are longer than the model reads at once"
    assert f"- {over}: {words}.\n" in card


def test_what_is_found_is_told_and_kept(compared: Compared, tmp_path: Path) -> None:
    summary, _, _ = compared([pair(1, CAT, DOG), pair(2, DOG, CAT)])
    found = dict(summary.findings)
    assert found["texts"].startswith("4, 2 different; 2 computed now")
    assert "not how much better" in found["note"]
    made = metadata(tmp_path / "pairs.parquet")
    assert made["margin"] == "cosine"
    assert made["options"]["pooling"] == "mean-of-chunks"
    assert not {"device", "batch_tokens", "embeddings", "judge_model"} & made["options"].keys()
    assert made["findings"]["texts"] == {
        "unit": "texts",
        "different": 2,
        "over_limit": 0,
        "long": "read in chunks, the mean of their embeddings taken",
    }
    assert len(made["similarity"]["fingerprint"]) == 32
    card = write_card(tmp_path / "pairs.parquet")
    assert "not how much better" in card
    assert f"Compared by {made['similarity']['model']}" in card
    assert "`--source similarity --metric cosine`" in card


def test_sign_check(compared: Compared) -> None:
    """Votes 1, 2, 3 apart; answers 0, 1, 2 words longer where the preferred one is."""
    rows = [
        shp_row(20 + n, 20, n, human_ref_A=f"{CAT}{' mat' * n}", human_ref_B=CAT if n else DOG)
        for n in range(4)
    ]
    rows[0].update(score_A=25)
    summary, pairs, _ = compared(rows, sign_check=True)
    told = [text for label, text in summary.findings if label == "sign check"]
    assert len(told) == 3
    margins = np.array([p["margin_raw"] for p in pairs])
    longer = np.array([len(p["chosen"]) - len(p["rejected"]) for p in pairs])
    gaps = np.array([5, 1, 2, 3])
    expected = [rank_correlation(margins, held) for held in (np.abs(longer), longer, gaps)]
    assert [float(text.split()[1]) for text in told] == pytest.approx(expected, abs=1e-3)
    assert all("in 4 pairs compared" in text for text in told)


def rank_correlation(a: Any, b: Any) -> float:
    """Return Spearman's rho of values without repeats, from ranks."""
    one, other = (np.argsort(np.argsort(values)) for values in (a, b))
    assert all(len(set(values.tolist())) == len(values) for values in (a, b))
    return float(np.corrcoef(one, other)[0, 1])


def test_without_scores_the_sign_check_says_so(compared: Compared) -> None:
    summary, _, _ = compared([pair(1, CAT, DOG), pair(2, SUN, DOG)], sign_check=True)
    told = [text for label, text in summary.findings if label == "sign check"]
    assert told[-1] == "the input has no scores to hold the margin to"


def test_the_same_input_again_computes_nothing_and_gives_the_same_bytes(
    compared: Compared, tmp_path: Path
) -> None:
    rows = [pair(1, CAT, DOG), pair(2, DOG, SUN)]
    compared(rows)
    first = (tmp_path / "pairs.parquet").read_bytes()
    summary, _, _ = compared(rows)
    assert "0 computed now, 3 stored before" in dict(summary.findings)["texts"]
    assert (tmp_path / "pairs.parquet").read_bytes() == first


def test_a_pair_file_is_an_input_and_its_ties_stay(
    compared: Compared, run: Callable[..., Any], small_model: Any, tmp_path: Path
) -> None:
    votes = {"human_ref_A": CAT, "human_ref_B": DOG}
    run([shp_row(30, 10, 0, **votes), shp_row(5, 5, 3, **votes)], gamma=1.0)
    (tmp_path / "pairs.parquet").rename(tmp_path / "votes.parquet")
    summary, (won, tie), _ = compared([], input=tmp_path / "votes.parquet")
    assert summary.layout == "pair_file"
    assert (won["chosen"], won["rejected"], won["score_chosen"]) == (CAT, DOG, 30)
    assert won["margin_raw"] == pytest.approx(cosine_distance(small_model, CAT, DOG), abs=1e-6)
    assert (tie["margin_raw"], tie["p_chosen"], summary.ties) == (0, 0.5, 1)


def test_ties_of_a_pair_file_without_scores_stay(compared: Compared, tmp_path: Path) -> None:
    compared([pair(1, CAT, CAT), pair(2, CAT, DOG)])
    (tmp_path / "pairs.parquet").rename(tmp_path / "first.parquet")
    summary, _, _ = compared([], input=tmp_path / "first.parquet", metric="euclidean")
    assert (summary.layout, summary.kept, summary.ties) == ("pair_file", 2, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"source": "shp", "metric": "euclidean"},
            "--similarity-model, --metric: no meaning for source shp, only for sim",
        ),
        ({"mode": "pair"}, "--mode: no meaning for source similarity, only for gpt4"),
        ({"metric": "cross-encoder", "pooling": "truncate"}, "--pooling: no meaning for --metric"),
        ({"margin": "euclidean"}, "--metric says it"),
        ({"metric": "jaccard"}, "--metric"),
        ({"batch_tokens": 0}, "--batch-tokens must be >= 1"),
        ({"similarity_model": " "}, "--similarity-model: name a model"),
        ({"scale": "1,5"}, "no meaning for source similarity"),
    ],
)
def test_options_that_cannot_be(compared: Compared, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        compared([pair(1, CAT, DOG)], **options)


def test_a_folder_without_a_model_is_named(compared: Compared, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no model there"):
        compared([pair(1, CAT, DOG)], similarity_model=str(tmp_path / "empty"))
    assert not (tmp_path / "pairs.parquet").exists()


def test_embeddings_in_a_file_are_refused(compared: Compared, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    with pytest.raises(InputError, match="there: is a file; --embeddings names a folder"):
        compared([pair(1, CAT, DOG)], embeddings=tmp_path / "there")


def test_responses_are_scored_first(run: Callable[..., Any]) -> None:
    rows = [{"prompt": "a", "response": CAT, "rating": 1}, {"prompt": "a", "response": DOG}]
    with pytest.raises(InputError, match=r"layout ratings_long has none .* --source ratings, and"):
        run(rows, source="similarity")


def test_nan_vectors_are_rejected(
    compared: Compared, small_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that breaks on some texts only is not seen when it is loaded."""
    from margintool.similarity.embedder import Embedder

    whole = Embedder._forward

    def broken(self: Embedder, chunks: list[Any]) -> Any:
        made = whole(self, chunks)
        made[[len(chunk) == 5 for chunk in chunks]] = np.nan  # [CLS] sun was up [SEP]
        return made

    monkeypatch.setattr(Embedder, "_forward", broken)
    summary, (row,), (reject,) = compared([pair(1, CAT, DOG), pair(2, CAT, SUN)])
    assert row["rejected"] == DOG
    assert reject["reason"] == "embedding_not_finite"
    assert summary.rejected == {"embedding_not_finite": 1}


def test_from_the_command_line(
    cli: Callable[..., Any], write_jsonl: Callable[..., Path], small_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pairs.parquet"
    done = cli(
        "score",
        *("--source", "similarity"),
        *("--input", str(write_jsonl([pair(1, CAT, DOG), pair(2, SUN, DOG)]))),
        *("--out", str(out)),
        *("--similarity-model", str(small_path)),
        *("--device", "cpu"),
    )
    assert done.status == 0, done.err
    assert "not how much better" in " ".join(done.out.split())
    assert (tmp_path / "pairs.embeddings").is_dir()
    again = score(
        source="similarity",
        input=tmp_path / "input.jsonl",
        out=tmp_path / "again.parquet",
        similarity_model=str(small_path),
        embeddings=tmp_path / "pairs.embeddings",
    )
    assert "0 computed now" in dict(again.findings)["texts"]
    assert json.dumps(again.as_dict())


def test_the_sign_check_of_ties(compared: Compared) -> None:
    """Their length differs all the same; which answer is preferred nobody says."""
    rows = [shp_row(5, 5, 3 * n, human_ref_A=CAT, human_ref_B=f"{DOG}{' mat' * n}") for n in (0, 1)]
    summary, _, _ = compared(rows, sign_check=True)
    length, longer, gap = [text for label, text in summary.findings if label == "sign check"]
    assert "in 2 pairs compared" in length
    assert longer.startswith("no pair has a preferred answer")
    assert "not defined" in gap


def test_columns_that_fit_nothing_name_layouts_that_can_be_read(compared: Compared) -> None:
    with pytest.raises(InputError, match="fit no layout of source similarity") as raised:
        compared([{"question": "a", "good": CAT, "bad": DOG}])
    assert "pairs misses" in str(raised.value)
    assert "ratings_long" not in str(raised.value)
