"""From items to verdicts: questions into the journal, those without a reply to the judges.

    open_panel -> put_down -> send -> Verdicts

Read by margintool/judging.py. The journal is locked from the first step to the last use of the
verdicts, so that no other process changes what is read.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

from margintool.judge.asking.asker import Asker
from margintool.judge.asking.judging import Judging
from margintool.judge.asking.panel import Panel
from margintool.judge.cost.estimate import Estimate, estimate
from margintool.judge.cost.prices import Prices, load_prices
from margintool.judge.cost.tokens import body_tokens, counter
from margintool.judge.item import Dialect, Item, Request
from margintool.judge.journal.journal import Journal
from margintool.judge.journal.lock import journal_lock
from margintool.judge.margins import Verdicts
from margintool.judge.options import JudgeOptions
from margintool.judge.running.client import api_key, served_by
from margintool.judge.running.records import RunOutcome, RunSettings
from margintool.progress import Progress
from mmpo_core.errors import UnfinishedError


@contextmanager
def enquire(
    judging: Judging, batches: Iterable[Sequence[Item]], progress: Progress
) -> Iterator[Verdicts]:
    """Yield the verdicts on all items; judges are asked what the journal does not hold.

    Requests that fail after their retries have no verdict; the next run sends them again.

    Raises:
        InputError: if another process uses the journal, or a judge cannot be asked.
        UnfinishedError: if the run stopped before its end, or questions are out in open batches.
    """
    with open_questions(judging, batches, progress) as verdicts:
        outcome = send(judging.options, verdicts.journal, progress, wanted_only=True)
        if outcome.stopped is not None:
            raise UnfinishedError(outcome.stopped, outcome.status)
        held = verdicts.journal.count_in_batches(wanted_only=True)
        if held:
            raise UnfinishedError(
                f"{held:,} of the questions are out in batches; fetch their replies with "
                f"`margintool judge collect {judging.journal}` and give this command again"
            )
        yield verdicts


@contextmanager
def open_questions(
    judging: Judging, batches: Iterable[Sequence[Item]], progress: Progress
) -> Iterator[Verdicts]:
    """Yield the journal, locked, with every question about the items planned and wanted."""
    with journal_lock(judging.journal), Journal.open(judging.journal, write=True) as journal:
        panel = open_panel(judging, journal.salt, lambda model: _found_out(judging, journal, model))
        put_down(journal, panel, batches, progress)
        yield Verdicts(journal, panel)


def open_panel(judging: Judging, salt: str, dialect_of: Callable[[str], Dialect]) -> Panel:
    """Return the panel that asks as these options say.

    Args:
        judging: what is asked of whom.
        salt: the journal's.
        dialect_of: model -> what its server takes.
    """
    options = judging.options
    askers = [
        Asker(
            wording=judging.wording,
            model=model,
            dialect=_as_told(dialect_of(model), judging),
            temperature=judging.temperature,
            max_tokens=options.max_tokens,
            logprobs=options.logprobs,
            salt=salt,
        )
        for model in options.judge_model
    ]
    return Panel(askers, options.samples, paired=options.mode == "pair")


def _as_told(dialect: Dialect, judging: Judging) -> Dialect:
    """Return the dialect with --reply-format, where that is not auto."""
    form = judging.options.reply_format
    return dialect if form == "auto" else replace(dialect, structured=form == "json")


def put_down(
    journal: Journal, panel: Panel, batches: Iterable[Sequence[Item]], progress: Progress
) -> None:
    """Plan every question about the items, and want it; only new ones are written out."""
    progress.start("questions", None)
    for items in batches:
        keys = [panel.keys(item) for item in items]
        known = journal.known(list({key for of_item in keys for key in of_item}))
        journal.want(list(known))
        journal.plan(
            chain.from_iterable(
                panel.requests(item)
                for item, of_item in zip(items, keys, strict=True)
                if not known.issuperset(of_item)
            )
        )
        progress.advance(len(items))


def send(
    options: JudgeOptions, journal: Journal, progress: Progress, *, wanted_only: bool
) -> RunOutcome:
    """Send what waits in the journal; without anything to send, no key is needed."""
    if not journal.count_waiting(wanted_only=wanted_only):
        return RunOutcome()
    from margintool.judge.running.runner import run_requests

    return run_requests(journal, run_settings(options), wanted_only=wanted_only, progress=progress)


def run_settings(options: JudgeOptions) -> RunSettings:
    """Return how requests are sent, with the API key from its file or the environment.

    Raises:
        InputError: if there is no key, or the file of the key or of the prices cannot be used.
    """
    return RunSettings(
        base_url=options.base_url,
        key=api_key(options.api_key_file, options.base_url),
        concurrency=options.concurrency,
        rpm=options.rpm,
        tpm=options.tpm,
        timeout=options.timeout,
        retries=options.retries,
        max_cost=options.max_cost,
        prices=_prices(options),
        count_tokens=_count_tokens,
    )


def _prices(options: JudgeOptions) -> Prices:
    return load_prices(None if options.prices is None else Path(options.prices))


def _count_tokens(request: Request) -> int:
    return body_tokens(request.body, counter(request.model))


def _found_out(judging: Judging, journal: Journal, model: str) -> Dialect:
    """Return what the server takes for a model, as the journal has it or else as it answers now."""
    server = served_by(judging.options.base_url)
    known = journal.dialect(server, model)
    if known is not None:
        return known
    from margintool.judge.running.probe import ask_dialect

    found = ask_dialect(run_settings(judging.options), model).dialect
    journal.keep_dialect(server, model, found)
    return found


def estimate_items(
    judging: Judging, batches: Iterable[Sequence[Item]], *, batch: bool = False
) -> Estimate:
    """Return what asking about the items would take. Nothing is sent or written.

    A server that was not asked yet is taken to speak OpenAI's dialect.
    """
    if not judging.journal.exists():
        return _estimated(judging, batches, None, batch)
    with Journal.open(judging.journal, write=False) as journal:
        return _estimated(judging, batches, journal, batch)


def _estimated(
    judging: Judging, batches: Iterable[Sequence[Item]], journal: Journal | None, batch: bool
) -> Estimate:
    server = served_by(judging.options.base_url)

    def dialect_of(model: str) -> Dialect:
        known = None if journal is None else journal.dialect(server, model)
        return known or Dialect()

    panel = open_panel(judging, journal.salt if journal is not None else "", dialect_of)
    requests = (request for items in batches for item in items for request in panel.requests(item))
    return estimate(requests, _prices(judging.options), journal=journal, batch=batch)
