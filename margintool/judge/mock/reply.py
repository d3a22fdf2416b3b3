"""The stand-in judge's reply: a verdict in words or under a schema, as a chat completion."""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from margintool.judge.mock.quality import (
    mock_exact,
    mock_gap,
    rating_probabilities,
    rounded,
    verdict_of,
    winner_probabilities,
)
from margintool.judge.mock.question import Question

# Digits stand alone, as in OpenAI's tokenizers; every character belongs to one token.
_TOKEN = re.compile(r"\d{1,3}| ?[^\W\d]+|\s|[^\w\s]+")
_SURE = -0.01  # log-probability of a token that is no rating
_OUT_OF_SCALE = "97"
_numbers = count(1)


@dataclass(frozen=True)
class Drawn:
    """A rating or a winner as it is said, with the probability of everything sayable there."""

    said: str
    chances: Mapping[str, float]


# A reply in parts: plain text, or a verdict, whose token gets probabilities of its own.
Part = str | Drawn


def write_reply(
    question: Question, model: str, *, position_bias: float, draw: int, fault: str | None
) -> list[Part]:
    """Return the parts of a reply, in its order.

    Args:
        question: what is asked.
        model: one of quality.MODELS.
        position_bias: see quality.mock_verdict.
        draw: 0, 1, ... for draws of the same question.
        fault: `no-verdict` or `out-of-scale` spoils the reply; any other is not seen here.
    """
    if fault == "no-verdict":
        return ["Both sides have something to say for themselves, and it is hard to tell."]
    values = _values(question, model, position_bias=position_bias, draw=draw)
    if fault == "out-of-scale":
        values = _out_of_scale(values)
    if question.schema is not None:
        return list(_json_parts(_filled(question.schema, values)))
    return _text_parts(question, values)


def _values(question: Question, model: str, *, position_bias: float, draw: int) -> dict[str, Any]:
    """Return the verdict's fields, by the names that the schemas give them."""
    if question.mode == "other":
        return {}
    if question.mode == "pair":
        first, second = question.answers
        gap = mock_gap(first, second, model=model, position_bias=position_bias, draw=draw)
        winner, strength, _ = verdict_of(gap)
        return {
            "rationale": f"A begins {_quoted(first)}, B begins {_quoted(second)}.",
            "winner": Drawn(winner, winner_probabilities(gap)),
            "strength": strength,
        }
    (answer,) = question.answers
    if question.mode == "single":
        return _rated(question, answer, model, aspect=None, draw=draw)
    return {
        name: _rated(question, answer, model, aspect=name, draw=draw) for name in question.aspects
    }


def _rated(
    question: Question, answer: str, model: str, *, aspect: str | None, draw: int
) -> dict[str, Any]:
    exact = mock_exact(answer, question.scale, model=model, aspect=aspect, draw=draw)
    rationale = f"It begins {_quoted(answer)}; more distinct words get a higher rating."
    chances = {str(r): p for r, p in rating_probabilities(exact, question.scale).items()}
    return {"rationale": rationale, "rating": Drawn(str(rounded(exact)), chances)}


def _quoted(answer: str) -> str:
    # Judges quote what they judge, so a parser must not take a rating out of the quotation.
    return '"' + " ".join(answer.split())[:40] + '"'


