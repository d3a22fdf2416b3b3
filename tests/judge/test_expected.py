"""Expected ratings from token log-probabilities, worked out by hand."""

import math
from typing import Any

import pytest

from margintool.judge.item import Verdict
from margintool.judge.reading.parse import read_verdict
from margintool.judge.task import Mode
from tests.judge.replies import completion, request

Chances = dict[str, float]


def token(text: str, **chances: float) -> dict[str, Any]:
    return spelled(text, chances or {text: 1.0})


def spelled(text: str, chances: Chances, **more: Any) -> dict[str, Any]:
    top = [{"token": t, "logprob": math.log(p)} for t, p in chances.items()]
    return {
        "token": text,
        "logprob": math.log(chances.get(text, 1e-9)),
        "top_logprobs": top,
        **more,
    }


def read(mode: Mode, *tokens: dict[str, Any], **more: Any) -> Verdict:
    content = more.pop("content", "".join(t["token"] for t in tokens))
    asked = request(mode, logprobs=True, **more)
    reply = completion(content)
    reply["choices"][0]["logprobs"] = {"content": list(tokens)}
    return read_verdict(asked.task, reply, asked.body, asked.fence)


OPENING = (token("Good"), token(".\n"), token("Rating"), token(": [["))


def test_the_mean_over_the_ratings_tokens() -> None:
    """0.6 * 8 + 0.4 * 9 = 8.4."""
    verdict = read("single", *OPENING, spelled("8", {"8": 0.6, "9": 0.4}), token("]]"))
    assert verdict.value == pytest.approx(8.4)
    assert verdict.read_from == "logprobs"


def test_only_ratings_count_and_their_mass_is_scaled_to_1() -> None:
    """(0.5 * 8 + 0.3 * 9) / 0.8 = 8.375: words, 0, 11 and 8.5's point are no ratings."""
    chances = {"8": 0.5, "9": 0.3, "high": 0.1, "0": 0.04, "11": 0.04, "8.": 0.02}
    verdict = read("single", *OPENING, spelled("8", chances), token("]]"))
    assert verdict.value == pytest.approx(8.375)


def test_ten_as_one_token() -> None:
    """A 1 is a 1 where 10 is a token of its own: 0.5 * 10 + 0.3 * 9 + 0.2 * 1 = 7.9."""
    chances = {"10": 0.5, "9": 0.3, "1": 0.2}
    verdict = read("single", *OPENING, spelled("10", chances), token("]]"))
    assert verdict.value == pytest.approx(7.9)


def test_ten_as_two_tokens() -> None:
    """P(10) = 0.6 * 0.9, P(1) = 0.6 * 0.1, P(9) = 0.4: 5.4 + 0.06 + 3.6 = 9.06."""
    first = spelled("1", {"1": 0.6, "9": 0.4})
    second = spelled("0", {"0": 0.9, "]]": 0.1})
    verdict = read("single", *OPENING, first, second, token("]]"))
    assert verdict.value == pytest.approx(9.06)


def test_a_one_that_was_drawn_knows_how_often_it_would_have_been_a_ten() -> None:
    """P(1) = 0.5 * 0.8, P(10) = 0.5 * 0.2, P(2) = 0.5: 0.4 + 1 + 1 = 2.4."""
    following = spelled("]]", {"]]": 0.8, "0": 0.2})
    verdict = read("single", *OPENING, spelled("1", {"1": 0.5, "2": 0.5}), following)
    assert verdict.value == pytest.approx(2.4)


def test_a_one_that_was_not_drawn_could_be_a_ten_and_is_left_out() -> None:
    """(0.5 * 8 + 0.3 * 9) / 0.8 = 8.375, whatever the 0.2 of `1` would have become."""
    chances = {"8": 0.5, "9": 0.3, "1": 0.2}
    verdict = read("single", *OPENING, spelled("8", chances), token("]]"))
    assert verdict.value == pytest.approx(8.375)


