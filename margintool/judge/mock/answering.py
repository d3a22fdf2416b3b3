"""From the body of a chat completion to its answer, without HTTP: the chat route and batches."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from margintool.judge.mock.errors import ApiError
from margintool.judge.mock.faults import FaultPlan, parse_faults
from margintool.judge.mock.quality import MODELS
from margintool.judge.mock.question import Question, read_question
from margintool.judge.mock.reply import completion, write_reply
from margintool.judge.mock.settings import MockOptions


class Answering:
    """Answers bodies, and remembers how often it saw each message.

    Args:
        options: how the stand-in behaves.

    Raises:
        InputError: if `options.faults` cannot be read.
    """

    def __init__(self, options: MockOptions) -> None:
        self.options = options
        self.plan = FaultPlan(parse_faults(options.faults), options.seed, options.batch_error_share)
        self._tries: Counter[tuple[str, str]] = Counter()
        self._draws: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def read(self, body: Any) -> Question:
        """Return what a body asks, if this server takes it.

        Raises:
            ApiError: 400 or 404 in OpenAI's words, otherwise.
        """
        self._check(body)
        try:
            return read_question(body)
        except (KeyError, TypeError, AttributeError) as error:
            raise ApiError(400, f"The body has an unknown form: {error!r}") from error

    def attempt(self, question: Question, where: str) -> int:
        """Count a try of a message (`where` it is tried) and return its number: 0, 1, ..."""
        seen = (where, question.message)
        self._tries[seen] += 1
        return self._tries[seen] - 1

    def answer(self, question: Question, body: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Return the chat completion and the content fault in it, `` if none."""
        fault = self.plan.content(question.key) if question.mode != "other" else None
        parts = write_reply(
            question,
            body["model"],
            position_bias=self.options.position_bias,
            draw=self._draw(question, body),
            fault=fault,
        )
        return completion(question, body, parts, fault), fault or ""

    def _draw(self, question: Question, body: Mapping[str, Any]) -> int:
        """Return which draw of a question this is; at temperature 0 they are all the first.

        Draws of a question differ in their fences, and a message that is sent again is the same
        draw again. Without a fence each answer is a new draw.
        """
        if not body.get("temperature"):
            return 0
        seen = self._draws[question.key]
        name = question.message if question.fenced else str(len(seen))
        return seen.setdefault(name, len(seen))

    def _check(self, body: Any) -> None:
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            raise ApiError(400, "Missing required parameter: 'messages'.", param="messages")
        model = body.get("model")
        if model not in MODELS:
            raise ApiError(
                404,
                f"The model `{model}` does not exist or you do not have access to it.",
                code="model_not_found",
            )
        self._check_dialect(body)

    def _check_dialect(self, body: Mapping[str, Any]) -> None:
        options = self.options
        if not options.structured and "response_format" in body:
            raise _unsupported("response_format")
        if not options.logprobs and body.get("logprobs"):
            raise _unsupported("logprobs")
        if not options.max_completion_tokens and "max_completion_tokens" in body:
            raise _unsupported("max_completion_tokens")
        if not options.temperature and body.get("temperature", 1) != 1:
            raise ApiError(
                400,
                "Unsupported value: 'temperature' does not support "
                f"{body['temperature']} with this model. Only the default (1) value is supported.",
                code="unsupported_value",
                param="temperature",
            )
        if body.get("stream") or body.get("n", 1) != 1:
            raise _unsupported("stream" if body.get("stream") else "n")


def _unsupported(field: str) -> ApiError:
    return ApiError(
        400,
        f"Unsupported parameter: '{field}' is not supported with this model.",
        code="unsupported_parameter",
        param=field,
    )
