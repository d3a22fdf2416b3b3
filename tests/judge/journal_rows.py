"""Requests and replies for the journal's tests, numbered."""

import json
from typing import Any

from margintool.judge.item import Reply, Request, Verdict
from margintool.judge.task import Mode, Task

SERVER = "http://127.0.0.1:1/v1"
SINGLE = Task("single", (1.0, 10.0))
PAIR = Task("pair", (-3.0, 3.0))


def key(number: int) -> str:
    return f"{number:032x}"


def request(
    number: int, text: str = "Rate this.", *, model: str = "gpt-4o", mode: Mode = "single"
) -> Request:
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You judge."},
            {"role": "user", "content": text},
        ],
        "max_completion_tokens": 100,
    }
    return Request(key(number), model, SINGLE if mode == "single" else PAIR, 0, "f" * 16, body)


def raw(text: str) -> str:
    return json.dumps({"choices": [{"message": {"content": text}}]})


def reply(number: int, value: float | None = 7.0, **changes: Any) -> Reply:
    """Return a reply of 1000 + 100 tokens; without a value it was empty."""
    reason = "judge_empty" if value is None else None
    values: dict[str, Any] = {
        "raw": raw(f"Rating: [[{value}]]"),
        "verdict": Verdict(value, "text", None, None, reason),
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "finish_reason": "stop",
        "seconds": 0.25,
        "served_by": SERVER,
    }
    return Reply(key(number), **(values | changes))
