"""Answers from a server that speaks OpenAI's API. A source for mmpo_core/generation/fill.py.

Asked as judges are: the same client, retries and words for what goes wrong (judge/running/). Made
by answer_source.py.
"""

import asyncio
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from margintool.answer_requests import Requests
from margintool.judge.running import faults
from margintool.judge.running.client import Secret, api_key, open_client, served_by
from margintool.judge.running.failures import Failed
from margintool.judge.running.halt import Halt
from margintool.judge.running.interrupt import on_interrupt, run_loop
from margintool.judge.running.records import RunOutcome, Why
from margintool.judge.running.wire import Call, HaltedError, Watch, ask
from mmpo_core.errors import UnfinishedError
from mmpo_core.generation.asked import Answer, Asked
from mmpo_core.generation.fill import Keep

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# The options that faults.py names are those of a judge.
_OPTIONS = {
    "--judge-model": "the model's name",
    "--base-url": "--server-url",
    "--api-key-file": "--server-key-file",
}
_MOST_FAILURES = 50  # in a row, and the server counts as down
# A single refusal may be about its question, as 403 is where a proxy's moderation says no.
_MOST_REFUSED = 3
_SHOWN = 60  # characters of a question that failed, in messages


class AnswerServer:
    """A model behind an address.

    Its weights cannot be seen: answers are kept under the address and the model's name.

    Args:
        model: as the server names it.
        url: the address, as http://localhost:8000/v1.
        key_file: file with the API key; OPENAI_API_KEY if None, where the server wants one.
        concurrency: requests in flight.
        timeout: seconds to wait for an answer.
        retries: tries after the first.

    Raises:
        InputError: if the address or the key cannot be used.
    """

    def __init__(
        self,
        model: str,
        url: str,
        *,
        key_file: str | Path | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        retries: int = 5,
    ) -> None:
        self.model, self.url, self.served_by = model, url, served_by(url)
        self.key: Secret = api_key(key_file, url)
        self.concurrency, self.timeout, self.retries = concurrency, timeout, retries
        self.identity = f"server {self.served_by} {model}"

    def answer(self, asked: Sequence[Asked], missing: Collection[int], keep: Keep) -> None:
        """Answer what is missing; see fill.AnswerSource. Each answer is kept as it comes.

        Raises:
            UnfinishedError: if it was interrupted, the server refuses, or questions failed after
                their retries; what came is kept.
        """
        run = _Run(self, asked, iter(missing), keep)
        run_loop(run.run)
        run.check()


class _Run:
    def __init__(
        self, server: AnswerServer, asked: Sequence[Asked], left: Iterator[int], keep: Keep
    ) -> None:
        self._server, self._asked, self._left, self._keep = server, asked, left, keep
        self._halt = Halt()
        self._requests = Requests(server.model, server.served_by)
        self._failed: list[str] = []
        self._in_a_row = self._refused = self._answered = 0

    def check(self) -> None:
        """Raise UnfinishedError unless everything was answered."""
        if self._halt.message is not None:
            raise UnfinishedError(self._halt.message, RunOutcome(why=self._halt.why).status)
        if self._failed:
            raise UnfinishedError(
                f"questions without an answer: {len(self._failed):,}, the last: "
                f"{self._failed[-1]}. Answers so far are kept; give the command again to go on"
            )

    async def run(self) -> None:
        """Ask until nothing is left or the run is stopped."""
        server = self._server
        watch = Watch(server.timeout, self._before_try)
        client = open_client(
            server.url,
            server.key,
            watch,
            concurrency=server.concurrency,
            retries=server.retries,
        )
        async with client:
            with on_interrupt(self._on_signal):
                ender = asyncio.create_task(self._halt.give_up_calls(server.timeout))
                workers = [
                    asyncio.create_task(self._work(client)) for _ in range(server.concurrency)
                ]
                try:
                    await asyncio.gather(*workers)
                finally:
                    for task in (*workers, ender):
                        task.cancel()
                    await asyncio.gather(*workers, ender, return_exceptions=True)

    def _on_signal(self, number: signal.Signals) -> None:
        why: Why = "interrupted" if number == signal.SIGINT else "terminated"
        self._halt.stop(why, f"{why}. Answers so far are kept; give the command again to go on")

    async def _before_try(self, _: Call) -> None:
        if self._halt:
            raise HaltedError

    async def _work(self, client: "AsyncOpenAI") -> None:
        while not self._halt and (number := next(self._left, None)) is not None:
            answer = await self._ask(client, self._asked[number])
            if answer is not None:
                self._keep({number: answer})

    async def _ask(self, client: "AsyncOpenAI", asked: Asked) -> Answer | None:
        from openai import OpenAIError

        body: dict[str, Any] | None = self._requests.body(asked)
        while body is not None:
            call, sent = Call(), body
            try:
                with self._halt.working_on(call):
                    found = await ask(client, call, sent)
                break
            except (asyncio.CancelledError, HaltedError):
                self._halt.stop("interrupted", "interrupted. Give the command again to go on")
                return None
            except (OpenAIError, UnicodeError) as error:
                body = self._requests.mended(error, asked, sent)
                if body is None:
                    self._note(Failed.of(error, call), asked)
        else:
            return None
        answer = _answer(found.payload, sent)
        if answer is None:
            self._fail("a reply without text", asked, servers=False)
        else:
            self._in_a_row = 0
            self._answered += 1
        return answer

    def _note(self, failed: Failed, asked: Asked) -> None:
        """Count a failure; stop where every further question would meet the same."""
        server, hide = self._server, self._server.key.hide
        message = faults.stops_the_run(failed.error, server.model, server.served_by)
        if message is not None and faults.may_be_its_own(failed.error):
            self._refused += 1
            if self._answered or self._refused < _MOST_REFUSED:
                message = None
        if message is not None:
            for judges, own in _OPTIONS.items():
                message = message.replace(judges, own)
            self._halt.stop("fatal", hide(message))
            return
        words = hide(f"{failed.kind}: {faults.said(failed.error)}")
        self._fail(words, asked, servers=failed.servers)

    def _fail(self, words: str, asked: Asked, *, servers: bool) -> None:
        """Count a question without an answer; stop where none has a chance."""
        question = " ".join(asked.messages[-1]["content"].split())
        self._failed.append(f"{words} (to {question[:_SHOWN]!r})")
        # One question says nothing of the others, but that many do where nothing was answered.
        self._in_a_row += servers or not self._answered
        if self._in_a_row >= _MOST_FAILURES:
            self._halt.stop(
                "failures",
                f"{self._in_a_row} questions in a row failed, the last: {self._failed[-1]}. Is "
                f"{self._server.served_by} all right? Answers so far are kept",
            )


def _answer(payload: Mapping[str, Any], body: Mapping[str, Any]) -> Answer | None:
    """Return the answer in a chat completion to `body`, or None where it holds no text.

    A model that thinks first, and is ended before it answers, has answered nothing: asked again it
    would do the same.
    """
    choice = payload["choices"][0]
    finish = choice.get("finish_reason")
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else None
    if text is None and isinstance(message, Mapping) and finish == "length":
        text = ""
    if not isinstance(text, str):
        return None
    usage = payload.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
    return Answer(
        # half a surrogate pair, which JSON can hold, is no text: no file would take it
        text.encode(errors="replace").decode().strip(),
        "length" if finish == "length" else "stop",
        tokens if isinstance(tokens, int) else None,
        own_temperature="temperature" not in body,
    )
