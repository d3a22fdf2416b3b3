"""`responses`: lists of answers in each form, and lists that cannot be used."""

import json

import pyarrow as pa
import pytest

from margintool.canonical_stream import canonical_batches, wanted_of
from margintool.layouts import LAYOUTS
from margintool.storage import open_input
from tests.layouts.conftest import assistant, user


@pytest.mark.parametrize(
    "answers",
    [
        ["a", "b"],
        [assistant("a"), assistant("b")],
        [[assistant("a")], [assistant("b")]],
    ],
)
def test_answers_are_texts_or_messages(convert, answers):
    rows = [
        {"prompt": "p", "responses": answers, "models": ["m", "n"]},
        {"prompt": "q", "responses": answers[:1], "models": ["o"]},
    ]
    converted = convert("responses", rows)
    assert [(r["row"], r["prompt"], r["response"], r["model"]) for r in converted] == [
        (0, "p", "a", "m"), (0, "p", "b", "n"), (1, "q", "a", "o")
    ]  # fmt: skip
    assert {r["rating"] for r in converted} == {r["reason"] for r in converted} == {None}
    assert converted[0]["aspects"] == {}


def test_prompts_may_be_conversations(convert):
    turns = [user("one"), assistant("two"), user("three")]
    rows = convert("responses", [{"prompt": turns, "responses": ["a", "b"]}])
    assert [(r["prompt"], r["history"]) for r in rows] == [("three", turns[:2])] * 2


@pytest.mark.parametrize(
    ("changed", "reasons", "detail"),
    [
        ({"responses": []}, ["no_responses"], "responses is empty"),
        ({"responses": None}, ["no_responses"], "responses is empty"),
        ({"responses": "a"}, ["bad_responses"], "responses is a, not a list of answers"),
        ({"responses": ["a", None]}, [None, "empty_response"], None),
        ({"responses": [" ", "b"]}, ["empty_response", None], "response is empty"),
        ({"responses": [5, 6]}, ["not_text"] * 2, "response is 5, not text"),
        ({"responses": [user("a")]}, ["bad_conversation"], "role 'user', not 'assistant'"),
        ({"responses": [assistant(None)]}, ["empty_response"], "response is null"),
        ({"responses": [[user("p"), assistant("a")]]}, ["bad_conversation"], "several messages"),
        ({"prompt": " ", "responses": ["a", "b"]}, ["empty_prompt"] * 2, "prompt is empty"),
        ({"models": ["m"]}, ["bad_models"] * 2, "not a list as long as responses"),
        ({"models": "m"}, ["bad_models"] * 2, "models is m, not a list"),
        ({"models": None}, [None] * 2, None),
        ({"models": [None, "n"]}, [None] * 2, None),
    ],
)  # fmt: skip
def test_lists_that_cannot_be_used(convert, changed, reasons, detail):
    rows = convert("responses", [{"prompt": "p", "responses": ["a", "b"], **changed}])
    assert [r["reason"] for r in rows] == reasons
    assert detail is None or detail in rows[0]["detail"]


def test_models_stay_with_their_answers_past_rows_without_any(convert):
    """Rows with no models, no answers and a wrong number of models stand between."""
    rows = [
        {"prompt": "p", "responses": ["a"], "models": None},
        {"prompt": "p", "responses": [], "models": ["x", "y"]},
        {"prompt": "p", "responses": ["b", "c"], "models": ["z"]},
        {"prompt": "p", "responses": ["d", "e"], "models": ["m", "n"]},
    ]
    models = [(r["response"], r["model"]) for r in convert("responses", rows)]
    assert models == [("a", None), (None, None), ("b", None), ("c", None), ("d", "m"), ("e", "n")]


def test_two_rows_of_one_prompt_are_one_group():
    assert LAYOUTS["responses"].group_by == "prompt"


def test_a_slice_of_lists():
    table = pa.table({"prompt": ["x", "p"], "responses": [["skipped"], ["a"]]}).slice(1)
    assert LAYOUTS["responses"].convert(table).column("response").to_pylist() == ["a"]


def test_items_of_a_file_that_are_not_text(tmp_path):
    """A number or a message among texts is no text, in whatever rows its block has."""
    rows = [["a", 5, "c"], [], ["x", assistant("y")], ["5", True], None, [6]]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": "p", "responses": r}) + "\n" for r in rows))
    layout = LAYOUTS["responses"]
    (batch,) = canonical_batches(layout, {}, open_input(path).batches(wanted_of(layout, {})))
    found = batch.table.to_pylist()
    assert [(r["row"], r["reason"]) for r in found] == [
        (0, None), (0, "not_text"), (0, None), (1, "no_responses"), (2, None), (2, "not_text"),
        (3, None), (3, "not_text"), (4, "no_responses"), (5, "not_text"),
    ]  # fmt: skip
    assert found[5]["detail"].startswith('response is {"role": "assistant"')
