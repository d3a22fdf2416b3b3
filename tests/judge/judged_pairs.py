"""Pairs for whole runs against the stand-in judge, and what each must end as.

What is right comes from the stand-in's rules alone: its quality of an answer, and its plan of
faults for the messages that were sent. The tool's parser, margins and sources have no part in it.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from margintool.judge.journal.journal import Journal
from margintool.judge.mock.faults import FaultPlan, parse_faults
from margintool.judge.mock.quality import mock_quality, mock_verdict
from margintool.judge.mock.question import Question, read_question

Row = dict[str, Any]

# What a content fault of the stand-in makes of a reply, by mode.
REASON_OF_FAULT = {
    "refusal": "judge_refused",
    "filtered": "judge_filtered",
    "truncated": "judge_truncated",
    "empty": "judge_empty",
    "no-verdict": "judge_no_verdict",
}
# A rating of 97 lies outside the scale; a winner D is no winner at all.
OUT_OF_SCALE = {"single": "judge_out_of_scale", "pair": "judge_no_verdict"}


def make_rows(number: int, seed: int = 0) -> list[Row]:
    """Pairs in random order of quality: 3 to 200 words, no two answers alike."""
    rng = random.Random(seed)

    def answer(name: str) -> str:
        words = [f"word{n}" for n in rng.sample(range(1000), rng.choice((2, 8, 20, 60, 200)))]
        return " ".join([name, *words])

    return [
        {"prompt": f"Question {n}?", "chosen": answer(f"left{n}"), "rejected": answer(f"right{n}")}
        for n in range(number)
    ]


@dataclass(frozen=True)
class Ending:
    """How a pair must end: with a gap (> 0 where the answer given as chosen is better), or not."""

    gap: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Sent:
    """The questions in a journal, as the stand-in understands them, and the faults in its replies.

    Args:
        questions: one for each request.
        faults: answers as shown -> the content fault of their question, or None.
    """

    questions: Sequence[Question]
    faults: Mapping[tuple[str, ...], str | None]

    @classmethod
    def read(cls, journal: Path, faults: str | None, seed: int = 0) -> "Sent":
        """Return what was sent by a journal to a stand-in with these options."""
        plan = FaultPlan(parse_faults(faults), seed)
        with Journal.open(journal, write=False) as opened:
            questions = [read_question(row.request.body) for row in opened.all_rows()]
        return cls(questions, {q.answers: plan.content(q.key) for q in questions})

    def endings(self, rows: Sequence[Row], mode: str) -> list[Ending]:
        """Return how each pair must end in mode `single` or `pair`."""
        rule = {"single": self._rated, "pair": self._compared}[mode]
        return [rule(row["chosen"], row["rejected"]) for row in rows]

    def _rated(self, chosen: str, rejected: str) -> Ending:
        for answer in (chosen, rejected):
            if fault := self.faults[(answer,)]:
                return Ending(None, _reason(fault, "single"))
        return Ending(mock_quality(chosen) - mock_quality(rejected))

    def _compared(self, chosen: str, rejected: str) -> Ending:
        faults = [self.faults[shown] for shown in ((chosen, rejected), (rejected, chosen))]
        if all(faults):
            return Ending(None, _reason(str(faults[0]), "pair"))
        if any(faults):
            return Ending(None, "judge_one_order")
        forth, back = mock_verdict(chosen, rejected)[2], mock_verdict(rejected, chosen)[2]
        return Ending((forth - back) / 2)


def _reason(fault: str, mode: str) -> str:
    return OUT_OF_SCALE[mode] if fault == "out-of-scale" else REASON_OF_FAULT[fault]


def check_endings(
    rows: Sequence[Row], endings: Sequence[Ending], pairs: Sequence[Row], rejects: Sequence[Row]
) -> None:
    """Assert that every pair ended as it must: in the pair file with its margin, or rejected."""
    kept = {pair["prompt"]: pair for pair in pairs}
    refused = {reject["prompt"]: reject for reject in rejects}
    assert len(kept) + len(refused) == len(pairs) + len(rejects) == len(rows)
    for row, ending in zip(rows, endings, strict=True):
        if ending.gap is None:
            assert refused[row["prompt"]]["reason"] == ending.reason
            continue
        pair, sides = kept[row["prompt"]], (row["chosen"], row["rejected"])
        assert (pair["chosen"], pair["rejected"]) == (sides if ending.gap >= 0 else sides[::-1])
        assert pair["margin_raw"] == abs(ending.gap)


def check_paid_once(sent: Sent, stats: Mapping[str, Any], replies: int) -> None:
    """Assert that every question was answered once, and that each answer is in the journal.

    The stand-in counts an answer once it went out whole: one that it cut in the middle, or whose
    client had gone, is none. Messages that no journal holds are the probe's.
    """
    answered = Counter(stats["messages"])
    mine = {question.message for question in sent.questions}
    assert {message: answered[message] for message in mine} == dict.fromkeys(mine, 1)
    probe = sum(times for message, times in answered.items() if message not in mine)
    assert 1 <= probe <= 3
    assert stats["answered"] == len(mine) + probe
    assert replies == len(mine) == len(sent.questions)
