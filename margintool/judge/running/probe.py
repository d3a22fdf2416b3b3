"""How a server wants to be asked for a model: found by a few small questions, then kept.

Servers that speak OpenAI's language differ in what they take: a JSON schema, a temperature, the
name of the token limit, log-probabilities. What one refuses is left out and asked again; what it
takes without a word but does not heed shows in its reply. Read by enquire.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import openai

from margintool.judge.asking.asker import TOP_LOGPROBS
from margintool.judge.asking.fence import fenced
from margintool.judge.asking.schemas import response_format
from margintool.judge.cost.tokens import counter, most_body_tokens
from margintool.judge.item import Dialect
from margintool.judge.journal.records import Aside, Usage
from margintool.judge.reading.replies import used
from margintool.judge.running import faults
from margintool.judge.running.budget import OUT_OF_MONEY, Budget, budget_of
from margintool.judge.running.client import open_client, served_by
from margintool.judge.running.interrupt import run_loop
from margintool.judge.running.limits import Limits
from margintool.judge.running.records import RunSettings
from margintool.judge.running.refusal import WITHOUT, about_size, named, without
from margintool.judge.running.wire import Answer, Call, HaltedError, Watch, ask
from margintool.judge.task import SCALES, Task
from margintool.progress import Progress, no_progress
from mmpo_core.errors import InputError, UnfinishedError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# Enough for a model that thinks first.
REPLY_TOKENS = 2048
# Each try may take the whole --timeout, and nothing else goes on meanwhile.
_MOST_RETRIES = 2
_FENCE = "5d3b0a97c81e624f"
_TASK = Task("single", SCALES["single"])
# Asked in turn until a reply shows whether the schema holds: a judge may refuse one of them.
_ANSWERS = ("Paris.", "The capital of France is Paris.", "It is Paris, on the Seine.")
# What servers answer to a field that they do not take; a few fail over it instead.
_REFUSALS = (400, 422, 500, 501)


@dataclass(frozen=True)
class Probed:
    """What was found out, and what it took.

    Args:
        dialect: what the server takes.
        requests: questions sent, refused ones too.
        aside: what those that were answered used.
    """

    dialect: Dialect
    requests: int
    aside: Aside


def ask_dialect(
    settings: RunSettings,
    model: str,
    *,
    max_tokens: int = REPLY_TOKENS,
    aside: Sequence[Aside] = (),
    progress: Progress = no_progress,
) -> Probed:
    """Ask a server how it wants to be asked for a model.

    Everything is tried, whatever this run needs: what is found is kept for later runs.

    Args:
        settings: whom to ask.
        model: the judge.
        max_tokens: the limit of the run's replies, for a server that takes no larger one.
        aside: what probes before this one used of --max-cost.
        progress: told that this goes on.

    Raises:
        InputError: if the server cannot be asked at all, with what to do; with --max-cost for a
            model without a price.
        UnfinishedError: if a question could cost more than is left of --max-cost.
    """
    settings.check_prices([model])
    progress.start("asking the server how it wants to be asked", None)
    return run_loop(lambda: _ask_dialect(settings, model, max_tokens, budget_of(settings, aside)))


async def _ask_dialect(
    settings: RunSettings, model: str, max_tokens: int, budget: Budget | None
) -> Probed:
    limits = Limits(settings.rpm, None)

    async def before(call: Call) -> None:
        await limits.request()
        if call.unseen and budget is not None and not budget.covers_retry(call):
            raise HaltedError

    retries = min(settings.retries, _MOST_RETRIES)
    client = open_client(
        settings.base_url,
        settings.key,
        Watch(settings.timeout, before),
        concurrency=1,
        retries=retries,
    )
    async with client:
        probe = _Probe(client, model, served_by(settings.base_url), max_tokens, budget)
        try:
            dialect = await probe.run()
        except HaltedError:
            raise UnfinishedError(OUT_OF_MONEY.format(most=settings.max_cost)) from None
        except openai.OpenAIError as error:
            raise InputError(settings.key.hide(probe.words(error))) from None
    return Probed(dialect, probe.requests, probe.aside)


class _Probe:
    def __init__(
        self,
        client: "AsyncOpenAI",
        model: str,
        server: str,
        max_tokens: int,
        budget: Budget | None,
    ) -> None:
        self._client = client
        self._model = model
        self._server = server
        self._max_tokens = max_tokens
        self._reply_tokens = REPLY_TOKENS
        self._budget = budget
        self._gone_before = 0.0 if budget is None else budget.gone
        self._answered = self._prompt = self._completion = self._untold = self._unseen = 0
        self.requests = 0

    @property
    def aside(self) -> Aside:
        """What the questions used so far."""
        return Aside(
            self._model,
            Usage(self._answered, self._prompt, self._completion, self._untold),
            self._unseen,
            0.0 if self._budget is None else self._budget.gone - self._gone_before,
        )

    async def run(self) -> Dialect:
        """Return what the server takes and heeds."""
        dialect, first = await self._accepted()
        answers = [first]
        if dialect.structured:
            for text in _ANSWERS[1:]:
                if _heeds_schema(answers[-1]):
                    break
                answers.append(await self._ask(dialect, text))
        return replace(
            dialect,
            structured=dialect.structured and _heeds_schema(answers[-1]),
            logprobs=dialect.logprobs and any(map(_has_logprobs, answers)),
        )

    async def _accepted(self) -> tuple[Dialect, Answer]:
        """Return the richest dialect that the server does not refuse, and its reply."""
        dialect = Dialect()
        while True:
            try:
                return dialect, await self._ask(dialect, _ANSWERS[0])
            except openai.APIStatusError as error:
                self._raise_if_no_refusal(error)
                refusal = error
            if about_size(refusal) and self._max_tokens < self._reply_tokens:
                self._reply_tokens = self._max_tokens
                continue
            name = named(refusal, dialect)
            if name is None:
                return await self._tracked_down(dialect, refusal)
            dialect = without(dialect, name)

    async def _tracked_down(
        self, dialect: Dialect, refusal: openai.APIStatusError
    ) -> tuple[Dialect, Answer]:
        """Look for the one field that a refusal does not name, else leave all out."""
        for fewer in (*(without(dialect, name) for name in WITHOUT), Dialect(**WITHOUT)):
            try:
                answer = await self._ask(fewer, _ANSWERS[0])
            except openai.APIStatusError as error:
                self._raise_if_no_refusal(error)
                continue
            # A server that failed may have done so for another reason: does it do so again?
            again = await self._if_taken(dialect) if refusal.status_code >= 500 else None
            return (fewer, answer) if again is None else (dialect, again)
        raise refusal

    async def _if_taken(self, dialect: Dialect) -> Answer | None:
        try:
            return await self._ask(dialect, _ANSWERS[0])
        except openai.APIStatusError as error:
            self._raise_if_no_refusal(error)
            return None

    async def _ask(self, dialect: Dialect, text: str) -> Answer:
        body = _body(self._model, dialect, text, self._reply_tokens)
        call = Call()
        try:
            if self._budget is not None:
                prompt = most_body_tokens(body, counter(self._model))
                if not await self._budget.set_aside(call, self._model, prompt, self._reply_tokens):
                    raise HaltedError
            return await ask(self._client, call, body)
        finally:
            self._count(call)
            if self._budget is not None:
                await self._budget.settle(call)

    def _count(self, call: Call) -> None:
        self.requests += call.tries
        self._unseen += call.unseen
        if call.answer is None:
            return
        prompt, completion = used(call.answer.payload)
        self._answered += 1
        self._prompt += prompt or 0
        self._completion += completion or 0
        self._untold += prompt is None or completion is None

    def _raise_if_no_refusal(self, error: openai.APIStatusError) -> None:
        if error.status_code not in _REFUSALS:
            raise error
        if faults.stops_the_run(error, self._model, self._server):
            raise error

    def words(self, error: openai.OpenAIError) -> str:
        """Return what to tell the user about an error that ended the probe."""
        return faults.stops_the_run(error, self._model, self._server) or (
            f"{self._server}: does not answer a small question to {self._model!r} "
            f"({faults.said(error)})"
        )


def _body(model: str, dialect: Dialect, text: str, reply_tokens: int) -> dict[str, Any]:
    """Return a small question. It does not mention JSON: only the schema asks for that."""
    question = (
        f"How good is this answer to 'What is the capital of France?', from 1 to 10?\n"
        f"{fenced('ANSWER', text, _FENCE)}\nGive a reason in a few words, then the rating."
    )
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        dialect.token_limit: reply_tokens,
    }
    if dialect.temperature:
        body["temperature"] = 0.0
    if dialect.logprobs:
        body.update(logprobs=True, top_logprobs=TOP_LOGPROBS)
    if dialect.structured:
        body["response_format"] = response_format(_TASK)
    return body


def _content(answer: Answer) -> tuple[str, Mapping[str, Any]]:
    """Return a reply's text, and its choice."""
    choice = answer.payload["choices"][0]
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return (content if isinstance(content, str) else ""), choice


def _heeds_schema(answer: Answer) -> bool:
    """Whether a reply follows the schema, as far as it goes."""
    text, choice = _content(answer)
    if choice.get("finish_reason") == "length":
        # A model that was cut while it still thought has an empty reply; one that was cut in
        # its reply shows how that starts.
        return not text.strip() or text.lstrip().startswith("{")
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and found.keys() == {"rationale", "rating"}


def _has_logprobs(answer: Answer) -> bool:
    _, choice = _content(answer)
    found = choice.get("logprobs")
    return isinstance(found, dict) and bool(found.get("content"))