def _out_of_scale(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with a rating, or in pair mode a winner, that was not offered."""
    if "winner" in values:
        return {**values, "winner": Drawn("D", {"D": 1.0})}
    wrong = Drawn(_OUT_OF_SCALE, {_OUT_OF_SCALE: 1.0})
    if "rating" in values:
        return {**values, "rating": wrong}
    return {name: {**value, "rating": wrong} for name, value in values.items()}


def _text_parts(question: Question, values: dict[str, Any]) -> list[Part]:
    if question.mode == "other":
        return ["This is a stand-in judge; it only judges answers."]
    if question.mode == "pair":
        winner = values["winner"]
        much = "" if winner.said == "tie" else f", {values['strength']}"
        return [f"{values['rationale']}\nVerdict: [[", winner, f"{much}]]"]
    if question.mode == "single":
        return [f"{values['rationale']}\nRating: [[", values["rating"], "]]"]
    parts: list[Part] = []
    for name, value in values.items():
        parts += [f"{value['rationale']}\n{name}: [[", value["rating"], "]]\n"]
    return parts


def _filled(schema: Mapping[str, Any], values: Any) -> Any:
    """Return a value of the schema, `values` where they have a name of its fields."""
    if isinstance(values, str | Drawn):
        return values
    kind = schema.get("type")
    if kind == "object":
        known = values or {}
        return {name: _filled(part, known.get(name)) for name, part in schema["properties"].items()}
    if "enum" in schema:
        return schema["enum"][0]
    return {"string": "", "number": 1, "integer": 1, "boolean": True, "array": []}.get(kind or "")


def _json_parts(value: Any) -> Iterator[Part]:
    if isinstance(value, Drawn):
        quote = "" if value.said.isdigit() else '"'
        yield from (quote, value, quote)
    elif isinstance(value, dict):
        yield "{"
        for i, (name, field) in enumerate(value.items()):
            yield (", " if i else "") + json.dumps(name) + ": "
            yield from _json_parts(field)
        yield "}"
    else:
        yield json.dumps(value, ensure_ascii=False)


def completion(
    question: Question, body: Mapping[str, Any], parts: list[Part], fault: str | None
) -> dict[str, Any]:
    """Return the chat completion that says `parts`.

    Args:
        question: what is asked.
        body: the request's body: the model, the token limit, logprobs.
        parts: from `write_reply`.
        fault: `refusal`, `filtered`, `truncated` or `empty` spoils the message.
    """
    tokens = list(_tokens(parts))
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    finish = "stop"
    if fault == "truncated":
        tokens, finish = tokens[: len(tokens) // 3], "length"
    elif fault in ("empty", "filtered", "refusal"):
        tokens, finish = [], "content_filter" if fault == "filtered" else "stop"
    elif limit is not None and len(tokens) > limit:
        tokens, finish = tokens[:limit], "length"
    said: str | None = "".join(text for text, _ in tokens)
    refusal = None
    if fault == "refusal":
        refusal = "I'm sorry, I cannot judge this."
        # Servers without structured output have no field for a refusal: it is the reply.
        said, refusal = (None, refusal) if question.schema is not None else (refusal, None)
    shown = _logprobs(tokens, body.get("top_logprobs") or 0) if body.get("logprobs") else None
    prompt = math.ceil(question.length / 4)
    return {
        "id": f"chatcmpl-mock-{next(_numbers)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said, "refusal": refusal},
                "logprobs": shown,
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": len(tokens),
            "total_tokens": prompt + len(tokens),
        },
    }


def _tokens(parts: list[Part]) -> Iterator[tuple[str, Drawn | None]]:
    for part in parts:
        if isinstance(part, Drawn):
            yield part.said, part
        else:
            yield from ((text, None) for text in _TOKEN.findall(part))


def _logprobs(tokens: list[tuple[str, Drawn | None]], top: int) -> dict[str, Any]:
    return {"content": [_token_logprobs(text, drawn, top) for text, drawn in tokens]}


def _token_logprobs(text: str, drawn: Drawn | None, top: int) -> dict[str, Any]:
    if drawn is None:
        others = {text: _SURE, " the": -6.0, "\n": -7.0}
    else:
        others = {other: math.log(p) for other, p in drawn.chances.items() if p > 1e-12}
    # Equal chances: the token that was said comes first, as the one that was taken.
    ranked = sorted(others.items(), key=lambda item: (-item[1], item[0] != text))
    return {
        **_token(text, others[text]),
        "top_logprobs": [_token(other, logprob) for other, logprob in ranked[:top]],
    }


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode(errors="replace"))}
