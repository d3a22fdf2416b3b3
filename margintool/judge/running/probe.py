"""How a server wants to be asked for a model: found by a few small questions, then kept.

Servers that speak OpenAI's language differ in what they take: a JSON schema, a temperature, the
name of the token limit, log-probabilities. What one refuses is left out and asked again; what it
takes without a word but does not heed shows in its reply. Read by enquire.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import openai

from margintool.judge.asking.asker import TOP_LOGPROBS
from margintool.judge.asking.fence import fenced
from margintool.judge.asking.schemas import response_format
from margintool.judge.item import Dialect
from margintool.judge.reading.replies import used
from margintool.judge.running import faults
from margintool.judge.running.client import open_client, served_by
from margintool.judge.running.interrupt import run_loop
from margintool.judge.running.limits import Limits
from margintool.judge.running.records import RunSettings
from margintool.judge.running.wire import Answer, Call, Watch, ask
from margintool.judge.task import SCALES, Task
from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# Enough for a model that thinks first.
_REPLY_TOKENS = 2048
_FENCE = "5d3b0a97c81e624f"
_TASK = Task("single", SCALES["single"])
# Asked in turn until a reply shows whether the schema holds: a judge may refuse one of them.
_ANSWERS = ("Paris.", "The capital of France is Paris.", "It is Paris, on the Seine.")
# What servers answer to a field that they do not take; a few fail over it instead.
_REFUSALS = (400, 422, 500, 501)

# A field of Dialect -> its value where the server does not take it.
_WITHOUT: dict[str, Any] = {
    "token_limit": "max_tokens",
    "logprobs": False,
    "structured": False,
    "temperature": False,
}
# What a refusal names -> the field of Dialect that it is about; the first match counts.
_NAMED = (
    ("max_completion_tokens", "token_limit"),
    ("logprobs", "logprobs"),
    ("response_format", "structured"),
    ("json_schema", "structured"),
    ("json schema", "structured"),
    ("structured output", "structured"),
    ("guided", "structured"),
    ("grammar", "structured"),
    ("temperature", "temperature"),
)


@dataclass(frozen=True)
class Probed:
    """What was found out, and what it took.

    Args:
        dialect: what the server takes.
        requests: questions sent, refused ones too.
        prompt_tokens, completion_tokens: of those that were answered, where the server told.
    """

    dialect: Dialect
    requests: int
    prompt_tokens: int
    completion_tokens: int


def ask_dialect(settings: RunSettings, model: str) -> Probed:
    """Ask a server how it wants to be asked for a model.

    Everything is tried, whatever this run needs: what is found is kept for later runs.

    Raises:
        InputError: if the server cannot be asked at all, with what to do.
    """
    return run_loop(lambda: _ask_dialect(settings, model))


async def _ask_dialect(settings: RunSettings, model: str) -> Probed:
    limits = Limits(settings.rpm, None)

    async def before(_: Call) -> None:
        await limits.request()

    watch = Watch(settings.timeout, before)
    client = open_client(
        settings.base_url, settings.key, watch, concurrency=1, retries=settings.retries
    )
    async with client:
        probe = _Probe(client, model, served_by(settings.base_url))
        try:
            dialect = await probe.run()
        except openai.OpenAIError as error:
            raise InputError(settings.key.hide(probe.words(error))) from None
    return Probed(dialect, probe.requests, probe.prompt_tokens, probe.completion_tokens)


class _Probe:
    def __init__(self, client: "AsyncOpenAI", model: str, server: str) -> None:
        self._client = client
        self._model = model
        self._server = server
        self.requests = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0

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
            name = _named(refusal, dialect)
            if name is None:
                break
            dialect = _without(dialect, name)
        # The refusal does not say what it is about: look for the one field, else leave all out.
        for fewer in (*(_without(dialect, name) for name in _WITHOUT), Dialect(**_WITHOUT)):
            try:
                return fewer, await self._ask(fewer, _ANSWERS[0])
            except openai.APIStatusError as error:
                self._raise_if_no_refusal(error)
        raise refusal

    async def _ask(self, dialect: Dialect, text: str) -> Answer:
        call = Call()
        try:
            answer = await ask(self._client, call, _body(self._model, dialect, text))
        finally:
            self.requests += call.tries
        prompt, completion = used(answer.payload)
        self.prompt_tokens += prompt or 0
        self.completion_tokens += completion or 0
        return answer

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


def _body(model: str, dialect: Dialect, text: str) -> dict[str, Any]:
    """Return a small question. It does not mention JSON: only the schema asks for that."""
    question = (
        f"How good is this answer to 'What is the capital of France?', from 1 to 10?\n"
        f"{fenced('ANSWER', text, _FENCE)}\nGive a reason in a few words, then the rating."
    )
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        dialect.token_limit: _REPLY_TOKENS,
    }
    if dialect.temperature:
        body["temperature"] = 0.0
    if dialect.logprobs:
        body.update(logprobs=True, top_logprobs=TOP_LOGPROBS)
    if dialect.structured:
        body["response_format"] = response_format(_TASK)
    return body


def _named(error: openai.APIStatusError, dialect: Dialect) -> str | None:
    """Return the field, not yet left out, that a refusal is about; None if it does not say."""
    text = f"{error.param} {error.response.text}".lower()
    for words, name in _NAMED:
        if words in text and getattr(dialect, name) != _WITHOUT[name]:
            return name
    return None


def _without(dialect: Dialect, name: str) -> Dialect:
    return replace(dialect, **{name: _WITHOUT[name]})


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
