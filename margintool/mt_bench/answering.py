"""A model's answers to both turns of each question. Read by run.py.

The second turn is asked with the model's own first answer in the conversation. Temperatures are
those of the category (facts.py).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from margintool.answer_source import answer_source
from margintool.mt_bench.facts import OTHER_TEMPERATURE, TEMPERATURES
from margintool.mt_bench.options import MtBenchOptions
from margintool.mt_bench.questions import Question
from margintool.progress import Progress
from mmpo_core.generation.answer_file import AnswerFile, open_answers
from mmpo_core.generation.asked import Answer, Asked, Sampling
from mmpo_core.generation.fill import AnswerSource, about_answers, answered

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """Both answers to N questions.

    Args:
        by: what answered.
        first, second: N answers each.
    """

    by: AnswerSource
    first: Sequence[Answer]
    second: Sequence[Answer]

    def texts(self) -> list[tuple[str, ...]]:
        """Return the two texts of each question."""
        return [(a.text, b.text) for a, b in zip(self.first, self.second, strict=True)]

    def facts(self) -> dict[str, Any]:
        """Return what mt_bench.json says of them."""
        return about_answers(self.by, [*self.first, *self.second])


def generate(
    options: MtBenchOptions, questions: Sequence[Question], path: Path, progress: Progress
) -> Answered:
    """Return both answers to each question; those in the file are not asked for again.

    Args:
        options: whom to ask and how.
        questions: N questions.
        path: the file of answers, which only grows.
        progress: told of each turn.

    Raises:
        InputError: if the model cannot be loaded or asked, or the file cannot be used.
        UnfinishedError: if a server did not answer everything.
    """
    _warn_of_other(questions)
    with open_answers(path) as file:
        source = answer_source(options.model, options, revision=options.revision)
        first = _turn(source, first_turn(options, questions), file, progress, "first answers")
        second = _turn(
            source, second_turn(options, questions, first), file, progress, "second answers"
        )
    return Answered(source, first, second)


def first_turn(options: MtBenchOptions, questions: Sequence[Question]) -> list[Asked]:
    """Return the questions' first turns as they are asked."""
    return [Asked((_user(one.turns[0]),), _sampling(options, one.category)) for one in questions]


def second_turn(
    options: MtBenchOptions, questions: Sequence[Question], first: Sequence[Answer]
) -> list[Asked]:
    """Return the second turns, each after the model's own first answer."""
    return [
        Asked(
            (
                _user(one.turns[0]),
                {"role": "assistant", "content": answer.text},
                _user(one.turns[1]),
            ),
            _sampling(options, one.category),
        )
        for one, answer in zip(questions, first, strict=True)
    ]


def _turn(
    source: AnswerSource, asked: Sequence[Asked], file: AnswerFile, progress: Progress, stage: str
) -> list[Answer]:
    progress.start(stage, len(asked))
    return answered(source, asked, file, progress.advance)


def _sampling(options: MtBenchOptions, category: str) -> Sampling:
    return Sampling(
        temperature=TEMPERATURES.get(category, OTHER_TEMPERATURE),
        max_new_tokens=options.max_new_tokens,
        seed=options.seed,
    )


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _warn_of_other(questions: Sequence[Question]) -> None:
    other = sorted({one.category for one in questions} - TEMPERATURES.keys())
    if other:
        logger.warning(
            "categories that MT-bench does not have are answered at temperature %g: %s",
            OTHER_TEMPERATURE,
            ", ".join(other),
        )
