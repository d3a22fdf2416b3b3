"""`score --source gpt4`: references, paths, mistakes, cards, and training on its pairs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margintool.judge.mock.quality import mock_quality
from mmpo_core.checks import ContractError
from mmpo_core.errors import InputError, UnfinishedError
from mmpo_core.pair_file import read_pairs
from tests.judge.conftest import MockJudge
from tests.judge.judged_rows import FAIR, GOOD, POOR, judged, metadata, pair
from tests.score.conftest import long_row, run, write_jsonl

__all__ = ["judged", "run", "write_jsonl"]  # fixtures


@pytest.mark.parametrize("mode", ["single", "pair"])
@pytest.mark.parametrize("pairing", [None, "all"])
def test_responses_with_references_of_their_own_are_found_again(
    judged: Callable[..., Any], mode: str, pairing: str | None
) -> None:
    """Each answer is judged by its own row's reference; every paid verdict is used."""
    rows = [long_row("Q?", text, None, gold=f"gold {n}") for n, text in enumerate((GOOD, FAIR))]
    rows.append(long_row("Q?", GOOD, None, gold="gold 2"))  # judged apart from the first
    _, pairs, rejects = judged(rows, reference="gold", mode=mode, pairing=pairing, gamma=1.0)
    assert {row["reason"] for row in rejects} <= {"identical_responses", "duplicate_pair"}
    assert (pairs[0]["chosen"], pairs[0]["rejected"]) == (GOOD, FAIR)


