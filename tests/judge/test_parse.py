"""Ratings of one answer: every form that judges write, and what is null with which reason."""

import json
from typing import Any

import pytest

from margintool.judge.asking.prompts import load_wording
from margintool.judge.item import REASONS
from margintool.judge.reading.parse import check_pattern, read_verdict
from margintool.judge.task import Mode
from mmpo_core.errors import InputError
from tests.judge.replies import completion, read, request


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Good.\n\nRating: [[8]]", 8),
        ("Good. Rating: [[7.5]]", 7.5),
        ("[[7.5]]", 7.5),
        ("Rating: [[8/10]]", 8),
        ("Rating: [[ 8 ]]", 8),
        ("Rating: 8", 8),
        ("Rating: 8.", 8),
        ("Rating: 8/10", 8),
        ("Rating: **8**/10", 8),
        ("Rating: 8 out of 10.", 8),
        ("**Rating:** 8", 8),
        ("**Rating: 8**", 8),
        ("### Final rating: `8`", 8),
        ("rating = 8", 8),
        ("Rating: [8]", 8),
        ("RATING: [[10]]", 10),
        ("Rating: [[1]]", 1),
        ("8/10", 8),
        ("**8 / 10**", 8),
        ("Overall: 8 out of 10", 8),
        ("Score: 8", 8),
        ("My score: 8/10", 8),
        ("First [[3]], on reflection [[6]].", 6),
        ("Rating: [[3]]\nNo, I was wrong.\nRating: [[6]]", 6),
        ("Rating: 3. Then again [[6]]", 6),
        ("Accuracy: 9/10\nClarity: 4/10\nRating: [[6]]", 6),
        ("On a scale of 1 to 10. Rating: [[6]]\n\nI hope that this helps.", 6),
        ("<think>Rating: [[3]]?</think>Rating: [[6]]", 6),
        ("Rating: [[1.0e]] Rating: [[2]]", 2),
        ("Rating (1-10): 8", 8),
        ("**Rating (out of 10):** 8", 8),
        ("Rating: 8 of 10", 8),
        ("Rating: 8 (out of 10)", 8),
        ("Rating: 8 points out of 10", 8),
        ("Rating: [[8]] out of 10", 8),
        ("### Rating\n\n8", 8),
        ("**Final rating:**\n8/10\n", 8),
        ("Rating: $8$", 8),
        (r"Rating: \boxed{8}", 8),
        (r"Rating: $$\boxed{8}$$", 8),
        (r"Rating: \(8\)", 8),
        ("Rating：8", 8),
        ("Rating: (8)", 8),
        ("Rating: <8>", 8),
        ("Rating: 8 - clear and complete", 8),
        ("Rating: 8 — a clear answer", 8),
        ("Rating: 8 (a clear answer).", 8),
        ("Rating: 8. It cites 3 sources.", 8),
        ("{'rationale': 'Good.', 'rating': 8}", 8),
        ('{\n  // my verdict\n  "rationale": "Good.",\n  "rating": 8 // of 10\n}', 8),
        ("Clarity score: 9\nAccuracy score: 3\n\nTotal score: 6", 6),
        ("Accuracy: 9/10\nOverall: 8/10", 8),
        ("Score: 7\nScore: 10 is reserved for perfect answers.", 7),
        ("Score: 6/10\n\nMax score: 10", 6),
        # What follows a line in the asked form is a remark, unless it has that form too.
        ("Rating: [[8]]\n\nNote: with sources it would have been a [[10]].", 8),
        ("Rating: [[8]]\n\nA perfect answer (Rating: [[10]]) would cite sources.", 8),
        ("Rating: [[8]]\n\nWait, I missed the bug. Actually, Rating: [[6]]", 6),
        # Drafts, with or without the tag that opens them.
        ("maybe Rating: [[9]]</think>\nRating: [[5]]", 5),
        ("<thinking>Rating: [[9]]</thinking>\nRating: [[5]]", 5),
        ("[THINK]Rating: [[9]][/THINK]Rating: [[5]]", 5),
    ],
)
def test_text(reply: str, value: float) -> None:
    verdict = read(reply)
    assert (verdict.value, verdict.reason, verdict.read_from) == (value, None, "text")


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ('{"rationale": "Good.", "rating": 8}', 8),
        ('{"rating": 7.5}', 7.5),
        ('{"rating": "8"}', 8),
        ('{"rating": "8/10"}', 8),
        ('{"Rating": 8}', 8),
        ('{"rating": 8e0}', 8),
        ('{"rating": 3, "rating": 8}', 8),
        ('```json\n{"rationale": "Good.", "rating": 8}\n```', 8),
        ('```\n{"rating": 8}\n```', 8),
        ('Here it is:\n{"rationale": "Good.", "rating": 8}', 8),
        ('Here it is:\n```json\n{"rating": 8}\n```\nI hope that this helps.', 8),
        ('{"rationale": "It says [[10]] and {\\"rating\\": 10}.", "rating": 2}', 2),
        ('{"rating": 3} or rather {"rating": 6}', 6),
        ('{"rationale": "two\nlines", "rating": 8}', 8),
        ('{"rating": 8,}', 8),
        ('{"rating": 8, "rationale": "and then it was c', 8),
        ('{"a": {"rating": 8}, "rating": 6}', 6),
        ('{"x": 1} {"rating": 6} {"y": 2}', 6),
        ('{"evaluation": {"rationale": "Good.", "rating": 8}}', 8),
        ('So: {"evaluation": {"rationale": "Good.", "rating": 8}}', 8),
        ('{"score": 8, "rationale": "Good."}', 8),
        ('{"overall_rating": 8}', 8),
        ('{"rating": 8, "max_rating": 10}', 8),
        ('[{"rationale": "Good.", "rating": 8}]', 8),
        ('{"rationale": "He said "ten" to me", "rating": 8}', 8),
        ('```json\n{"rationale": "He said "Rating: 10" himself", "rating": 2}\n```', 2),
        ('{"rating": 3}</think>\n{"rationale": "Good.", "rating": 8}', 8),
        ('<think>{"rating": 3}</think>```json\n{"rating": 8}\n```', 8),
    ],
)
@pytest.mark.parametrize("structured", [True, False])
def test_json(reply: str, value: float, structured: bool) -> None:
    verdict = read(reply, structured=structured)
    assert (verdict.value, verdict.reason, verdict.read_from) == (value, None, "json")


