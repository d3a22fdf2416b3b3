"""The layouts without scores, and that of verdicts, on rows written by hand."""

import pytest

from margintool.layouts import LAYOUTS
from tests.layouts.conftest import assistant, transcript, user

TURNS = [user("one"), assistant("two"), user("three")]


def plain(**changed):
    return {"prompt": "p", "chosen": "c", "rejected": "r", **changed}


def test_pairs_of_text(convert):
    assert convert("pairs", [plain()]) == [
        {
            "prompt": "p", "history": [], "response_a": "c", "response_b": "r", "score_a": None,
            "score_b": None, "gap": None, "preferred": 1, "votes": None, "reason": None,
            "detail": None,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        plain(prompt=TURNS),
        plain(prompt=TURNS, chosen=[assistant("c")], rejected=[assistant("r")]),
        plain(chosen=[*TURNS, assistant("c")], rejected=[*TURNS, assistant("r")]),
        plain(prompt="three", history=TURNS[:2]),
        {"instruction": "three", "chosen_response": "c", "rejected_response": "r",
         "history": TURNS[:2]},
    ],
)  # fmt: skip
def test_the_same_pair_in_each_form_that_people_keep_it_in(convert, row):
    only = convert("pairs", [row])[0]
    assert (only["prompt"], only["history"]) == ("three", TURNS[:2])
    assert (only["response_a"], only["response_b"], only["reason"]) == ("c", "r", None)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"prompt": ""}, "empty_prompt"),
        ({"prompt": [*TURNS, assistant("x")]}, "bad_conversation"),
        ({"chosen": None}, "empty_response"),
        ({"rejected": " \n"}, "empty_response"),
        ({"rejected": "c"}, "identical_responses"),
        ({"chosen": 5}, "not_text"),
        ({"chosen": [*TURNS, assistant("c")], "rejected": [user("q"), assistant("r")]},
         "bad_conversation"),
    ],
)  # fmt: skip
def test_pairs_that_cannot_be_used(convert, changed, reason):
    assert convert("pairs", [plain(**changed)])[0]["reason"] == reason


LATE = "q\n\nSystem: s\n\nHuman: q"


def hh(chosen, rejected):
    return {"chosen": chosen, "rejected": rejected}


def test_hh_shared_turns_are_the_prompt(convert):
    asked = "one\n\nAssistant: two\n\nHuman: three"
    only = convert("hh", [hh(transcript(asked, "c"), transcript(asked, "r"))])[0]
    assert (only["prompt"], only["history"]) == ("three", TURNS[:2])
    assert (only["response_a"], only["response_b"], only["preferred"]) == ("c", "r", 1)
    assert (only["score_a"], only["gap"], only["reason"]) == (None, None, None)


def test_hh_reads_messages_as_it_reads_transcripts(convert):
    row = hh([*TURNS, assistant("c")], [*TURNS, assistant("r")])
    asked = "one\n\nAssistant: two\n\nHuman: three"
    assert convert("hh", [row]) == convert("hh", [hh(*(transcript(asked, x) for x in "cr"))])


@pytest.mark.parametrize(
    ("chosen", "turns"),
    [
        ("Human: q\n\nAssistant: c", ["q", "c"]),
        ("\nHuman:q\n\nAssistant:c", ["q", "c"]),
        ("\n\nHuman:  q \n\n\n\nAssistant: c\n\n", ["q", "c"]),
        ("\n\nHuman: what is Human: here?\n\nAssistant: c", ["what is Human: here?", "c"]),
        ("\n\nHuman: q\nHuman: too\n\nAssistant: c", ["q\nHuman: too", "c"]),
        ("\n\nHuman: q\n\nmore\n\nAssistant: c\n\nd", ["q\n\nmore", "c\n\nd"]),
        ("\n\nHuman: q\n\nHumans: x\n\nAssistant: c", ["q\n\nHumans: x", "c"]),
        ("\n\nSystem: s\n\nHuman: q\n\nAssistant: c", ["s", "q", "c"]),
    ],
)
def test_hh_where_a_turn_begins(convert, chosen, turns):
    """At a marker that starts a paragraph, and nowhere else."""
    rejected = chosen.rstrip() + " (other)"
    only = convert("hh", [hh(chosen, rejected)])[0]
    found = [m["content"] for m in only["history"]] + [only["prompt"], only["response_a"]]
    assert (found, only["reason"]) == (turns, None)
    assert only["response_b"] == turns[-1] + " (other)"


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason", "detail"),
    [
        (transcript("q", "c"), transcript("other", "r"), "bad_conversation", "differ between"),
        (transcript("q", "c"), transcript("q", "x\n\nHuman: more\n\nAssistant: r"),
         "bad_conversation", "differ between"),
        (transcript("q", "c\n\nHuman: more"), transcript("q", "r"),
         "bad_conversation", "the last message of chosen has role 'user', not 'assistant'"),
        (transcript("q", " "), transcript("q", "r"), "empty_response", "chosen is empty"),
        (transcript("q", "c"), transcript("q", ""), "empty_response", "rejected is empty"),
        (transcript("q", "c"), transcript("q", "c\n"), "identical_responses", "are both 'c'"),
        (transcript("", "c"), transcript("", "r"), "empty_prompt", "before the answer is empty"),
        ("\n\nAssistant: c", "\n\nAssistant: r", "empty_prompt", "has no messages"),
        ("c", "r", "bad_conversation",
         "chosen begins with 'c', not with Human: or Assistant:"),
        ("Note\n\nHuman: q\n\nAssistant: c", transcript("q", "r"), "bad_conversation",
         "chosen begins with 'Note', not with Human: or Assistant:"),
        (transcript(LATE, "c"), transcript(LATE, "r"), "bad_conversation",
         "message 2 has role 'system'"),
        (None, transcript("q", "r"), "empty_prompt", "chosen is null"),
        (transcript("q", "c"), None, "empty_response", "rejected is null"),
        (5, transcript("q", "r"), "not_text", "chosen is 5, not text"),
        ("", transcript("q", "r"), "empty_response", "chosen is empty"),
    ],
)  # fmt: skip
def test_hh_rows_that_cannot_be_used(convert, chosen, rejected, reason, detail):
    only = convert("hh", [hh(chosen, rejected)])[0]
    assert only["reason"] == reason
    assert detail in only["detail"]


def test_hh_an_empty_turn_in_the_middle_is_kept_as_it_is(convert):
    asked = "one\n\nAssistant:\n\nHuman: three"
    only = convert("hh", [hh(transcript(asked, "c"), transcript(asked, "r"))])[0]
    assert only["history"] == [user("one"), assistant("")]
    assert only["reason"] is None


def test_judgments_a_is_the_answer_shown_first(convert):
    row = {"prompt": "p", "answer_1": "x", "answer_2": "y", "score_1": "8", "score_2": -1}
    only = convert("judgments", [row])[0]
    assert (only["response_a"], only["response_b"]) == ("x", "y")
    assert (only["score_a"], only["score_b"], only["preferred"]) == ("8", -1, None)
    assert LAYOUTS["judgments"].both_orders


def test_judgments_can_be_read_one_by_one(convert):
    row = {"prompt": "p", "answer_1": "x", "answer_2": "y", "score_1": 8, "score_2": 7}
    assert convert("ratings_pair", [row]) == convert("judgments", [row])