def test_tokens_that_carry_brackets_or_blanks() -> None:
    """` 8`, `8` and `8]]` are one rating: 0.7 * 8 + 0.3 * 9 = 8.3."""
    chances = {" 8": 0.4, "8": 0.2, "8]]": 0.1, " 9": 0.3}
    verdict = read("single", token("Rating"), token(":"), spelled(" 8", chances))
    assert verdict.value == pytest.approx(8.3)


def test_a_rating_in_json() -> None:
    tokens = (token('{"'), token("rating"), token('":'), spelled("8", {"8": 0.5, "6": 0.5}))
    verdict = read("single", *tokens, token("}"), structured=True)
    assert verdict.value == pytest.approx(7.0)
    assert verdict.read_from == "logprobs"


def test_the_last_rating_is_the_one_that_counts() -> None:
    early = (token("Rating: [["), spelled("3", {"3": 0.5, "4": 0.5}), token("]]\n"))
    verdict = read("single", *early, *OPENING, spelled("8", {"8": 0.5, "9": 0.5}), token("]]"))
    assert verdict.value == pytest.approx(8.5)


def test_letters_split_over_tokens_and_trimmed_text_do_not_shift_the_place() -> None:
    """A server gives bytes where a token is half a letter, and trims the text it returns."""
    halves = [spelled("\ufffd", {"\ufffd": 1.0}, bytes=[byte]) for byte in "é".encode()]
    tokens = (token("  "), *halves, *OPENING, spelled("8", {"8": 0.5, "9": 0.5}), token("]]"))
    content = "é" + "".join(t["token"] for t in OPENING) + "8]]"
    end = spelled("<|end|>", {"<|end|>": 1.0})
    assert read("single", *tokens, end, content=content).value == pytest.approx(8.5)


@pytest.mark.parametrize(
    "tokens",
    [
        (*OPENING, spelled("8", {"8": 0.3, "high": 0.7}), token("]]")),
        (*OPENING, {"token": "8", "logprob": -0.1, "top_logprobs": []}, token("]]")),
        (*OPENING, {"token": "8", "logprob": -0.1}, token("]]")),
        (token("Rating: [[8]]"),),
        (),
    ],
)
def test_where_the_tokens_do_not_tell_the_rating_is_the_one_written(
    tokens: tuple[dict[str, Any], ...],
) -> None:
    content = "".join(t["token"] for t in tokens) or "Rating: [[8]]"
    verdict = read("single", *tokens, content=content)
    assert (verdict.value, verdict.read_from) == (8, "text")


@pytest.mark.parametrize(
    "tokens",
    [
        (*OPENING, spelled("3", {"3": 0.55, "-": 0.45})),
        (*OPENING, spelled("3", {"3": 0.55, "-3": 0.45})),
        (*OPENING[:-1], spelled(": [[", {": [[": 0.55, ": [[-": 0.45}), spelled("3", {"3": 1.0})),
    ],
)
def test_where_a_minus_was_likely_the_rating_is_the_one_written(
    tokens: tuple[dict[str, Any], ...],
) -> None:
    """0.55 * 3 - 0.45 * x, where nothing tells the x behind the sign."""
    verdict = read("single", *tokens, token("]]"), scale=(-5, 5))
    assert (verdict.value, verdict.read_from) == (3, "text")


def test_a_scale_below_0_is_expected_where_no_minus_was_likely() -> None:
    """0.5 * 3 + 0.495 * 4 over 0.995; a minus means nothing on 1 to 10: 0.5 / 0.9, 0.4 / 0.9."""
    chances = {"3": 0.5, "4": 0.495, "-": 0.005}
    verdict = read("single", *OPENING, spelled("3", chances), token("]]"), scale=(-5, 5))
    assert verdict.value == pytest.approx(3.48 / 0.995)
    chances = {"3": 0.5, "4": 0.4, "-": 0.1}
    verdict = read("single", *OPENING, spelled("3", chances), token("]]"))
    assert verdict.value == pytest.approx(3.1 / 0.9)


