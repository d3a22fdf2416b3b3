"""What judges are shown of each answer, and their ratings. Read by run.py.

Each turn is a question of its own to the judge, as in FastChat: the first answer by itself, the
second one after the first turn. The machinery is that of `score --source gpt4` (judge/).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from margintool.judge.asking.judging import Judging, make_judging
from margintool.judge.asking.prompts import Wording
from margintool.judge.cost.estimate import Estimate
from margintool.judge.enquire import enquire, estimate_items
from margintool.judge.item import Item
from margintool.judge.margins import Floats, Problem, mean, ratings
from margintool.judge.running.records import RunOutcome
from margintool.mt_bench.facts import SCALE
from margintool.mt_bench.options import MtBenchOptions
from margintool.mt_bench.questions import Question, Texts
from margintool.progress import Progress

JOURNAL = "judge.journal.sqlite"
_TEMPLATE = "single.jinja"


@dataclass(frozen=True)
class Rated:
    """Ratings of N answers.

    Args:
        rating: (N,) mean over judges; NaN where none has a verdict.
        by_judge: (N, J), NaN where a judge has none.
        problems: N (reason, detail) of the first judge without a verdict, or None.
        outcome: what the run of judges did.
    """

    rating: Floats
    by_judge: Floats
    problems: Sequence[Problem | None]
    outcome: RunOutcome


def judging_of(options: MtBenchOptions) -> Judging:
    """Return what is asked of whom: MT-bench's own wording, unless the user brought a template.

    Raises:
        InputError: if an option of the judges cannot be used.
    """
    judging = make_judging(options, journal=options.folder / JOURNAL, scale=SCALE)
    if options.template is not None:
        return judging
    text = files("margintool.mt_bench").joinpath("templates", _TEMPLATE).read_text("utf-8")
    return replace(judging, wording=Wording(judging.wording.task, text, name=_TEMPLATE))


def items(
    questions: Sequence[Question],
    answers: Sequence[Texts],
    references: Sequence[Texts | None],
) -> list[Item]:
    """Return what is judged: both turns of the first question, then of the second, ..."""
    found = []
    for question, (first, second), reference in zip(questions, answers, references, strict=True):
        before = (
            {"role": "user", "content": question.turns[0]},
            {"role": "assistant", "content": first},
        )
        found.append(Item(question.turns[0], (), (first,), _first_reference(reference)))
        found.append(Item(question.turns[1], before, (second,), _both_references(reference)))
    return found


def rate(judging: Judging, judged: Sequence[Item], progress: Progress) -> Rated:
    """Ask about what the journal has no verdict on, and return all ratings.

    Raises:
        InputError: if a judge cannot be asked, or another process uses the journal.
        UnfinishedError: if asking stopped before its end; the journal holds what was answered.
    """
    with enquire(judging, [judged], progress) as (verdicts, outcome):
        found = ratings(verdicts, judged)
    return Rated(mean(found.by_judge, axis=1), found.by_judge, found.problems, outcome)


def estimated(judging: Judging, judged: Sequence[Item]) -> Estimate:
    """Return what `rate` would send and cost. Nothing is sent or written."""
    return estimate_items(judging, [judged])


def _first_reference(reference: Texts | None) -> str | None:
    return reference[0] or None if reference is not None else None


def _both_references(reference: Texts | None) -> str | None:
    """Return the reference to a second answer: both turns', for the second builds on the first."""
    if reference is None:
        return None
    named = zip(("first", "second"), reference, strict=True)
    return "\n\n".join(f"To the {turn} question:\n{text}" for turn, text in named if text)
