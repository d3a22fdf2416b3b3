"""The pairs that two files have in common, and why they may have none. Read by comparing.py."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from margintool.compare.reading import Floats, Pairs, contract_batches
from margintool.hashing import Keys, keys, text_digests
from margintool.progress import Progress
from margintool.report.words import counted, visible
from mmpo_core.errors import InputError

SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Joined:
    """N pairs of two files, in an order that depends on the pairs alone.

    Attributes:
        prompt: (N,) key of the conversation.
        margin_a, margin_b: (N,) signed margin_raw, > 0 where the pair's first answer won.
        target_a, target_b: (N,) probability that the first answer wins.
        only_a, only_b: how many different pairs stand in one of the files alone.
    """

    prompt: Keys
    margin_a: Floats
    margin_b: Floats
    target_a: Floats
    target_b: Floats
    only_a: int
    only_b: int

    def __len__(self) -> int:
        return len(self.prompt)

    def take(self, rows: npt.NDArray[np.intp]) -> "Joined":
        """Return some of the pairs, with repeats. rows: (M,)."""
        return Joined(
            self.prompt[rows],
            self.margin_a[rows],
            self.margin_b[rows],
            self.target_a[rows],
            self.target_b[rows],
            self.only_a,
            self.only_b,
        )


def join(a: Pairs, b: Pairs) -> Joined:
    """Match the pairs of two files on history, prompt and the two answers, in either order."""
    _, in_a, in_b = np.intersect1d(a.key, b.key, assume_unique=True, return_indices=True)
    return Joined(
        prompt=a.prompt[in_a],
        margin_a=a.margin[in_a],
        margin_b=b.margin[in_b],
        target_a=a.target[in_a],
        target_b=b.target[in_b],
        only_a=len(a.key) - len(in_a),
        only_b=len(b.key) - len(in_b),
    )


@dataclass(frozen=True)
class _Texts:
    """Keys of a file's different texts, and how its first prompt begins."""

    questions: Keys
    conversations: Keys
    answers: Keys
    begins: str


def nothing_in_common(a: Pairs, b: Pairs, progress: Progress) -> InputError:
    """Return the error for two files without a common pair; reads both again to say why."""
    texts_a, texts_b = _texts(a, progress), _texts(b, progress)
    return InputError(
        f"{a.path} ({counted(len(a.key), 'pair')}) and {b.path} ({counted(len(b.key), 'pair')}) "
        f"have no pair in common: {_why(texts_a, texts_b)}.\n"
        f"The first prompt of {a.path} begins {texts_a.begins!r}, that of {b.path} "
        f"{texts_b.begins!r}.\nPairs are the same where history, prompt and both answers are, to "
        "the character. Score both files from the same rows"
    )


def _why(a: _Texts, b: _Texts) -> str:
    questions, conversations, answers = (
        len(np.intersect1d(getattr(a, name), getattr(b, name), assume_unique=True))
        for name in ("questions", "conversations", "answers")
    )
    if conversations:
        return (
            f"both have {counted(conversations, 'prompt')} in common, but with other answers "
            f"({counted(answers, 'answer')} in common)"
        )
    if questions:
        return f"both have {counted(questions, 'prompt')} in common, but after another history"
    if answers:
        return f"both have {counted(answers, 'answer')} in common, but to other prompts"
    return "they have neither a prompt nor an answer in common"


def _texts(pairs: Pairs, progress: Progress) -> _Texts:
    questions: list[Keys] = []
    answers: list[Keys] = []
    begins = ""
    for table in contract_batches(pairs.path, progress):
        if not questions:
            first: Any = table.column("prompt")[0].as_py()
            begins = visible(first[:SHOWN_CHARACTERS])
        questions.append(_different(keys(text_digests(table.column("prompt")))))
        answers += [keys(text_digests(table.column(name))) for name in ("chosen", "rejected")]
    return _Texts(
        questions=_different(*questions),
        conversations=_different(pairs.prompt),
        answers=_different(*answers),
        begins=begins,
    )


def _different(*parts: Keys) -> Keys:
    return np.unique(np.concatenate(parts))