def test_paths_may_be_given_as_paths(judged: Callable[..., Any], tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Is it long?")
    summary, _, _ = judged([pair(1, GOOD, POOR)], rubric=rubric)
    assert metadata(summary.out)["judging"]["rubric"] == str(rubric)


def test_judgments_in_both_orders_are_one_pair_for_a_judge_of_our_own(
    judged: Callable[..., Any],
) -> None:
    rows = [
        {"prompt": "Q?", "answer_1": a, "answer_2": b, "score_1": 7, "score_2": 7}
        for a, b in ((GOOD, FAIR), (FAIR, GOOD))
    ]
    summary, pairs, rejects = judged(rows, mode="pair")
    assert (len(pairs), [row["reason"] for row in rejects]) == (1, ["duplicate_pair"])
    assert metadata(summary.out)["findings"]["orders"]["pairs"] == 1


def test_a_pair_that_ties_is_kept_once_whichever_way_round_it_stands(
    judged: Callable[..., Any],
) -> None:
    rows = [pair(1, "one two", "two three"), pair(1, "two three", "one two"), pair(2, GOOD, POOR)]
    _, pairs, rejects = judged(rows, gamma=1.0)
    assert ([row["margin_raw"] == 0 for row in pairs], len(rejects)) == ([True, False], 1)


def test_the_range_is_that_of_the_judges_scale(judged: Callable[..., Any]) -> None:
    """helpsteer3 gives gaps from -3 to 3; the judge rates 1 to 10, so gaps span 9."""
    row = {
        "context": [{"role": "user", "content": "Q?"}],
        "response1": GOOD,
        "response2": POOR,
        "overall_preference": -2,
    }
    _, pairs, _ = judged([row], normalize="range", gamma=1.0)
    (found,) = pairs
    assert found["margin"] == pytest.approx((mock_quality(GOOD) - mock_quality(POOR)) / 9)
    assert (found["given_score_chosen"], found["given_score_rejected"]) == (2.0, 0.0)


def test_a_reference_that_the_template_does_not_show_is_refused(
    judged: Callable[..., Any], tmp_path: Path
) -> None:
    template = tmp_path / "own.jinja"
    template.write_text("{{ fenced('PROMPT', prompt) }} {{ fenced('ANSWER', answer) }}")
    with pytest.raises(InputError, match="--reference gold would have no effect"):
        judged([pair(1, GOOD, POOR, gold="x")], reference="gold", template=template)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judge_model": ()}, "--judge-model"),
        ({"judge_model": ("mock-judge", "mock-judge")}, "twice"),
        ({"samples": 0}, "--samples must be >= 1"),
        ({"samples": 2, "temperature": 0.0}, "--temperature 0"),
        ({"margin": "overall"}, "--mode says it"),
        ({"mode": "pair", "scale": "1,5"}, "no scale"),
        ({"aspects": "honesty"}, "--mode aspects"),
        ({"mode": "pair", "pairing": "best-worst"}, "needs ratings to rank"),
        ({"timeout": 0.0}, "--timeout"),
        ({"judge_model": ("gpt-9",)}, "gpt-9"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    judged: Callable[..., Any], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((InputError, ContractError), match=message):
        judged([pair(1, GOOD, POOR)], **options)
    assert not (tmp_path / "pairs.parquet").exists()


def test_options_of_a_judge_mean_nothing_to_other_sources(run: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="--judge-model, --samples: no meaning for source shp"):
        run([pair(1, GOOD, POOR)], source="shp", judge_model=("x",), samples=3)


def test_the_card_tells_of_the_judges_and_of_the_columns(
    judged: Callable[..., Any], tmp_path: Path
) -> None:
    from margintool.card.writing import write_card

    judges = ("mock-judge", "mock-judge-strict")
    rows = [pair(1, GOOD, FAIR), pair(2, GOOD, POOR)]
    judged(rows, mode="pair", judge_model=judges)
    card = write_card(tmp_path / "pairs.parquet")
    assert "Judged by mock-judge, mock-judge-strict (mode pair, temperature 0.0, draws 1" in card
    assert "of 4 pairs judged in both orders 0.0% have another winner" in card
    assert "Krippendorff's alpha" in card
    assert "| `judge_scores_chosen` | `list<float64>` | score of chosen by each judge" in card
    assert "--judge-model mock-judge --judge-model mock-judge-strict --mode pair" in card


def test_one_judge_may_be_named_as_text(judged: Callable[..., Any]) -> None:
    _, pairs, _ = judged([pair(1, GOOD, POOR)], judge_model="mock-judge")
    assert len(pairs[0]["judge_scores_chosen"]) == 1


def test_the_pair_file_is_read_and_trained_on_like_any_other(
    judged: Callable[..., Any], tmp_path: Path
) -> None:
    from margintool import train

    judged([pair(n, f"{FAIR} {n}", f"{POOR} {n}") for n in range(4)])
    frame = read_pairs(tmp_path / "pairs.parquet")
    assert list(frame.source.unique()) == ["gpt4"]
    assert frame.judge_scores_chosen.str[0].tolist() == frame.score_chosen.tolist()
    train(
        pairs=tmp_path / "pairs.parquet",
        model="tiny",
        out=tmp_path / "run",
        max_length=64,
        batch_size=2,
        max_steps=1,
    )
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_what_asking_took_is_shown_and_is_no_part_of_the_file(judged: Callable[..., Any]) -> None:
    summary, _, _ = judged([pair(1, GOOD, POOR)])
    labels = [label for label, _ in summary.findings]
    assert labels[:2] == ["answered", "tokens"]
    assert "2 questions now" in summary.findings[0][1]
    assert "seconds" not in json.dumps(metadata(summary.out))


def test_requests_that_fail_are_told_and_sent_again(
    run: Callable[..., Any], start_mock: Callable[..., MockJudge]
) -> None:
    """The stand-in's faults are gone after two tries: without retries some pairs lack a reply."""
    judge = start_mock(faults="error=0.3")
    rows = [pair(n, f"{GOOD} {n}", f"{POOR} {n}") for n in range(12)]
    asked = {"source": "gpt4", "judge_model": "mock-judge", "base_url": judge.url, "retries": 0}
    summary, pairs, rejects = run(rows, **asked)
    assert {row["reason"] for row in rejects} == {"judge_failed"}
    (warning,) = [text for label, text in summary.findings if label == "warning"]
    assert "requests failed" in warning
    assert "--overwrite" in warning
    for _ in range(3):  # a question may be unlucky twice
        _, pairs, _ = run(rows, **asked)
    assert len(pairs) == 12


def test_a_run_without_any_reply_has_failed_and_says_why(
    run: Callable[..., Any], start_mock: Callable[..., MockJudge]
) -> None:
    judge = start_mock(faults="error=1.0")
    asked = {"judge_model": "mock-judge", "base_url": judge.url, "retries": 0}
    with pytest.raises(UnfinishedError, match=r"no usable pair.*failed, the last: .*500"):
        run([pair(1, GOOD, POOR)], source="gpt4", **asked)


def test_margins_that_no_gamma_fits_name_what_was_rejected(judged: Callable[..., Any]) -> None:
    rows = [pair(1, "one two", "two three"), pair(2, GOOD, GOOD)]
    with pytest.raises(
        InputError, match=r"no gamma .* Rejected before that: identical_responses 1"
    ):
        judged(rows)


def test_a_limit_of_tokens_below_one_request_is_refused_rather_than_waited_for(
    judged: Callable[..., Any],
) -> None:
    with pytest.raises(InputError, match=r"--tpm 5: a single request may need [0-9,]+ tokens"):
        judged([pair(1, GOOD, POOR)], tpm=5)