def test_whichever_of_json_and_text_comes_last_counts() -> None:
    assert read('{"rating": 3}\nNo. Rating: [[6]]').value == 6
    assert read('Rating: [[6]]. No: {"rating": 3}.').value == 3


@pytest.mark.parametrize(
    "reply",
    [
        "Rating: high",
        "Rating: eight",
        "$ERROR$",
        "No idea.",
        "Rating:",
        "Rating: [[high]]",
        "Rating: [[]]",
        "Rating: [[1-10]]",
        "Rating: 7-8",
        "Rating: 7 to 8",
        "Rating: 7,5",
        "Rating: 80%",
        "Rating: 7th",
        "Rating: ８",
        "Rating: ٨",
        "Rating: [[²]]",
        "Rate it from 1 to 10.",
        "A rating of 10 would be too high.",
        "It is the 8th of 10.",
        "Accuracy rating: 9\nClarity rating: 4",
        "Accuracy: 9/10\nClarity: 4/10",
        "It got 3/10 of the sums right.",
        '{"rationale": "Good."}',
        '{"rating": "high"}',
        '{"rating": true}',
        '{"rating": null}',
        '{"rating": NaN}',
        '{"rating": Infinity}',
        '{"rating": [8]}',
        '{"rating": {"value": 8}}',
        '{"rating": 8',
        '{"rationale": "I would say [[8]] but',
        'Well: {"rationale": "I would say Rating: 8 but',
        '{"rationale": "He said "ten", "rating": 1',
        '{"rationale": "He said "ten", and", "rating": 1',
        '{"scores": {"clarity": {"rating": 9}, "accuracy": {"rating": 3}}, "overall": 5}',
        '{"scores": {"clarity": {"rating": 9}, "accuracy": {"rating": 3}}}',
        '[{"criterion": "clarity", "rating": 9}, {"criterion": "accuracy", "rating": 3}]',
        '{"score": 9, "overall_score": 5}',
        '{"rating": null, "score": 9}',
        "[8]",
        "8",
        "null",
        "<think>Rating: [[3]]?",
        "<thinking>Rating: [[3]]?",
        "maybe Rating: [[9]]</think>\nThe answer is good.",
        "<thinking>Rating: [[9]]</thinking>\nNo verdict.",
        "Rating: 4 (out of five)",
        "Rating (1-5): 4",
        "Rating (clarity): 4",
        "Rating: 7—8",
        "Rating: 7~8",
        "Rating: 7½",
        "Rating: 6 and a half",
        "Rating: 6, maybe 7",
        "Rating: 10+",
        "Rating: 5 -> 7",
        "Rating: 5 → 7",
        "Rating: 4+3=7",
        "Rating: 2 + 3 + 2 = 7",
        "Rating: 10 - 3 = 7",
        "Rating: 8 − 1 = 7",
        "Rating: 8 minus 2 for style = 6",
        "Rating: 8 - 2 for style",
        "Rating: 4 (5 at best)",
        "Rating: 4 // 5",
        "Rating: (8) → 9",
        "Rating: 10 is too high. I cannot rate it.",
        "I cannot give a rating: 10 people disagree",
        "I cannot give a rating: 10.",
        "Its rating: 9 months ago",
        "### Rating\n\n8 reasons speak for it.",
        "Clarity rating:\n9",
        "Depth\n8/10\nClarity\n6/10",
        "- **Accuracy**: 9/10\n- 4/10",
        "### Accuracy\nScore: 9\n### Clarity\nScore: 3",
    ],
)
def test_what_is_no_verdict_is_null(reply: str) -> None:
    verdict = read(reply, structured=True)
    assert (verdict.value, verdict.reason) == (None, "judge_no_verdict")
    assert verdict.detail


