"""From questions to answers: those that the file has, and the rest from a source.

Read by whoever needs answers: margintool/mt_bench/ and margintool/best_of_n/.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from mmpo_core.generation.answer_file import AnswerFile
from mmpo_core.generation.asked import Answer, Asked

logger = logging.getLogger(__name__)

# Number of a question -> its answer. Called for every few answers, as they come.
Keep = Callable[[Mapping[int, Answer]], None]


class AnswerSource(Protocol):
    """What answers questions: a model loaded here, or a server."""

    @property
    def identity(self) -> str:
        """What answers depend on beside the question: part of their keys."""

    def answer(self, asked: Sequence[Asked], missing: Collection[int], keep: Keep) -> None:
        """Answer the questions with these numbers, and give each few answers to `keep`.

        Args:
            asked: all questions; what is missing may be batched as if all were.
            missing: numbers of those without an answer.
            keep: takes answers; once it returns they are on the disk.
        """


def answered(
    source: AnswerSource,
    asked: Sequence[Asked],
    file: AnswerFile,
    on_done: Callable[[int], None] = lambda number: None,
) -> list[Answer]:
    """Return the answers to all questions, in their order; the source is asked what is missing.

    Args:
        source: what answers.
        asked: N questions; the same one twice is asked once.
        file: holds what was answered before, and what is answered now.
        on_done: called with a number of questions that are answered, N in all.

    Raises:
        InputError: if the source cannot answer, or the file cannot be written.
        UnfinishedError: if it stopped before its end.
    """
    keys = [one.key(source.identity) for one in asked]
    by_key: dict[str, Asked] = {}
    for key, one in zip(keys, asked, strict=True):
        by_key.setdefault(key, one)
    of_only, only = list(by_key), list(by_key.values())
    missing = [number for number, key in enumerate(of_only) if file.get(key) is None]

    def keep(answers: Mapping[int, Answer]) -> None:
        rows = {of_only[number]: (only[number], answer) for number, answer in answers.items()}
        file.append(rows, source.identity)
        on_done(len(rows))

    if len(missing) < len(only):
        there = len(only) - len(missing)
        logger.info("%s: %d of %d answers are there already", file.path, there, len(only))
    on_done(len(asked) - len(missing))
    if missing:
        source.answer(only, missing, keep)
    found = [file.get(key) for key in keys]
    if None in found:
        raise AssertionError("a source left a question without an answer")
    return [answer for answer in found if answer is not None]


def about_answers(source: AnswerSource, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return what a report says of answers, ready for JSON."""
    return {
        "by": source.identity,
        "number": len(answers),
        "ended_by_max_new_tokens": sum(one.finish == "length" for one in answers),
        "prompt_cut": sum(one.prompt_cut > 0 for one in answers),
        "own_temperature": sum(one.own_temperature for one in answers),
        "empty": sum(not one.text for one in answers),
    }
