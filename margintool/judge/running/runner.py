"""Sends the requests that wait in a journal and stores every reply. READ THIS FIRST to run judges.

    journal.waiting() -> worker (one of `concurrency`) -> server -> parse -> journal.store()

A worker takes its next request only when its reply is on the disk: a process that is killed asks
again for at most `concurrency` requests. Read next: wire.py (one try), commits.py (the journal),
failures.py (what failures mean for the run).
"""

import asyncio
import signal
from typing import TYPE_CHECKING

from openai import OpenAIError

from margintool.judge.cost.tokens import reply_limit
from margintool.judge.item import Request
from margintool.judge.journal.journal import Failure, Journal
from margintool.judge.reading.replies import Parse, make_reply, read_reply
from margintool.judge.running import faults
from margintool.judge.running.budget import OUT_OF_MONEY, Budget, budget_of
from margintool.judge.running.client import open_client, served_by
from margintool.judge.running.commits import JournalThread
from margintool.judge.running.failures import Failed, Failures
from margintool.judge.running.halt import Halt
from margintool.judge.running.interrupt import on_interrupt, run_loop
from margintool.judge.running.limits import Limits
from margintool.judge.running.records import RunOutcome, RunSettings, Why
from margintool.judge.running.tally import Tally
from margintool.judge.running.wire import Answer, Call, HaltedError, Watch, ask
from margintool.progress import Progress, no_progress
from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def run_requests(
    journal: Journal,
    settings: RunSettings,
    *,
    wanted_only: bool,
    parse: Parse = read_reply,
    progress: Progress = no_progress,
) -> RunOutcome:
    """Send every request that waits, and store replies and failures as they come.

    Args:
        journal: open for writing and locked by the caller.
        settings: whom to ask and how fast.
        wanted_only: only requests that this run planned or wants, not all that wait.
        parse: reads the verdict in a reply.
        progress: told of each request that is done.

    Returns:
        What was done. A run that stopped early says why in `stopped`; what it did not send
        waits for the next run.

    Raises:
        InputError: with --max-cost for a model without a price, before anything is sent; if the
            journal cannot be written.
    """
    models = journal.models_waiting(wanted_only=wanted_only)
    settings.check_prices(models)
    progress.start("judging", journal.count_waiting(wanted_only=wanted_only))
    server = served_by(settings.base_url)
    dialects = {model: journal.dialect(server, model) for model in models}
    failures = Failures(server, settings.key.hide, settings.concurrency, dialects)
    waiting = JournalThread(journal, wanted_only=wanted_only)
    tally = Tally(settings.prices, progress, journal.aside)
    budget = budget_of(settings, journal.aside)
    try:
        return run_loop(_Run(settings, waiting, failures, tally, budget, parse).run)
    finally:
        for model in failures.changed:
            journal.forget_dialect(server, model)


