"""Verdicts on two answers, and ratings by aspect."""

import json

import pytest

from tests.judge.replies import read


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("B is thin.\nVerdict: [[A, much better]]", 3),
        ("Verdict: [[A, better]]", 2),
        ("Verdict: [[A, slightly better]]", 1),
        ("Verdict: [[B, slightly better]]", -1),
        ("Verdict: [[B, better]]", -2),
        ("Verdict: [[B, much better]]", -3),
        ("Verdict: [[tie]]", 0),
        ("**Verdict:** B, much better", -3),
        ("Verdict: A is much better.", 3),
        ("verdict: tie", 0),
        ("Verdict: Answer B (slightly better)", -1),
        ("[[A]]", 2),
        ("My final verdict is: [[B]]", -2),
        ("[[C]]", 0),
        ("[[Tie, equal]]", 0),
        ("[[A>>B]]", 3),
        ("[[A>B]]", 1),
        ("[[A=B]]", 0),
        ("[[B>A]]", -1),
        ("[[B >> A]]", -3),
        ("[[A<<B]]", -3),
        ("At first [[A]], on reflection [[B]].", -2),
        ("Verdict: [[A, better]]\nNo.\nVerdict: [[tie]]", 0),
        ("Verdict: **B**, slightly better", -1),
        ("Verdict: a tie", 0),
        ("Verdict: a, better", 2),
        ("Output (a) wins. Verdict: a", 2),
        ("Verdict: [[A]]\n\nIf brevity mattered, [[B]].", 2),
        ("Verdict: [[A]] vs [[B]]: [[B]]", -2),
    ],
)
def test_winner_in_text(reply: str, value: float) -> None:
    verdict = read(reply, "pair")
    assert (verdict.value, verdict.reason, verdict.read_from) == (value, None, "text")


@pytest.mark.parametrize(
    ("winner", "strength", "value"),
    [
        ("A", "much better", 3),
        ("A", "better", 2),
        ("A", "slightly better", 1),
        ("B", "much better", -3),
        ("b", "Slightly", -1),
        ("Answer A", "better", 2),
        ("tie", "equal", 0),
        ("tie", "better", 0),
        ("A", None, 2),
    ],
)
def test_winner_in_json(winner: str, strength: str | None, value: float) -> None:
    reply = json.dumps({"rationale": "Verdict: [[tie]]", "winner": winner, "strength": strength})
    verdict = read(reply, "pair", structured=True)
    assert (verdict.value, verdict.read_from) == (value, "json")


@pytest.mark.parametrize(
    "reply",
    [
        "A",
        "Answer A is better.",
        "Verdict: A clear win for B",
        "Verdict: neither",
        "Verdict: a\ntoo close to call",
        "Verdict: A bit of both",
        "Verdict: A and B are equal",
        "Verdict: tie, but A is slightly better",
        "[[A or B]]",
        "[[AB]]",
        "[[Apple]]",
        "[[8]]",
        "[[A, equal]]",
        "A plan B would be better than a bad tie.",
        '{"winner": "A", "strength": "equal"}',
        '{"winner": "A", "strength": "hugely better"}',
        '{"winner": "A", "strength": 3}',
        '{"winner": "neither", "strength": "better"}',
        '{"winner": null, "strength": "better"}',
        '{"winner": "A", "strength": "much bet',
        '{"rationale": "Verdict: [[A]]',
    ],
)
def test_what_names_no_winner_is_null(reply: str) -> None:
    verdict = read(reply, "pair", structured=True)
    assert (verdict.value, verdict.reason) == (None, "judge_no_verdict")


def test_a_verdict_cut_at_the_token_limit() -> None:
    assert read("Verdict: [[A, slightly", "pair", finish="length").reason == "judge_truncated"
    assert read("Verdict: A", "pair", finish="length").reason == "judge_truncated"
    assert read("Verdict: [[A, better]]", "pair", finish="length").value == 2


