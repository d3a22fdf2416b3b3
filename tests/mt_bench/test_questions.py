"""Files in FastChat's forms, and what is wrong with others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from margintool.mt_bench.questions import (
    answers_to,
    load_answers,
    load_questions,
    references_for,
)
from mmpo_core.errors import InputError
from tests.mt_bench.conftest import QUESTIONS, REFERENCES, answers, write


def test_questions_of_fastchat_and_of_the_hub_are_the_same(tmp_path: Path) -> None:
    """Rows with and without a reference are of two kinds, and keep their order."""
    rows = [{**row, "reference": ["a", ""]} if n % 2 else row for n, row in enumerate(QUESTIONS)]
    ours = load_questions(write(tmp_path / "question.jsonl", rows))
    assert [one.question_id for one in ours] == ["81", "101", "111", "150"]
    assert [one.turns[1] for one in ours] == [f"Second {one.question_id}!" for one in ours]
    hub = [
        {"prompt_id": row["question_id"], "category": row["category"], "prompt": row["turns"]}
        for row in rows
    ]
    assert load_questions(write(tmp_path / "hub.jsonl", hub)) == ours


def test_the_real_files(real_data: Path) -> None:
    questions = load_questions(real_data / "mtbench/question.jsonl.gz")
    references = references_for(questions, real_data / "mtbench/reference_answer_gpt-4.jsonl.gz")
    assert [one.question_id for one in questions] == [str(n) for n in range(81, 161)]
    shown = [q.category for q, ref in zip(questions, references, strict=True) if ref is not None]
    assert shown == ["reasoning"] * 10 + ["math"] * 10 + ["coding"] * 10


BAD_QUESTIONS: list[tuple[Mapping[str, Any], str]] = [
    ({"turns": ["one"]}, "row 2: 'turns' must be a list of 2 texts"),
    ({"turns": ["one", "two", "three"]}, "'turns' must be a list of 2 texts"),
    ({"turns": "one"}, "'turns' must be a list of 2 texts"),
    ({"turns": ["one", ""]}, "column 'turns' has an empty text"),
    ({"category": None}, "column 'category' must be a text"),
    ({"question_id": None}, "column 'question_id' must be a number or a text"),
    ({"question_id": 81}, "question_id 81 stands twice"),
]


@pytest.mark.parametrize(("change", "said"), BAD_QUESTIONS)
def test_bad_questions(tmp_path: Path, change: Mapping[str, Any], said: str) -> None:
    rows = [QUESTIONS[0], {**QUESTIONS[1], **change}]
    with pytest.raises(InputError, match=said):
        load_questions(write(tmp_path / "question.jsonl", rows))


def test_a_file_of_something_else(tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", [{"prompt": ["a", "b"], "chosen": "c"}])
    with pytest.raises(
        InputError,
        match=r"row 1: there is no column question_id or prompt_id, category\. --data takes "
        ".*: question_id, category and turns",
    ):
        load_questions(pairs)


BAD_ANSWERS: list[tuple[list[dict[str, Any]], str]] = [
    (answers({81: ("a", "b"), 101: ("a",)}), "row 2: 'choices.0..turns' must be a list of 2"),
    ([*answers({81: ("a", "b")}), *answers({81: ("a", "b")})], "question 81 is answered twice"),
    ([*answers({81: ("a", "b")}), *answers({101: ("a", "b")}, "other")], "several models"),
    ([{"question_id": 81, "choices": []}], "column 'choices' must be a list"),
    ([{"question_id": 81, "text": "a"}], "column 'choices' must be a list"),
]


@pytest.mark.parametrize(("rows", "said"), BAD_ANSWERS)
def test_bad_answers(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_answers(write(tmp_path / "answers.jsonl", rows))


def test_answers_must_be_to_these_questions(tmp_path: Path) -> None:
    questions = load_questions(write(tmp_path / "question.jsonl", QUESTIONS))
    texts = {int(one.question_id): ("a", f"b{one.question_id}") for one in questions}
    path = write(tmp_path / "answers.jsonl", answers(dict(reversed(texts.items()))))
    given = load_answers(path)
    assert given.model == "mine"
    assert answers_to(questions, given, path) == list(texts.values())
    named = [*QUESTIONS, {**QUESTIONS[0], "question_id": "x"}]
    more = load_questions(write(tmp_path / "more.jsonl", named))
    with pytest.raises(InputError, match="no answer to 1 of 5 questions, the first x"):
        answers_to(more, given, path)
    with pytest.raises(InputError, match="answers 1 questions that --data does not have"):
        answers_to(questions[1:], given, path)


def test_every_question_that_needs_a_reference_has_one(tmp_path: Path) -> None:
    questions = load_questions(write(tmp_path / "question.jsonl", QUESTIONS))
    path = write(tmp_path / "references.jsonl", REFERENCES)
    found = references_for(questions, path)
    assert found == [None, ("Known 101", "Sure 101"), ("Known 111", "Sure 111"), None]
    lacking = write(tmp_path / "lacking.jsonl", REFERENCES[:1])
    with pytest.raises(InputError, match=r"no reference answer to question 111 \(math\)"):
        references_for(questions, lacking)
    with pytest.raises(InputError, match="--references: no reference answer to question 101"):
        references_for(questions, None)
    assert references_for([questions[0], questions[3]], None) == [None, None]


def test_no_file_is_named_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file"):
        load_questions(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="--data FILE"):
        load_questions("nobody/such-questions")
