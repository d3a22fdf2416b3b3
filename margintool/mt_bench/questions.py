"""Questions, answers and reference answers from files in FastChat's forms, checked.

    question.jsonl          question_id, category, turns (two texts)
    model_answer/*.jsonl    question_id, model_id, choices (the first one's turns count)

The hub's HuggingFaceH4/mt_bench_prompts names the same things prompt_id, category and prompt. Read
by run.py.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from margintool.mt_bench.facts import TURNS, WITH_REFERENCE
from margintool.storage import open_input
from margintool.storage.option_names import own_option_names
from mmpo_core.errors import InputError

logger = logging.getLogger(__name__)

Texts = tuple[str, ...]
# Of each, one must be there: FastChat's name, and the hub's.
_COLUMNS = (("question_id", "prompt_id"), ("category",), ("turns", "prompt"))


@dataclass(frozen=True)
class Question:
    """A question in two turns.

    Args:
        question_id: unique in its file; a number as its digits.
        category: writing, roleplay, ...
        turns: what the user says, two texts.
    """

    question_id: str
    category: str
    turns: Texts


@dataclass(frozen=True)
class GivenAnswers:
    """Answers of one model.

    Args:
        model: the file's model_id; None where it names none.
        turns: question_id -> two texts.
    """

    model: str | None
    turns: Mapping[str, Texts]


def load_questions(spec: str | Path) -> list[Question]:
    """Read questions from a file or the hub, in their order.

    Raises:
        InputError: naming file and row, for what is not two-turn questions; for a question_id
            that stands twice.
    """
    questions = [_question(where, row) for where, row in _rows(spec, "--data")]
    seen: set[str] = set()
    for question in questions:
        if question.question_id in seen:
            raise InputError(f"{spec}: question_id {question.question_id} stands twice")
        seen.add(question.question_id)
    return questions


def load_answers(spec: str | Path, option: str = "--answers") -> GivenAnswers:
    """Read one model's answers.

    Args:
        spec: a file, or a dataset on the hub.
        option: that named it.

    Raises:
        InputError: naming file and row, for what is no answer in two turns; for two answers to a
            question, or answers of two models.
    """
    turns: dict[str, Texts] = {}
    models: dict[str, str] = {}
    several = 0
    for where, row in _rows(spec, option):
        question_id = _question_id(where, row)
        if question_id in turns:
            raise InputError(f"{where}: question {question_id} is answered twice")
        choices = row.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise InputError(f"{where}: column 'choices' must be a list of choices with `turns`")
        several += len(choices) > 1
        turns[question_id] = _texts(where, "choices[0].turns", choices[0].get("turns"))
        if row.get("model_id") is not None:
            models.setdefault(str(row["model_id"]), where)
    if len(models) > 1:
        named = ", ".join(list(models)[:3])
        raise InputError(f"{spec}: holds answers of several models ({named}); give one's alone")
    if several:
        logger.warning("%s: %d questions have several choices; the first counts", spec, several)
    return GivenAnswers(next(iter(models), None), turns)


def answers_to(questions: Sequence[Question], given: GivenAnswers, spec: str | Path) -> list[Texts]:
    """Return the given answers in the order of the questions.

    Raises:
        InputError: if a question has none, or an answer has no question.
    """
    missing = [q.question_id for q in questions if q.question_id not in given.turns]
    if missing:
        raise InputError(
            f"{spec}: no answer to {len(missing)} of {len(questions)} questions, the first "
            f"{missing[0]}. Are these answers to the questions of --data?"
        )
    known = {question.question_id for question in questions}
    extra = [question_id for question_id in given.turns if question_id not in known]
    if extra:
        raise InputError(
            f"{spec}: answers {len(extra)} questions that --data does not have, the first "
            f"{extra[0]}"
        )
    return [given.turns[question.question_id] for question in questions]


def references_for(questions: Sequence[Question], spec: str | Path | None) -> list[Texts | None]:
    """Return the reference that a judge is shown for each question; None in most categories.

    Args:
        questions: all.
        spec: a file of answers; None where none is given.

    Raises:
        InputError: if a question of math, reasoning or coding has none.
    """
    given = load_answers(spec, "--references").turns if spec is not None else {}
    needed = [one for one in questions if one.category in WITH_REFERENCE]
    lacking = [one for one in needed if not any(given.get(one.question_id, ()))]
    if lacking:
        raise InputError(
            f"{spec or '--references'}: no reference answer to question {lacking[0].question_id} "
            f"({lacking[0].category}). Give --references FILE with answers to all questions of "
            f"{', '.join(WITH_REFERENCE)}, such as FastChat's reference_answer/gpt-4.jsonl"
        )
    return [given[one.question_id] if one.category in WITH_REFERENCE else None for one in questions]


def file_facts(spec: str | Path | None) -> dict[str, str] | None:
    """Return where an input is and what identifies its content, for mt_bench.json."""
    if spec is None:
        return None
    return {"path": str(spec), "fingerprint": open_input(spec).fingerprint()}


def _rows(spec: str | Path, option: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return each row with its place in words, in the file's order."""
    with own_option_names({"--input": option}):
        found = [
            (batch.name, int(number), row)
            for batch in open_input(spec).batches()
            for number, row in zip(batch.rows, batch.table.to_pylist(), strict=True)
        ]
    names = list(dict.fromkeys(name for name, *_ in found))
    found.sort(key=lambda one: (names.index(one[0]), one[1]))
    if not found:
        raise InputError(f"{spec}: no rows")
    return [(f"{name}, row {number}", row) for name, number, row in found]


def _question(where: str, row: Mapping[str, Any]) -> Question:
    absent = [" or ".join(names) for names in _COLUMNS if not row.keys() & set(names)]
    if absent:
        raise InputError(
            f"{where}: there is no column {', '.join(absent)}. --data takes questions in "
            "FastChat's form: question_id, category and turns (two texts)"
        )
    category = row.get("category")
    if not isinstance(category, str) or not category:
        raise InputError(f"{where}: column 'category' must be a text, got {category!r}")
    name = "turns" if "turns" in row else "prompt"
    turns = _texts(where, name, row.get(name))
    if not all(turns):
        raise InputError(f"{where}: column {name!r} has an empty text")
    return Question(_question_id(where, row), category, turns)


def _question_id(where: str, row: Mapping[str, Any]) -> str:
    found = row.get("question_id", row.get("prompt_id"))
    if isinstance(found, bool) or not isinstance(found, int | str) or found == "":
        raise InputError(f"{where}: column 'question_id' must be a number or a text, got {found!r}")
    return str(found)


def _texts(where: str, name: str, value: Any) -> Texts:
    if (
        not isinstance(value, list)
        or len(value) != TURNS
        or not all(isinstance(text, str) for text in value)
    ):
        raise InputError(
            f"{where}: {name!r} must be a list of {TURNS} texts, got {str(value)[:80]}"
        )
    return tuple(value)
