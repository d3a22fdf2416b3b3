"""Asking judges about an input: the items of a plan, and the step of `score` before its first pass.

Read by preparing.py and judge_runs.py. The judge itself is in margintool/judge/.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from margintool.canonical import CanonicalBatch
from margintool.canonical_stream import canonical_input, canonical_pairs
from margintool.findings import Findings
from margintool.judge.item import Item
from margintool.plan import Plan, make_plan
from margintool.progress import Progress, no_progress
from margintool.rejects import Rejects
from margintool.score_options import AskOptions, ScoreOptions
from margintool.sources.gpt4 import items, usable_reason
from margintool.storage import workspace

if TYPE_CHECKING:
    from margintool.judge.cost.estimate import Estimate

COMPARED = "compared"
# The columns of the answers of one item, for each item of a row.
ANSWERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "pairs": (("response_a",), ("response_b",)),
    "responses": (("response",),),
    COMPARED: (("response_a", "response_b"),),
}


@contextmanager
def judged(plan: Plan, progress: Progress) -> Iterator[Plan]:
    """Yield the plan with all verdicts at hand; those that the journal lacks are asked for now.

    The journal stays locked until the end.

    Raises:
        InputError: if another process uses the journal, or a judge cannot be asked.
        UnfinishedError: if asking stopped before its end; the journal holds what was answered.
    """
    assert plan.judging is not None
    assert isinstance(plan.findings, Findings)
    from margintool.judge.enquire import enquire

    with enquire(plan.judging, items_of(plan), progress) as (verdicts, outcome):
        plan.findings.note_run(outcome)
        plan.findings.note_replies(verdicts.journal.answered_by(), verdicts.journal.pattern)
        yield replace(plan, settings=replace(plan.settings, verdicts=verdicts))


def items_of(plan: Plan) -> Iterator[list[Item]]:
    """Yield what is to be judged in the input, batch by batch; rows that cannot be used are not.

    Single answers, or pairs in `pair` mode.
    """
    assert plan.judging is not None
    # Rows that cannot be used are rejected when the input is read again for its margins.
    with workspace(plan.judging.journal) as scratch, Rejects(scratch) as met_again:
        batches: Iterator[CanonicalBatch] = (
            canonical_input(plan, no_progress)
            if plan.ranked
            else canonical_pairs(plan, scratch, met_again, no_progress)
        )
        shown = ANSWERS[plan.layout.kind if plan.ranked else COMPARED]
        for batch in batches:
            usable = batch.table.filter(usable_reason(batch.table)[0].is_null())
            for answers in shown:
                yield items(usable, answers)


def estimated(options: AskOptions | ScoreOptions, *, batch: bool = False) -> "Estimate":
    """Return what asking would take: requests, tokens, cost. Nothing is sent or written.

    Args:
        options: as given.
        batch: whether it would go through the Batch API, at its price.
    """
    from margintool.judge.enquire import estimate_items

    plan = plan_of(options)
    assert plan.judging is not None
    return estimate_items(plan.judging, items_of(plan), batch=batch)


def plan_of(options: AskOptions | ScoreOptions) -> Plan:
    """Return the plan of a run that only asks, and writes no pair file."""
    if isinstance(options, ScoreOptions):
        return make_plan(options, writes=False)
    fields = {name: getattr(options, name) for name in AskOptions.__dataclass_fields__}
    out = options.journal or "pairs.parquet"  # never written: only its folder and name are used
    return make_plan(ScoreOptions(**fields, source="gpt4", out=out), writes=False)
