"""For any text and any JSON: a verdict comes back, and what is written in a known form is read."""

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from margintool.judge.item import REASONS
from margintool.judge.reading.parse import read_verdict
from margintool.judge.task import STRENGTHS, Mode
from tests.judge.replies import completion, read, request

PIECES = [
    "Rating: [[7]]", "[[3]]", "Rating:", "[[", "]]", "8/10", "10", "-", ".", "A", "[[A]]",
    "[[B>A]]",
    "Verdict: ", "tie", "much better", "\n", " ", '"', "{", "}", '{"rating": 4}', '{"rationale": "',
    '"rating": ', '"winner": "A"', "\\", "```json\n", "```", "<think>", "</think>", "<thinking>",
    "</thinking>", "honesty: 3", "Rating: [[", "Score: 9", " (out of ", "Verdict: a", "$",
    "\\boxed{",
    "helpfulness: [[2]]", "NaN", "true", "１", "\u2028", "\ud800", "<<<ANSWER ", "ANSWER", ">>>",
]  # fmt: skip
REPLIES = st.text(max_size=80) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
MODES = st.sampled_from(["single", "pair", "aspects"])
FINISHES = st.sampled_from(["stop", "length", None, "tool_calls"])
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | REPLIES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
# Rationales say anything, but do not think aloud: that is cut away, with what stands around it.
RATIONALES = REPLIES.filter(lambda text: "think" not in text.lower())


def sound(mode: Mode, verdict: Any) -> None:
    if verdict.value is None:
        assert verdict.reason in REASONS
        assert verdict.detail
        assert verdict.aspects is None
        return
    low, high = {"single": (1, 10), "pair": (-3, 3), "aspects": (1, 5)}[mode]
    assert math.isfinite(verdict.value)
    assert low <= verdict.value <= high
    assert verdict.reason is None
    assert (verdict.aspects is not None) == (mode == "aspects")


@given(MODES, REPLIES, FINISHES, st.booleans())
def test_any_text_gives_a_verdict(mode: Mode, reply: str, finish: str | None, json: bool) -> None:
    sound(mode, read(reply, mode, finish=finish, structured=json))


@given(MODES, JSONS, JSONS, JSONS, JSONS)
def test_any_completion_gives_a_verdict(
    mode: Mode, odd: Any, content: Any, refusal: Any, logprobs: Any
) -> None:
    asked = request(mode, logprobs=True)
    whole = completion(content, refusal=refusal)
    whole["choices"][0]["logprobs"] = logprobs
    token = completion("Rating: [[7]]")
    token["choices"][0]["logprobs"] = {"content": [odd, logprobs]}
    alternatives = [{"token": "7", "logprob": odd}, {"token": refusal, "logprob": content}, odd]
    entries = [{"token": t, "logprob": -0.1, "top_logprobs": alternatives} for t in "Rating: [[7]]"]
    spelled = completion("Rating: [[7]]")
    spelled["choices"][0]["logprobs"] = {"content": entries}
    for reply in (odd, whole, token, spelled, {"choices": odd}, {"choices": [odd]}):
        sound(mode, read_verdict(asked.task, reply, asked.body, asked.fence))


@given(JSONS, REPLIES)
def test_any_messages_in_a_body_do(messages: Any, reply: str) -> None:
    asked = request()
    for body in ({"messages": messages}, {"messages": [messages]}, {}):
        sound("single", read_verdict(asked.task, completion(reply), body, asked.fence))


RATINGS = st.integers(1, 10) | st.integers(4, 40).map(lambda n: n / 4)


@given(RATIONALES, RATINGS)
def test_a_rating_in_text_is_read_whatever_stands_before_it(said: str, rating: float) -> None:
    for form in (f"Rating: [[{rating}]]", f"Rating: [[{rating}/10]]"):
        verdict = read(f"{said}\n{form}")
        assert (verdict.value, verdict.read_from) == (rating, "text")


@given(RATIONALES, RATINGS, st.booleans())
def test_a_rating_in_json_is_read_whatever_its_rationale_says(
    said: str, rating: float, structured: bool
) -> None:
    reply = json.dumps({"rationale": said, "rating": rating})
    for form in (reply, f"```json\n{reply}\n```", f"So:\n{reply}\n"):
        verdict = read(form, structured=structured)
        assert (verdict.value, verdict.read_from, verdict.rationale) == (rating, "json", said)


