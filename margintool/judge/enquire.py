"""From items to verdicts: questions into the journal, those without a reply to the judges.

    open_panel -> put_down -> send -> Verdicts

Read by margintool/judging.py. The journal is locked from the first step to the last use of the
verdicts, so that no other process changes what is read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from margintool.judge.asking.asker import Asker
from margintool.judge.asking.judging import Judging
from margintool.judge.asking.panel import Panel
from margintool.judge.cost.estimate import Estimate, estimate
from margintool.judge.cost.prices import Prices, load_prices
from margintool.judge.cost.tokens import body_tokens, counter, most_body_tokens
from margintool.judge.item import Dialect, Item, Request
from margintool.judge.journal.journal import Journal
from margintool.judge.journal.lock import journal_lock
from margintool.judge.margins import Verdicts
from margintool.judge.options import JudgeOptions
from margintool.judge.reading.replies import read_reply
from margintool.judge.running.client import api_key, served_by
from margintool.judge.running.records import RunOutcome, RunSettings
from margintool.progress import Progress
from mmpo_core.errors import UnfinishedError


@contextmanager
def enquire(
    judging: Judging, batches: Iterable[Sequence[Item]], progress: Progress
) -> Iterator[tuple[Verdicts, RunOutcome]]:
    """Yield the verdicts on all items; judges are asked what the journal does not hold.

    Requests that fail after their retries have no verdict; the next run sends them again.

    Raises:
        InputError: if another process uses the journal, or a judge cannot be asked.
        UnfinishedError: if the run stopped before its end, or questions are out in open batches.
    """
    with open_questions(judging, batches, progress) as verdicts:
        outcome = send(judging.options, verdicts.journal, progress, wanted_only=True)
        if outcome.stopped is not None:
            left = verdicts.journal.count_waiting(wanted_only=True)
            done = f"{outcome.answered:,} questions answered now, {left:,} left"
            raise UnfinishedError(f"{outcome.stopped} ({done})", outcome.status)
        held = verdicts.journal.count_in_batches(wanted_only=True)
        if held:
            raise UnfinishedError(
                f"{held:,} of the questions are out in batches; fetch their replies with "
                f"`margintool judge collect {judging.journal}` and give this command again"
            )
        yield verdicts, outcome


@contextmanager
def open_questions(
    judging: Judging, batches: Iterable[Sequence[Item]], progress: Progress
) -> Iterator[Verdicts]:
    """Yield the journal, locked, with every question about the items planned and wanted."""
    with journal_lock(judging.journal), Journal.open(judging.journal, write=True) as journal:
        panel = open_panel(judging, journal.salt, {})
        put_down(journal, panel, batches, progress, lambda: _writing(judging, journal, progress))
        yield Verdicts(journal, panel)


def open_panel(judging: Judging, salt: str, dialects: Mapping[str, Dialect]) -> Panel:
    """Return the panel that asks as these options say.

    Args:
        judging: what is asked of whom.
        salt: the journal's.
        dialects: what servers take, by model. Not needed for keys.
    """
    options = judging.options
    askers = [
        Asker(
            wording=judging.wording,
            model=model,
            dialect=dialects.get(model, Dialect()),
            temperature=judging.temperature,
            max_tokens=options.max_tokens,
            logprobs=options.logprobs,
            salt=salt,
            reply_format=options.reply_format,
        )
        for model in options.judge_model
    ]
    return Panel(askers, options.samples, paired=options.mode == "pair")


@dataclass(frozen=True)
class Writing:
    """How questions without an answer are written out.

    Args:
        panel: knows what the server takes.
        anew: whether those that wait already may be written for a server that takes something
            else, and so are written anew.
    """

    panel: Panel
    anew: bool


def put_down(
    journal: Journal,
    panel: Panel,
    batches: Iterable[Sequence[Item]],
    progress: Progress,
    start_writing: Callable[[], Writing],
) -> None:
    """Want every question about the items, and write out those that are new.

    Args:
        journal: open for writing.
        panel: knows the questions' keys.
        batches: what is judged.
        progress: told of each item.
        start_writing: called at the first question without an answer; it may ask the server. A
            journal that holds all answers needs none.
    """
    progress.start("questions", None)
    writing: Writing | None = None
    for items in batches:
        keys = [panel.keys(item) for item in items]
        states = journal.states(list({key for of_item in keys for key in of_item}))
        journal.want(list(states))
        settled = {key for key, state in states.items() if state != "waiting"}
        if not all(map(settled.issuperset, keys)):
            if writing is None:
                writing = start_writing()
                progress.start("questions", None)
            written = settled if writing.anew else states.keys()
            journal.plan(
                chain.from_iterable(
                    writing.panel.requests(item, of_item)
                    for item, of_item in zip(items, keys, strict=True)
                    if not written >= set(of_item)
                ),
                anew=writing.anew,
            )
        progress.advance(len(items))


def _writing(judging: Judging, journal: Journal, progress: Progress) -> Writing:
    """Find out what servers take, and whether that is what waiting questions are written for."""
    dialects = {
        model: _found_out(judging, journal, model, progress)
        for model in judging.options.judge_model
    }
    for model, dialect in dialects.items():
        journal.keep_written(model, dialect)
    anew = any(journal.written_for(model) > {dialect} for model, dialect in dialects.items())
    return Writing(open_panel(judging, journal.salt, dialects), anew)


def send(
    options: JudgeOptions, journal: Journal, progress: Progress, *, wanted_only: bool
) -> RunOutcome:
    """Send what waits in the journal; without anything to send, no key is needed."""
    if not journal.count_waiting(wanted_only=wanted_only) and not journal.aside:
        return RunOutcome()
    from margintool.judge.running.runner import run_requests

    return run_requests(
        journal,
        run_settings(options),
        wanted_only=wanted_only,
        parse=partial(read_reply, pattern=journal.pattern),
        progress=progress,
    )


def run_settings(options: JudgeOptions) -> RunSettings:
    """Return how requests are sent, with the API key from its file or the environment.

    Raises:
        InputError: if there is no key, the file of the key or of the prices cannot be used, or
            with --max-cost a judge that was named has no price.
    """
    settings = RunSettings(
        base_url=options.base_url,
        key=api_key(options.api_key_file, options.base_url),
        concurrency=options.concurrency,
        rpm=options.rpm,
        tpm=options.tpm,
        timeout=options.timeout,
        retries=options.retries,
        max_cost=options.max_cost,
        prices=prices_of(options),
        count_tokens=_count_tokens,
        most_tokens=_most_tokens,
    )
    named = options.judge_model
    settings.check_prices([named] if isinstance(named, str) else named)
    return settings


def prices_of(options: JudgeOptions) -> Prices:
    """Return what models cost: the built-in prices, and the user's over them.

    Raises:
        InputError: if the user's file cannot be used.
    """
    return load_prices(None if options.prices is None else Path(options.prices))


def _count_tokens(request: Request) -> int:
    return body_tokens(request.body, counter(request.model))


def _most_tokens(request: Request) -> int:
    return most_body_tokens(request.body, counter(request.model))


def _found_out(judging: Judging, journal: Journal, model: str, progress: Progress) -> Dialect:
    """Return what the server takes for a model, as the journal has it or else as it answers now."""
    server = served_by(judging.options.base_url)
    known = journal.dialect(server, model)
    if known is not None:
        return known
    from margintool.judge.running.probe import ask_dialect

    found = ask_dialect(
        run_settings(judging.options),
        model,
        max_tokens=judging.options.max_tokens,
        aside=journal.aside,
        progress=progress,
    )
    journal.aside.append(found.aside)
    journal.keep_dialect(server, model, found.dialect)
    return found.dialect


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

    dialects = {
        model: journal.dialect(server, model) or Dialect()
        for model in judging.options.judge_model
        if journal is not None
    }
    panel = open_panel(judging, journal.salt if journal is not None else "", dialects)
    requests = (request for items in batches for item in items for request in panel.requests(item))
    return estimate(requests, prices_of(judging.options), journal=journal, batch=batch)