def test_half_points_are_taken_as_written() -> None:
    tokens = (*OPENING, spelled("7", {"7": 0.5, "8": 0.5}), token("."), token("5"), token("]]"))
    assert (read("single", *tokens).value, read("single", *tokens).read_from) == (7.5, "text")


def test_tokens_of_another_text_are_not_used() -> None:
    tokens = (*OPENING, spelled("8", {"8": 0.5, "9": 0.5}), token("]]"))
    assert read("single", *tokens, content="Rating: [[8]] and more").read_from == "text"


def test_log_probabilities_that_were_not_asked_for_are_not_used() -> None:
    asked = request()
    reply = completion("Rating: [[8]]")
    entries = [token("Rating: [["), spelled("8", {"8": 0.5, "9": 0.5}), token("]]")]
    reply["choices"][0]["logprobs"] = {"content": entries}
    verdict = read_verdict(asked.task, reply, asked.body, asked.fence)
    assert (verdict.value, verdict.read_from) == (8, "text")


def test_a_null_reply_stays_null_whatever_its_tokens_say() -> None:
    verdict = read("single", token("Rating: "), spelled("high", {"8": 0.9, "high": 0.1}))
    assert (verdict.value, verdict.reason) == (None, "judge_no_verdict")
    verdict = read("single", *OPENING, spelled("11", {"8": 0.9, "11": 0.1}), token("]]"))
    assert (verdict.value, verdict.reason) == (None, "judge_out_of_scale")


PAIR = (token("Verdict"), token(": [["))


def test_pair_weighs_the_stated_strength() -> None:
    """(0.7 - 0.2) / 0.9 * 3, the 0.1 on other words left out."""
    chances = {"A": 0.7, "B": 0.2, "Neither": 0.1}
    verdict = read("pair", *PAIR, spelled("A", chances), token(", much better]]"))
    assert verdict.value == pytest.approx(5 / 3)
    assert verdict.read_from == "logprobs"


def test_pair_with_the_loser_drawn() -> None:
    """B was drawn at 0.4 against 0.6: (0.6 - 0.4) * 2 = 0.4, in favour of A."""
    verdict = read("pair", *PAIR, spelled("B", {"A": 0.6, "B": 0.4}), token(", better]]"))
    assert verdict.value == pytest.approx(0.4)


def test_a_tie_leans_as_its_tokens_do() -> None:
    """(0.3 - 0.1) * 1: a tie states no strength."""
    verdict = read("pair", *PAIR, spelled("tie", {"tie": 0.6, "A": 0.3, "B": 0.1}), token("]]"))
    assert verdict.value == pytest.approx(0.2)


NAMES = ("instruction_following", "truthfulness", "honesty", "helpfulness")


def lines(last: Chances) -> list[dict[str, Any]]:
    tokens = []
    for name in NAMES:
        chances = last if name == "helpfulness" else {"4": 0.5, "3": 0.5}
        tokens += [token(name), token(": [["), spelled("4", chances), token("]]\n")]
    return tokens


def test_aspects_are_expected_one_by_one() -> None:
    """Three of 3.5 and one of 0.75 * 4 + 0.25 * 2 = 3.5: mean 3.5."""
    verdict = read("aspects", *lines({"4": 0.75, "2": 0.25}))
    assert verdict.aspects == pytest.approx(dict.fromkeys(NAMES, 3.5))
    assert verdict.value == pytest.approx(3.5)
    assert verdict.read_from == "logprobs"


def test_aspects_are_all_expected_or_all_as_written() -> None:
    verdict = read("aspects", *lines({"4": 0.2, "four": 0.8}))
    assert verdict.aspects == dict.fromkeys(NAMES, 4.0)
    assert verdict.read_from == "text"