class _Run:
    def __init__(
        self,
        settings: RunSettings,
        journal: JournalThread,
        failures: Failures,
        tally: Tally,
        budget: Budget | None,
        parse: Parse,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._failures = failures
        self._tally = tally
        self._budget = budget
        self._parse = parse
        self._server = served_by(settings.base_url)
        self._halt = Halt()
        self._limits = Limits(settings.rpm, settings.tpm)
        # The first request goes out alone: what would stop the run does so after one.
        self._others_may_go = asyncio.Event()

    async def run(self) -> RunOutcome:
        settings = self._settings
        watch = Watch(settings.timeout, self._before_try, self._others_may_go.set)
        client = open_client(
            settings.base_url,
            settings.key,
            watch,
            concurrency=settings.concurrency,
            retries=settings.retries,
        )
        async with client, self._journal:
            with on_interrupt(self._on_signal):
                await self._all_workers(client)
        return self._tally.outcome(self._halt.why, self._halt.message)

    def _on_signal(self, number: signal.Signals) -> None:
        why: Why = "interrupted" if number == signal.SIGINT else "terminated"
        self._halt.stop(why, f"{why}. Replies so far are kept; give the command again to go on")

    async def _all_workers(self, client: "AsyncOpenAI") -> None:
        ender = asyncio.create_task(self._halt.give_up_calls(self._settings.timeout))
        workers = [
            asyncio.create_task(self._work(client, first=number == 0))
            for number in range(self._settings.concurrency)
        ]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            # Where one raised, such as for a full disk, the others end as after Ctrl-C.
            if not all(worker.done() for worker in workers):
                self._halt.stop("interrupted", None)
            await asyncio.gather(*workers)
        finally:
            for task in (*workers, ender):
                task.cancel()
            await asyncio.gather(*workers, ender, return_exceptions=True)

    async def _work(self, client: "AsyncOpenAI", *, first: bool) -> None:
        if not first:
            await self._others_may_go.wait()
        try:
            while not self._halt and (request := await self._journal.next_request()):
                result = await self._send(client, request)
                if isinstance(result, Answer):
                    await self._keep_reply(request, result)
                elif isinstance(result, Failed):
                    await self._keep_failure(request, result)
                if not self._failures.in_doubt(request.model):
                    self._others_may_go.set()
        finally:
            self._others_may_go.set()

    async def _send(self, client: "AsyncOpenAI", request: Request) -> Answer | Failed | None:
        """Send a request, all its tries, and return what came of it.

        None where it was given up because the run stops: it waits, as if it had not been sent.
        """
        call = Call()
        failed = None
        try:
            with self._halt.working_on(call):
                await self._set_aside(request, call)
                await ask(client, call, request.body)
        except (asyncio.CancelledError, HaltedError):
            # Cancelled by `halt`, or together with the whole run: either way this worker ends,
            # after it has kept a reply that had come.
            self._halt.stop("interrupted", None)
        except (OpenAIError, UnicodeError) as error:
            failed = Failed.of(error, call)
        finally:
            self._tally.unseen += call.unseen
            if self._budget is not None:
                await self._budget.settle(call)
        return call.answer or failed

    async def _set_aside(self, request: Request, call: Call) -> None:
        """Wait for the tokens and the money that a request may need."""
        reply = reply_limit(request.body)
        if self._budget is not None:
            prompt = self._settings.most_tokens(request)
            if not await self._budget.set_aside(call, request.model, prompt, reply):
                self._money_is_out()
                raise HaltedError
        if self._settings.tpm is not None:
            tokens = self._settings.count_tokens(request) + reply
            if tokens > self._settings.tpm:
                raise InputError(
                    f"--tpm {self._settings.tpm}: a single request may need {tokens:,} tokens; "
                    "raise it, or lower --max-tokens"
                )
            await self._limits.tokens(tokens)

    async def _before_try(self, call: Call) -> None:
        await self._limits.request()
        if call.unseen and self._budget is not None and not self._budget.covers_retry(call):
            self._money_is_out()
        if self._halt:
            raise HaltedError

    async def _keep_reply(self, request: Request, answer: Answer) -> None:
        # Before the disk is waited for: others are under way, and may fail meanwhile.
        self._failures.answered(request.model)
        reply = make_reply(
            request,
            answer.payload,
            answer.raw,
            parse=self._parse,
            seconds=answer.seconds,
            served_by=self._server,
        )
        await self._journal.keep(reply)
        self._tally.answered(request.model, reply)

    async def _keep_failure(self, request: Request, failed: Failed) -> None:
        message = self._failures.final(request, failed)
        if message is not None:
            self._halt.stop("fatal", message)
            return
        words = self._settings.key.hide(f"{failed.kind}: {faults.said(failed.error)}")
        await self._journal.keep(Failure(request.key, words, failed.tries))
        self._tally.failed(failed.kind, words)
        down = self._failures.too_many(failed, words)
        if down is not None:
            self._halt.stop("failures", down)

    def _money_is_out(self) -> None:
        self._halt.stop("max_cost", OUT_OF_MONEY.format(most=self._settings.max_cost))
