"""What a chat completion's body asks the stand-in judge: the mode, the answers, the form.

The mode comes from the response_format's schema where there is one, else from the fenced blocks
and the words around them. Nothing inside a fence is read as an instruction.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from margintool.judge.asking.fence import LABEL, unfenced
from margintool.judge.task import SCALES

_OPENING = re.compile(rf"^<<<{LABEL} ([0-9a-f]{{16}})$", re.MULTILINE)
# As reply_format.py words them.
_ASPECT_LINE = re.compile(r"^(.+): \[\[N\]\]$", re.MULTILINE)
_SCALE = re.compile(r"\bfrom (-?[\d.]+) to (-?[\d.]*\d)")


Asked = Literal["single", "pair", "aspects", "other"]


@dataclass(frozen=True)
class Question:
    """One body, understood.

    Args:
        mode: what is asked for; `other` is a chat message that asks for no judgment.
        answers: one answer, or two in `pair` mode, in the order shown.
        aspects: names of the aspects in `aspects` mode, else empty.
        scale: lowest and highest rating.
        schema: the JSON schema that the reply must follow, or None for text.
        key: a hash of the model and the messages without the fence's digits: the same for
            the same question in every journal.
        message: a hash of the model and the messages as sent.
        fenced: whether the messages have a fence.
        length: characters in the messages.
    """

    mode: Asked
    answers: tuple[str, ...]
    aspects: tuple[str, ...]
    scale: tuple[float, float]
    schema: Mapping[str, Any] | None
    key: str
    message: str
    fenced: bool
    length: int


def read_question(body: Mapping[str, Any]) -> Question:
    """Return what the body of POST /v1/chat/completions asks for."""
    texts = [_text_of(message.get("content")) for message in body["messages"]]
    whole = "\n".join(texts)
    fence = _fence(whole)
    blocks = dict(unfenced(whole, fence)) if fence else {}
    schema = _schema(body)
    if schema is None:
        words = _outside(whole, fence) if fence else whole
        mode, aspects = _mode_in_words(blocks, words)
    else:
        words = json.dumps(schema)
        mode, aspects = _mode_in_schema(schema)
    sent = json.dumps([body.get("model"), body["messages"]], sort_keys=True, ensure_ascii=False)
    return Question(
        mode=mode,
        answers=_answers(mode, blocks, texts),
        aspects=aspects,
        scale=_scale(mode, words),
        schema=schema,
        key=_hash(sent.replace(fence, "fence") if fence else sent),
        message=_hash(sent),
        fenced=fence is not None,
        length=len(whole),
    )


def message_hash(body: Mapping[str, Any]) -> str:
    """Return the hash by which GET /mock/stats counts answers: of model and messages as sent."""
    return read_question(body).message


def _hash(text: str) -> str:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _text_of(content: Any) -> str:
    """Return a message's text: a string, or the text parts of a list of parts."""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text") or "" for part in content or [])


def _fence(text: str) -> str | None:
    """Return the fence's digits. The first block opens before any text that others wrote."""
    found = _OPENING.search(text)
    return found.group(1) if found else None


def _outside(text: str, fence: str) -> str:
    """Return the text before the first block and after the last."""
    before, _, blocks = text.partition(f" {fence}\n")
    return before + blocks.rpartition(f" {fence}>>>")[2]


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return None
    schema: Mapping[str, Any] = wanted["json_schema"]["schema"]
    return schema


def _mode_in_schema(schema: Mapping[str, Any]) -> tuple[Asked, tuple[str, ...]]:
    fields = _fields(schema)
    if "winner" in fields:
        return "pair", ()
    if "rating" in fields:
        return "single", ()
    rated = tuple(name for name, kind in fields.items() if "rating" in _fields(kind))
    return ("aspects", rated) if rated else ("other", ())


def _mode_in_words(blocks: Mapping[str, str], words: str) -> tuple[Asked, tuple[str, ...]]:
    if "ANSWER A" in blocks:
        return "pair", ()
    if "ANSWER" not in blocks:
        return "other", ()
    aspects = tuple(name for name in _ASPECT_LINE.findall(words) if name != "Rating")
    return ("aspects" if aspects else "single"), aspects


def _fields(kind: Any) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = kind.get("properties", {})
    return fields


def _answers(mode: Asked, blocks: Mapping[str, str], texts: list[str]) -> tuple[str, ...]:
    if mode == "pair":
        return blocks.get("ANSWER A", ""), blocks.get("ANSWER B", "")
    return (blocks.get("ANSWER", texts[-1] if texts else ""),)


def _scale(mode: Asked, words: str) -> tuple[float, float]:
    """Return the scale named last in the instructions or the schema, else the mode's own."""
    found = _SCALE.findall(words)
    if found and mode in ("single", "aspects"):
        low, high = found[-1]
        return float(low), float(high)
    return SCALES["aspects" if mode == "aspects" else "single"]
