"""Prompts and responses that cannot be used, the same in every layout: reason and words."""

import pyarrow as pa
import pytest

from margintool.layouts import LAYOUTS

CONVERT = LAYOUTS["ratings_pair"].convert


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def row(**changed):
    return {
        "prompt": "p", "response_a": "a", "response_b": "b", "rating_a": 1, "rating_b": 2, **changed
    }  # fmt: skip


def problem(**changed):
    only = CONVERT(pa.Table.from_pylist([row(**changed)])).to_pylist()[0]
    return only["reason"], only["detail"]


def test_a_good_row_has_no_problem():
    assert problem() == (None, None)


@pytest.mark.parametrize(
    ("changed", "reason", "detail"),
    [
        ({"prompt": None}, "empty_prompt", "prompt is null"),
        ({"prompt": ""}, "empty_prompt", "prompt is empty or only white space"),
        ({"prompt": " \n\t\u3000\u00a0"}, "empty_prompt", "prompt is empty or only white space"),
        ({"response_a": None}, "empty_response", "response_a is null"),
        ({"response_b": "  "}, "empty_response", "response_b is empty or only white space"),
        ({"prompt": 5}, "not_text", "prompt is 5, not text"),
        ({"response_a": True}, "not_text", "response_a is True, not text"),
        ({"response_b": {"x": 1}}, "not_text", "response_b is {'x': 1}, not text"),
        (
            {"prompt": ["a", "b"]},
            "bad_conversation",
            "prompt: message 1 has no role; known are system, user, assistant",
        ),
        ({"response_b": "a"}, "identical_responses", "response_a and response_b are both 'a'"),
        ({"prompt": None, "response_a": None}, "empty_prompt", "prompt is null"),
        ({"prompt": []}, "empty_prompt", "prompt has no messages"),
        ({"prompt": [user(None)]}, "empty_prompt", "prompt is null"),
        ({"prompt": [user(" ")]}, "empty_prompt", "prompt is empty or only white space"),
        (
            {"prompt": [user("p"), assistant("a")]},
            "bad_conversation",
            "the last message of prompt has role 'assistant', not 'user'",
        ),
        (
            {"prompt": [{"content": "p"}]},
            "bad_conversation",
            "the last message of prompt has role null, not 'user'",
        ),
        (
            {"prompt": [{"role": "bot", "content": "x"}, user("p")]},
            "bad_conversation",
            "prompt: message 1 has role 'bot'; known are system, user, assistant",
        ),
        (
            {"prompt": [user("x"), assistant(None), user("p")]},
            "bad_conversation",
            "prompt: message 2 (from 'assistant') has no text",
        ),
        (
            {"prompt": [user("x"), system("s"), user("p")]},
            "bad_conversation",
            "prompt: message 2 has role 'system', which only the first message may have",
        ),
        (
            {"response_a": [user("p"), assistant("x")]},
            "bad_conversation",
            "response_a has several messages; expected one, from the assistant",
        ),
        (
            {"response_a": [user("x")]},
            "bad_conversation",
            "the last message of response_a has role 'user', not 'assistant'",
        ),
        ({"response_a": []}, "empty_response", "response_a has no messages"),
        (
            {"history": "earlier"},
            "bad_conversation",
            "history has type string, expected a list of role and content",
        ),
        (
            {"history": [{"role": "x", "content": "y"}]},
            "bad_conversation",
            "history: message 1 has role 'x'; known are system, user, assistant",
        ),
    ],
)
def test_problems_are_named(changed, reason, detail):
    assert problem(**changed) == (reason, detail)


def test_long_values_are_cut_in_messages():
    reason, detail = problem(response_a="x" * 10_000, response_b="x" * 10_000)
    assert reason == "identical_responses"
    assert detail == f"response_a and response_b are both '{'x' * 60}...'"


def test_values_that_storage_marked_are_not_text():
    table = pa.Table.from_pylist([row(response_a="true"), row(response_a="yes")])
    table = table.append_column("response_a__not_text", pa.array([True, None]))
    converted = CONVERT(table)
    assert converted.column("reason").to_pylist() == ["not_text", None]
    assert converted.column("detail").to_pylist() == ["response_a is true, not text", None]
    assert converted.column("response_a").to_pylist() == [None, "yes"]


def test_message_content_that_storage_marked_is_no_text():
    turn = {"role": "user", "content": "5", "content__not_text": True}
    assert problem(prompt=[turn]) == ("empty_prompt", "prompt is null")


def test_a_problem_touches_no_other_row():
    rows = [row(), row(prompt=None), row(response_b="a"), row(prompt="q")]
    converted = CONVERT(pa.Table.from_pylist(rows)).to_pylist()
    assert [r["reason"] for r in converted] == [None, "empty_prompt", "identical_responses", None]
    assert [r["prompt"] for r in converted] == ["p", None, "p", "q"]


def test_messages_become_history_and_prompt():
    turns = [system("s"), user("one"), assistant("two"), user("three")]
    rows = [row(prompt=turns, response_a=[assistant("a")]), row(prompt=[user("single")])]
    rows[1]["response_a"] = [assistant("x")]
    first, second = CONVERT(pa.Table.from_pylist(rows)).to_pylist()
    assert first["prompt"] == "three"
    assert first["history"] == turns[:-1]
    assert first["response_a"] == "a"
    assert first["reason"] is None
    assert (second["prompt"], second["history"], second["response_a"]) == ("single", [], "x")


def test_history_column_comes_before_the_prompts_own_messages():
    rows = [
        row(prompt=[user("b"), assistant("c"), user("d")], history=[system("s"), user("a")]),
        row(prompt=[user("d")], history=None),
        row(prompt=[user("d")], history=[user("a")]),
    ]
    converted = CONVERT(pa.Table.from_pylist(rows)).to_pylist()
    assert converted[0]["history"] == [system("s"), user("a"), user("b"), assistant("c")]
    assert [r["history"] for r in converted[1:]] == [[], [user("a")]]
    assert [r["prompt"] for r in converted] == ["d"] * 3
    assert [r["reason"] for r in converted] == [None] * 3


def test_field_order_and_further_fields_of_messages_do_not_matter():
    turn = {"content": "p", "tool_calls": None, "role": "user"}
    assert CONVERT(pa.Table.from_pylist([row(prompt=[turn])])).column("prompt").to_pylist() == ["p"]


def test_sliced_and_null_lists_keep_their_rows():
    """Arrow slices share one values array: offsets must be read from the slice."""
    rows = [row(prompt=[user(str(i))] if i % 3 else None) for i in range(10)]
    table = pa.Table.from_pylist(rows)
    converted = CONVERT(table.slice(4, 4))
    assert converted.column("prompt").to_pylist() == ["4", "5", None, "7"]
    assert converted.column("reason").to_pylist() == [None, None, "empty_prompt", None]
