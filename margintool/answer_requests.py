"""The body of a request for an answer, in the form that a server takes. Read by answer_server.py.

A server is first asked with `max_tokens`, which all but OpenAI's newest models know: a limit that a
server passes over is no limit. What it refuses is said in judge/running/refusal.py's words, for
judges are asked by the same protocol.
"""

import logging
from typing import Any

import openai

from margintool.judge.item import Dialect
from margintool.judge.running.refusal import about_size, named, without
from mmpo_core.generation.asked import Asked

logger = logging.getLogger("mmpo_core.answers")

_REFUSALS = (400, 422)
_SAID = {
    "token_limit": "takes max_completion_tokens and not max_tokens: asked so from here on",
    "temperature": (
        "takes no temperature but its own: answers are drawn at that, and the report counts them "
        "as own_temperature"
    ),
}


class Requests:
    """Makes request bodies; learns from refusals.

    Args:
        model: as the server names it.
        served_by: the address, for messages.
    """

    def __init__(self, model: str, served_by: str) -> None:
        self._model, self._served_by = model, served_by
        # What may still be at fault. Here its token_limit stands for a switch not yet made.
        self._untried = Dialect(structured=False, logprobs=False)

    def body(self, asked: Asked) -> dict[str, Any]:
        """Return the body of POST /chat/completions. Of a seed servers make what they can."""
        sampling, switched = asked.sampling, self._untried.token_limit == "max_tokens"
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [dict(message) for message in asked.messages],
            "max_completion_tokens" if switched else "max_tokens": sampling.max_new_tokens,
            "seed": int(asked.draws().integers(2**31)),
        }
        if self._untried.temperature:
            body["temperature"] = sampling.temperature
        return body if sampling.top_p == 1 else {**body, "top_p": sampling.top_p}

    def mended(
        self, error: Exception, asked: Asked, refused: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return a body in place of a refused one, or None where its form is not at fault."""
        if not isinstance(error, openai.APIStatusError) or error.status_code not in _REFUSALS:
            return None
        name = None if about_size(error) else named(error, self._untried)
        if name is not None:
            self._untried = without(self._untried, name)
            logger.warning("%s: %s %s", self._served_by, self._model, _SAID[name])
        # one that was under way while another's refusal was heard is asked again as well
        body = self.body(asked)
        return None if body == refused else body