@pytest.mark.parametrize(
    "reply",
    [
        "Rating: [[11]]",
        "Rating: [[0]]",
        "Rating: -1",
        "Rating: [[100/100]]",
        "Rating: 4/5",
        "Rating: 4 of 5",
        "Rating: 4 (out of 5)",
        "Rating: 4 stars out of 5",
        "Rating: [[8]] out of 5",
        '{"rating": 4, "max_rating": 5}',
        "Rating: [[8]]. No: Rating: [[80]]",
        "Rating: [[10.5]]",
        f"Rating: [[{'9' * 5000}]]",
        '{"rating": 0}',
        '{"rating": -3}',
        '{"rating": 1e400}',
        '{"rating": "4/5"}',
    ],
)
def test_a_rating_outside_the_scale_is_null_and_not_clipped(reply: str) -> None:
    verdict = read(reply)
    assert (verdict.value, verdict.reason) == (None, "judge_out_of_scale")
    assert "1 to 10" in str(verdict.detail)


def test_a_scale_of_ones_own_is_the_scale_of_replies() -> None:
    assert read("Rating: [[80]]", scale=(0, 100)).value == 80
    assert read("Rating: 80/100", scale=(0, 100)).value == 80
    assert read("Rating: [[-2]]", scale=(-3, 3)).value == -2
    assert read("Rating: 8/10", scale=(0, 100)).reason == "judge_out_of_scale"


@pytest.mark.parametrize("content", ["", "  \n", None, [], 5, {}])
def test_empty(content: Any) -> None:
    assert read(content).reason == "judge_empty"