@given(RATIONALES, st.sampled_from("AB"), st.sampled_from(sorted(STRENGTHS)))
def test_a_winner_is_read_whatever_stands_before_it(said: str, winner: str, size: str) -> None:
    value = STRENGTHS[size] if winner == "A" else -STRENGTHS[size]
    assert read(f"{said}\nVerdict: [[{winner}, {size}]]", "pair").value == value
    reply = json.dumps({"rationale": said, "winner": winner, "strength": size})
    assert read(reply, "pair").value == value
    assert read(f"{said}\nVerdict: [[tie]]", "pair").value == 0


@given(RATIONALES, st.lists(st.integers(1, 5), min_size=4, max_size=4))
def test_aspects_are_read_whatever_stands_before_them(said: str, ratings: list[int]) -> None:
    task = request("aspects").task
    expected = dict(zip(task.aspects, map(float, ratings), strict=True))
    lines = "\n".join(f"{name}: [[{rating:g}]]" for name, rating in expected.items())
    assert read(f"{said}\n{lines}", "aspects").aspects == expected
    reply = {name: {"rationale": said, "rating": rating} for name, rating in expected.items()}
    assert read(json.dumps(reply), "aspects", structured=True).aspects == expected


# A verdict's line, or two, and something short after a line; no other digits, brackets or tags.
WORDS = st.text(st.characters(categories=["L", "Zs", "Po"]), max_size=30).filter(
    lambda text: "think" not in text.lower() and not text.rstrip(" .").endswith(":")
)


@given(WORDS, RATINGS, st.sampled_from(["note: ", "but with sources "]), st.integers(1, 10))
def test_a_remark_after_the_asked_line_does_not_change_it(
    said: str, rating: float, remark: str, other: int
) -> None:
    reply = f"{said}\nRating: [[{rating}]]\n\n{remark}[[{other}]] it would have been."
    assert read(reply).value == rating


@given(WORDS, WORDS, st.integers(1, 10), st.sampled_from(["stop", "length"]))
def test_a_reply_that_is_the_start_of_the_answer_is_null(
    head: str, tail: str, rating: int, finish: str
) -> None:
    """As of a judge that repeats what it judges and is cut, or ends, behind its verdict."""
    lead = f"{head}\nIt is so."
    answer = f"{lead}\nRating: [[{rating}]]\n{tail}"
    assert read(f"{lead}\nRating: [[{rating}]]", "single", answer, finish=finish).value is None


@given(
    st.integers(1, 9),
    st.sampled_from("-–—~½→+/,:=|&")
    | st.sampled_from(
        [
            " - ",
            " to ",
            " or ",
            ", maybe ",
            " and ",
            " -> ",
            " → ",
            " of ",
            " (of ",
            " (",
            " out of ",
        ]
    ),
    st.integers(2, 9),
)
def test_a_bare_rating_with_another_number_behind_it_is_null(
    rating: int, between: str, other: int
) -> None:
    """Ranges, sums, corrections, other scales, whole or in halves: none is read as its start."""
    for reply in (f"Rating: {rating}{between}{other}", f"Score: {rating}{between}{other})"):
        assert read(reply).value is None


@given(RATIONALES, REPLIES)
def test_a_cut_reply_never_has_a_value_from_before_its_end(said: str, more: str) -> None:
    """What follows a verdict in text may have taken it back."""
    assert (
        read(
            f"{said} Rating: [[7]] but{more.replace('[', '').replace('{', '')} x", finish="length"
        ).value
        is None
    )


@given(RATIONALES, st.sampled_from(["</think>", "</thinking>", "[/THINK]"]), REPLIES)
def test_what_is_thought_aloud_has_no_part_in_the_verdict(said: str, end: str, after: str) -> None:
    """The same reply without it reads alike."""
    assert read(f"{said}{end}\n{after}").value == read(f"\n{after}").value


@given(st.integers(1, 29), st.sampled_from("AB"), st.sampled_from(sorted(STRENGTHS)), WORDS)
def test_no_part_of_the_verdicts_line_in_an_answer_hinders_it(
    cut: int, winner: str, size: str, lead: str
) -> None:
    line = f"Verdict: [[{winner}, {size}]]"
    value = STRENGTHS[size] if winner == "A" else -STRENGTHS[size]
    for part in (line[:-1][:cut], line[1:][-cut:]):
        assert read(f"So\n{line}", "pair", f"{lead}{part}", "other").value == value