NAMES = ("instruction_following", "truthfulness", "honesty", "helpfulness")
RATINGS = dict(zip(NAMES, (5.0, 3.0, 4.0, 2.0), strict=True))


@pytest.mark.parametrize(
    "reply",
    [
        "instruction_following: [[5]]\ntruthfulness: [[3]]\nhonesty: [[4]]\nhelpfulness: [[2]]",
        "Fine.\n- **Instruction following:** 5/5\n- **Truthfulness:** 3/5\n"
        "- **Honesty:** 4/5\n- **Helpfulness:** 2/5\n",
        "helpfulness: [[1]] at first\nhonesty: 4\ntruthfulness [[3]]\nHelpfulness: 2.\n"
        "instruction-following: 5",
    ],
)
def test_aspects_in_text(reply: str) -> None:
    verdict = read(reply, "aspects")
    assert (verdict.value, verdict.aspects, verdict.read_from) == (3.5, RATINGS, "text")


def test_a_remark_after_the_aspects_changes_none_of_them() -> None:
    lines = "\n".join(f"{name}: [[{rating:g}]]" for name, rating in RATINGS.items())
    remark = "\n\nWith sources, truthfulness: [[5]] would have been right."
    assert read(lines + remark, "aspects").aspects == RATINGS


def test_aspects_under_headings() -> None:
    said = "\n\n".join(f"### {n.title()}\n{r:g}" for n, r in RATINGS.items())
    assert read(said, "aspects").aspects == RATINGS


def test_aspects_under_one_key_are_the_aspects() -> None:
    said = json.dumps({"aspects": {name: {"rating": r} for name, r in RATINGS.items()}})
    assert read(said, "aspects", structured=True).aspects == RATINGS
    two = json.dumps({"first": RATINGS, "second": RATINGS})
    assert read(two, "aspects", structured=True).reason == "judge_no_verdict"


def test_aspects_in_json() -> None:
    """Their mean is (5 + 3 + 4 + 2) / 4 = 3.5; rationales are kept by aspect."""
    said = {name: {"rationale": f"on {name}", "rating": RATINGS[name]} for name in NAMES}
    verdict = read(json.dumps(said), "aspects", structured=True)
    assert (verdict.value, verdict.aspects, verdict.read_from) == (3.5, RATINGS, "json")
    assert verdict.rationale == "\n".join(f"{name}: on {name}" for name in NAMES)
    flat = json.dumps({name.replace("_", " ").title(): RATINGS[name] for name in NAMES})
    assert read(flat, "aspects").aspects == RATINGS


@pytest.mark.parametrize("bad", ["N/A", None, True])
def test_one_aspect_without_a_rating_makes_the_verdict_null(bad: object) -> None:
    """As with the "N/A" of UltraFeedback's annotations: a mean of the others is not the same."""
    said = json.dumps({**RATINGS, "honesty": bad})
    assert read(said, "aspects").reason == "judge_no_verdict"
    lines = "\n".join(f"{n}: [[{bad if n == 'honesty' else r}]]" for n, r in RATINGS.items())
    assert read(lines, "aspects").reason == "judge_no_verdict"


def test_one_aspect_off_the_scale_makes_the_verdict_null() -> None:
    """UltraFeedback stored critique scores of 1 as 10 (its issue 8)."""
    verdict = read(json.dumps({**RATINGS, "honesty": 10}), "aspects")
    assert (verdict.value, verdict.aspects, verdict.reason) == (None, None, "judge_out_of_scale")
    assert "honesty" in str(verdict.detail)


def test_aspects_cut_at_the_token_limit() -> None:
    lines = "\n".join(f"{name}: [[{rating:g}]]" for name, rating in RATINGS.items())
    assert read(lines, "aspects", finish="length").value == 3.5
    assert read(lines[:-4], "aspects", finish="length").reason == "judge_truncated"
    said = json.dumps(RATINGS)
    assert read(said[:-1], "aspects", finish="length").reason == "judge_truncated"
