"""The records that pass between the parts of the judge. READ THIS FIRST in this package."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from margintool.judge.task import Task


@dataclass(frozen=True)
class Item:
    """What one request shows to a judge.

    Args:
        prompt: the last user message.
        history: system message and earlier turns, oldest first: {"role": ..., "content": ...}.
        answers: one answer, or in `pair` mode two, in the order in which they are shown.
        reference: a reference answer to judge by, or None.
    """

    prompt: str
    history: tuple[Mapping[str, str], ...]
    answers: tuple[str, ...]
    reference: str | None = None


@dataclass(frozen=True)
class Dialect:
    """How a server wants to be asked: found once per server and model, kept in the journal.

    Args:
        structured: whether it takes `response_format` with a JSON schema; else a text format.
        temperature: whether it takes a temperature other than its own.
        token_limit: the field that limits the reply's tokens.
        logprobs: whether it takes `logprobs` and `top_logprobs`.
    """

    structured: bool = True
    temperature: bool = True
    token_limit: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    logprobs: bool = True


@dataclass(frozen=True)
class Request:
    """One question to one judge.

    Args:
        key: 32 hex digits, a hash of the rendered messages, the model, the parameters and the
            draw. Equal keys are one question, asked once. The order of two answers is part of
            the messages, and so of the key.
        model: the judge.
        task: what it is asked for.
        draw: 0, 1, ... for repeated draws of the same question.
        fence: the random delimiter around answers in this request's messages.
        body: the body of POST /chat/completions.
    """

    key: str
    model: str
    task: Task
    draw: int
    fence: str
    body: Mapping[str, Any]


Source = Literal["json", "text", "logprobs"]


@dataclass(frozen=True)
class Verdict:
    """What a reply says. A verdict without a value has a reason: it is null, never a number.

    Args:
        value: the rating on the task's scale (the mean over aspects in `aspects` mode); in
            `pair` mode the signed strength, > 0 where the answer shown first is better.
        read_from: where the value was read: a JSON reply, text, or token log-probabilities.
        aspects: the ratings by aspect, else empty.
        rationale: the judge's words, where the reply has them apart.
        reason: one of REASONS where value is None, else None.
        detail: the reason in words, with what was found.
    """

    value: float | None
    read_from: Source = "text"
    aspects: Mapping[str, float] | None = None
    rationale: str | None = None
    reason: str | None = None
    detail: str | None = None


ONE_ORDER = "judge_one_order"
ONE_SIDE = "judge_one_side"
# Why a reply, or a pair of them, has no value: for rejects, `judge status` and the docs.
REASONS: dict[str, str] = {
    "judge_empty": "the reply is empty",
    "judge_refused": "the judge refused to answer",
    "judge_filtered": "the server's content filter cut the reply",
    "judge_truncated": "the reply ended at the token limit before a verdict",
    "judge_no_verdict": "the reply holds no verdict in the asked form",
    "judge_out_of_scale": "the rating lies outside the scale",
    "judge_failed": "no reply: the request failed after its retries",
    "judge_not_asked": "the request was not sent before the run stopped",
    ONE_SIDE: "no judge has a rating of both answers",
    ONE_ORDER: "only one of the two orders has a verdict",
}


@dataclass(frozen=True)
class Reply:
    """An answered request, as it is stored.

    Args:
        key: the request's key.
        raw: the chat completion's JSON as received.
        verdict: what parse.py read in it.
        prompt_tokens, completion_tokens: the server's own count; None where it gave none.
        finish_reason: the server's, such as `stop` or `length`; None where it gave none.
        seconds: from sending to the whole reply, the last try only.
        served_by: the base URL that was asked.
    """

    key: str
    raw: str
    verdict: Verdict
    prompt_tokens: int | None
    completion_tokens: int | None
    finish_reason: str | None
    seconds: float
    served_by: str