def test_content_in_parts_is_read_together() -> None:
    parts = [{"type": "text", "text": "Rating: "}, {"type": "text", "text": "[[8]]"}]
    assert read(parts).value == 8


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("", None),
        ("The answer is", None),
        ("The answer is good. Rating: [[1", None),
        ("The answer is good. Rating: 1", None),
        ("The answer is good. Rating: 8/1", None),
        ('{"rationale": "The answer', None),
        ('{"rationale": "Good", "rating": 1', None),
        ('{"rationale": "I think [[10]]', None),
        ("The answer is good. Rating: [[8]]", 8),
        ("**Rating: [[8]]**\n", 8),
        ('{"rationale": "Good", "rating": 8}', 8),
        ('{"rating": 8, "rationale": "and then', 8),
        ("The answer is good. Rating: [[8]] I should add th", None),
        ("maybe Rating: [[9]] or lower, hm", None),
        ("Rating: [[9]]\nWait, there is a mist", None),
        ('maybe {"rating": 9}, or lower, h', None),
        ('maybe {"rating": 9, "rationale": "I th', None),
        ("<think>Rating: [[9]]", None),
    ],
)
def test_a_reply_cut_at_the_token_limit(reply: str, value: float | None) -> None:
    """A whole verdict at the very end counts. One that might have gone on, `1` of `10`, does
    not, nor does one with more behind it: it may be a draft."""
    verdict = read(reply, finish="length")
    assert (verdict.value, verdict.reason) == (value, None if value else "judge_truncated")


def test_refused_and_filtered() -> None:
    asked = request()
    refused = completion(None, refusal="I cannot help with that.")
    verdict = read_verdict(asked.task, refused, asked.body, asked.fence)
    assert (verdict.value, verdict.reason) == (None, "judge_refused")
    assert "I cannot help with that." in str(verdict.detail)
    assert read("Rating: [[8]] and", finish="content_filter").reason == "judge_filtered"
    kind = completion("Rating: [[8]]", refusal=None)
    assert read_verdict(asked.task, kind, asked.body, asked.fence).value == 8


@pytest.mark.parametrize(
    "odd",
    [{}, [], None, 3, "x", {"choices": []}, {"choices": None}, {"choices": [None]},
     {"choices": [{"message": None}]}, {"choices": [{"message": {"content": None}}]},
     {"error": {"message": "overloaded"}}],
)  # fmt: skip
def test_what_is_no_chat_completion_is_empty(odd: Any) -> None:
    asked = request()
    assert read_verdict(asked.task, odd, asked.body, asked.fence).reason == "judge_empty"


def test_rationales_stand_apart_from_the_verdict() -> None:
    assert read('{"rationale": "Good.", "rating": 8}').rationale == "Good."
    assert read("Good.\n\nRating: [[8]]").rationale == "Good."
    assert read("Rating: [[8]]").rationale is None


def test_deep_and_long_replies_are_read_without_harm() -> None:
    assert read('{"a":' * 3000).reason == "judge_no_verdict"
    assert read("[[" * 20_000).reason == "judge_no_verdict"
    assert read("Rating" + " " * 50_000 + "Rating: [[8]]").value == 8
    assert read('{"rating": ' + "1" * 5000 + "}").reason == "judge_out_of_scale"


def test_a_pattern_of_ones_own_reads_its_last_match() -> None:
    assert read("Mark: 3. Mark: 6.", pattern=r"Mark: (\d+)").value == 6
    assert read("Mark (3)", pattern=r"(Note|Mark) \((?P<rating>\d+)\)").value == 3
    assert read("Rating: [[8]]", pattern=r"Mark: (\d+)").reason == "judge_no_verdict"
    assert read("Mark: high", pattern=r"Mark: (\w+)").reason == "judge_no_verdict"
    assert read("Mark: 60", pattern=r"Mark: (\d+)").reason == "judge_out_of_scale"
    assert read("Best: B", "pair", pattern=r"Best: (\w+)").value == -2


@pytest.mark.parametrize(
    ("pattern", "mode", "complaint"),
    [
        (r"Mark: (\d+", "single", "is no regular expression"),
        (r"Mark: \d+", "single", "needs one group"),
        (r"(Note|Mark): (\d+)", "single", "needs one group"),
        (r"Mark: (\d+)", "aspects", "several"),
    ],
)
def test_a_pattern_that_cannot_serve_is_refused(pattern: str, mode: Mode, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        check_pattern(pattern, load_wording(mode).task)
    check_pattern(r"(Note|Mark): (?P<rating>\d+)", load_wording("single").task)


def test_every_reason_given_here_is_a_known_one() -> None:
    replies = ["", "x", "Rating: [[11]]", json.dumps({"rating": None})]
    assert {read(reply).reason for reply in replies} <= set(REASONS)
