"""What the `judge` commands do with an input and a journal. Read by margintool/cli/judge/.

The journal is all that they share with `score`, which finds the same questions answered there.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from margintool.judge.asking.judging import checked_options
from margintool.judge.batch.status import BatchStatus
from margintool.judge.cost.estimate import Estimate, estimate
from margintool.judge.enquire import open_questions, prices_of, send
from margintool.judge.journal.file import must_exist
from margintool.judge.journal.journal import Counts, Journal
from margintool.judge.journal.lock import journal_lock
from margintool.judge.reading.replies import read_reply
from margintool.judge.running.records import RunOutcome
from margintool.judge_options import (
    JournalOptions,
    SubmitOptions,
    check_for_batches,
    check_waiting,
)
from margintool.judging import estimated, items_of, plan_of
from margintool.progress import Progress, no_progress
from margintool.score_options import AskOptions
from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from margintool.judge.batch.collect import CollectOutcome
    from margintool.judge.batch.submit import SubmitOutcome


def run_judge(options: AskOptions, progress: Progress = no_progress) -> tuple[RunOutcome, Counts]:
    """Ask about an input, or without one send all that waits in the journal.

    Raises:
        InputError: if an option, the input or the journal is wrong.
    """
    with _questions(options, progress) as (journal, wanted_only):
        outcome = send(options, journal, progress, wanted_only=wanted_only)
        return outcome, journal.counts()


def submit_batches(options: SubmitOptions, progress: Progress = no_progress) -> "SubmitOutcome":
    """Give what waits to the Batch API; see judge/batch/submit.py.

    Raises:
        InputError: if an option, the input or the journal is wrong, or the server refuses.
    """
    from margintool.judge.batch.allowance import Allowance
    from margintool.judge.batch.client import open_batch_client
    from margintool.judge.batch.submit import submit
    from margintool.judge.running.client import api_key

    check_for_batches(options)
    key = api_key(options.api_key_file, options.base_url)
    prices = prices_of(options)
    with (
        _questions(options, progress) as (journal, wanted_only),
        open_batch_client(options.base_url, key, retries=options.retries) as client,
    ):
        return submit(
            journal,
            client,
            wanted_only=wanted_only,
            max_requests=options.max_requests,
            max_bytes=options.max_bytes,
            allowance=Allowance(
                options.max_cost, prices, sum(one.dollars for one in journal.aside)
            ),
            progress=progress,
        )


@contextmanager
def _questions(options: AskOptions, progress: Progress) -> Iterator[tuple[Journal, bool]]:
    """Yield the locked journal, and whether only the questions about the input are meant."""
    if options.input is None:
        path = _checked(options)
        with journal_lock(path), Journal.open(path, write=True) as journal:
            yield journal, False
        return
    _journal(options)
    plan = plan_of(options)
    assert plan.judging is not None
    with open_questions(plan.judging, items_of(plan), progress) as verdicts:
        yield verdicts.journal, True


def estimated_run(options: AskOptions, *, batch: bool = False) -> Estimate:
    """Return what `run_judge`, or with `batch` `submit_batches`, would send and cost.

    Nothing is sent or written.

    Raises:
        InputError: if an option, the input or the journal is wrong.
    """
    if options.input is not None:
        return estimated(options, batch=batch)
    with Journal.open(_checked(options), write=False) as journal:
        waiting = journal.waiting(wanted_only=False)
        return estimate(waiting, prices_of(options), journal=journal, batch=batch)


def _checked(options: AskOptions) -> Path:
    """Return the journal of a run without an input, whose options are checked."""
    check_waiting(options)
    checked_options(options)
    path = _journal(options)
    must_exist(path)
    return path


def _journal(options: AskOptions) -> Path:
    if options.journal is None:
        raise InputError("name the journal, as pairs.journal.sqlite")
    return Path(options.journal)


def collect_batches(
    options: JournalOptions, *, abandon: Collection[int] = (), progress: Progress = no_progress
) -> tuple["CollectOutcome", Counts]:
    """Store the replies of batches that have ended; see judge/batch/collect.py.

    Raises:
        InputError: if the journal cannot be used, or the server refuses.
    """
    from margintool.judge.batch.client import open_batch_client
    from margintool.judge.batch.collect import collect
    from margintool.judge.running.client import api_key

    must_exist(Path(options.journal))
    key = api_key(options.api_key_file, options.base_url)
    with (
        journal_lock(options.journal),
        Journal.open(options.journal, write=True) as journal,
        open_batch_client(options.base_url, key, retries=options.retries) as client,
    ):
        read = partial(read_reply, pattern=journal.pattern)
        outcome = collect(journal, client, parse=read, abandon=abandon, progress=progress)
        return outcome, journal.counts()


def cancel_batches(options: JournalOptions, numbers: Collection[int]) -> list[BatchStatus]:
    """Ask the server to cancel batches, all open ones if no numbers are given.

    Raises:
        InputError: if a number is not that of an open batch, or the server refuses.
    """
    from margintool.judge.batch.client import open_batch_client
    from margintool.judge.batch.status import cancel
    from margintool.judge.running.client import api_key

    key = api_key(options.api_key_file, options.base_url)
    with (
        Journal.open(options.journal, write=False) as journal,
        open_batch_client(options.base_url, key, retries=options.retries) as client,
    ):
        return cancel(journal, client, numbers)


def journal_status(options: JournalOptions) -> tuple[Counts, list[BatchStatus]]:
    """Return how far a journal is; the server is asked only where there are open batches.

    Raises:
        InputError: if the journal cannot be read, or the server refuses.
    """
    from margintool.judge.batch.client import open_batch_client
    from margintool.judge.batch.status import status
    from margintool.judge.running.client import api_key

    with Journal.open(options.journal, write=False) as journal:
        counts = journal.counts()
        if not journal.batches(open_only=True):
            return counts, [
                BatchStatus(row, row.state, errors=row.error) for row in journal.batches()
            ]
        key = api_key(options.api_key_file, options.base_url)
        with open_batch_client(options.base_url, key, retries=options.retries) as client:
            return counts, status(journal, client)
