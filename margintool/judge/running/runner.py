"""Sends the requests that wait in a journal and stores every reply. READ THIS FIRST to run judges.

    journal.waiting() -> worker (one of `concurrency`) -> server -> parse -> journal.store()

A worker takes its next request only when its reply is on the disk: a process that is killed asks
again for at most `concurrency` requests. Read next: wire.py (one try), commits.py (the journal).
"""

import asyncio
import signal
from typing import TYPE_CHECKING

from openai import OpenAIError

from margintool.judge.cost.prices import no_price
from margintool.judge.item import Request
from margintool.judge.journal.journal import Failure, Journal
from margintool.judge.reading.replies import Parse, make_reply, read_reply
from margintool.judge.running import faults
from margintool.judge.running.budget import Budget
from margintool.judge.running.client import open_client, served_by
from margintool.judge.running.commits import JournalThread
from margintool.judge.running.halt import Halt
from margintool.judge.running.interrupt import on_interrupt, run_loop
from margintool.judge.running.limits import Limits
from margintool.judge.running.records import RunOutcome, RunSettings, Why, reply_limit
from margintool.judge.running.tally import Tally
from margintool.judge.running.wire import Answer, Call, HaltedError, Watch, ask
from margintool.progress import Progress, no_progress
from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# So many failures in a row, or twice as many as are in flight, and the server counts as down.
_LEAST_FAILURES = 50


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
    if settings.max_cost is not None:
        for model in journal.models_waiting(wanted_only=wanted_only):
            if settings.prices.of(model) is None:
                raise InputError(f"--max-cost: {no_price(model)}")
    progress.start("judging", journal.count_waiting(wanted_only=wanted_only))
    return run_loop(lambda: _Run(journal, settings, wanted_only, parse, progress).run())


class _Run:
    def __init__(
        self,
        journal: Journal,
        settings: RunSettings,
        wanted_only: bool,
        parse: Parse,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._server = served_by(settings.base_url)
        self._parse = parse
        self._journal = JournalThread(journal, wanted_only=wanted_only)
        self._halt = Halt()
        self._tally = Tally(settings.prices, progress)
        self._limits = Limits(settings.rpm, settings.tpm)
        self._budget = (
            None if settings.max_cost is None else Budget(settings.max_cost, settings.prices)
        )
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
                call = Call()
                error = await self._send(client, request, call)
                self._tally.unseen += call.unseen
                if call.answer is not None:
                    await self._keep_reply(request, call.answer)
                elif error is not None:
                    await self._keep_failure(request, call, error)
                self._others_may_go.set()
        finally:
            self._others_may_go.set()

    async def _send(self, client: "AsyncOpenAI", request: Request, call: Call) -> Exception | None:
        """Send a request; the reply is then in `call`. Return what made it fail, if anything."""
        try:
            with self._halt.working_on(call):
                await self._set_aside(request, call)
                await ask(client, call, request.body)
        except (asyncio.CancelledError, HaltedError):
            # A reply that had come is in `call` all the same.
            self._halt.stop("interrupted", None)
        except (OpenAIError, UnicodeError) as error:
            return error
        finally:
            if self._budget is not None:
                await self._budget.settle(call)
        return None

    async def _set_aside(self, request: Request, call: Call) -> None:
        """Wait for the tokens and the money that a request may need."""
        if self._budget is None and self._settings.tpm is None:
            return
        tokens = self._settings.count_tokens(request)
        if self._budget is not None and not await self._budget.set_aside(call, request, tokens):
            self._money_is_out()
            raise HaltedError
        await self._limits.tokens(tokens + reply_limit(request.body))

    async def _before_try(self, call: Call) -> None:
        await self._limits.request()
        if call.unseen and self._budget is not None and not self._budget.covers_retry(call):
            self._money_is_out()
        if self._halt:
            raise HaltedError

    async def _keep_reply(self, request: Request, answer: Answer) -> None:
        reply = make_reply(
            request,
            answer.payload,
            self._settings.key.hide(answer.raw),
            parse=self._parse,
            seconds=answer.seconds,
            served_by=self._server,
        )
        await self._journal.keep(reply)
        self._tally.answered(request.model, reply)

    async def _keep_failure(self, request: Request, call: Call, error: Exception) -> None:
        message = faults.stops_the_run(error, request.model, self._server)
        if message is not None:
            self._halt.stop("fatal", self._settings.key.hide(message))
            return
        kind = faults.kind(error, call)
        words = self._settings.key.hide(f"{kind}: {faults.said(error)}")
        await self._journal.keep(Failure(request.key, words, call.tries))
        self._tally.failed(kind)
        most = max(_LEAST_FAILURES, 2 * self._settings.concurrency)
        if self._tally.failed_in_a_row >= most:
            self._halt.stop("failures", _DOWN.format(n=most, server=self._server, words=words))

    def _money_is_out(self) -> None:
        self._halt.stop(
            "max_cost",
            f"stopped before more than --max-cost {self._settings.max_cost:g} USD could be spent. "
            "Replies so far are kept; give the command again to go on",
        )


_DOWN = (
    "{n} requests in a row failed, each after its retries; the last: {words}. Is {server} all "
    "right? Replies so far are kept; give the command again to go on"
)
