"""From an item to the request that is sent: its key, its fence, the body of the HTTP call.

Read by panel.py, which asks for every judge, draw and order.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

from margintool.judge.asking.fence import fence_of
from margintool.judge.asking.prompts import Wording
from margintool.judge.asking.schemas import response_format
from margintool.judge.item import Dialect, Item, Request
from margintool.judge.options import ReplyFormat
from mmpo_core.errors import InputError

# Stands for the fence in the messages that a key is made of, so that a question keeps its key
# under every salt. It is never sent.
KEY_FENCE = "0123456789abcdef"
TOP_LOGPROBS = 20  # the most that OpenAI's API takes


def effective_temperature(temperature: float | None, samples: int) -> float:
    """Return the sampling temperature: as given, else 0 for one draw and 1 for several.

    Raises:
        InputError: for several draws at temperature 0, which would be one answer paid for again
            and again.
    """
    if temperature is None:
        return 0.0 if samples == 1 else 1.0
    if temperature == 0 and samples > 1:
        raise InputError(
            f"--samples {samples} at --temperature 0 would draw one answer {samples} times; "
            f"leave --temperature out, or give one > 0"
        )
    return float(temperature)


def orders(item: Item) -> tuple[Item, Item]:
    """Return a pair in both orders: as it is, and with its answers exchanged."""
    first, second = item.answers
    return item, replace(item, answers=(second, first))


@dataclass(frozen=True)
class Asker:
    """Asks one judge one kind of question.

    Args:
        wording: the question.
        model: the judge, as its server names it.
        dialect: what the server takes. What it does not take is left out of requests; keys do
            not depend on it, so that a question stays the same whoever answers it.
        reply_format: json or text, or auto for whichever the dialect has.
        temperature: of sampling; None leaves it to the server.
        max_tokens: limit of the reply.
        logprobs: whether to ask for log-probabilities.
        salt: the journal's secret, from which fences are made.
    """

    wording: Wording
    model: str
    dialect: Dialect
    temperature: float | None
    max_tokens: int
    logprobs: bool
    salt: str
    reply_format: ReplyFormat = "auto"

    def key(self, item: Item, draw: int = 0) -> str:
        """Return the 32 hex digits of the question about an item.

        Blake2b over the messages, the model, the parameters as asked for, the draw and the task.
        """
        structured = self.reply_format != "text"
        messages = self.wording.messages(item, fence=KEY_FENCE, structured=structured)
        asked = json.dumps([messages, draw])
        return blake2b(f"{asked}{self._asked}".encode(), digest_size=16).hexdigest()

    def request(self, item: Item, draw: int = 0, key: str | None = None) -> Request:
        """Return the request about an item.

        Args:
            item: one answer, or two in `pair` mode in the order to show them.
            draw: 0, 1, ... for repeated draws.
            key: the question's, where it is known already.
        """
        key = key or self.key(item, draw)
        fence = fence_of(key, self.salt)
        messages = self.wording.messages(item, fence=fence, structured=self._structured)
        body = {"model": self.model, "messages": messages, **self._parameters}
        return Request(key, self.model, self.wording.task, draw, fence, body)

    @property
    def _structured(self) -> bool:
        if self.reply_format == "auto":
            return self.dialect.structured
        return self.reply_format == "json"

    @cached_property
    def _parameters(self) -> dict[str, Any]:
        """The body beside model and messages."""
        found: dict[str, Any] = {self.dialect.token_limit: self.max_tokens}
        if self.temperature is not None and self.dialect.temperature:
            found["temperature"] = self.temperature
        if self.logprobs and self.dialect.logprobs:
            found.update(logprobs=True, top_logprobs=TOP_LOGPROBS)
        if self._structured:
            found["response_format"] = response_format(self.wording.task)
        return found

    @cached_property
    def _asked(self) -> str:
        """What a key depends on beside messages and draw, as canonical JSON."""
        sent = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "logprobs": self.logprobs,
            "reply_format": self.reply_format,
            "task": self.wording.task.as_json(),
        }
        return json.dumps(sent, sort_keys=True)
