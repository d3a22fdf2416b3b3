"""The JSON schema of a verdict, for servers that make replies follow one (`response_format`).

Only what OpenAI's strict structured outputs take: every object closed, every member required.
The rationale comes before the rating, so that the rating can follow from it.
Read by asking/asker.py.
"""

from collections.abc import Callable
from typing import Any

from margintool.judge.asking.reply_format import bounds
from margintool.judge.task import STRENGTHS, Task

Schema = dict[str, Any]


def response_format(task: Task) -> Schema:
    """Return the value of `response_format` for a task."""
    schema = {"name": f"{task.mode}_verdict", "strict": True, "schema": _SCHEMAS[task.mode](task)}
    return {"type": "json_schema", "json_schema": schema}


def _closed(members: Schema) -> Schema:
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def _rationale() -> Schema:
    return {"type": "string", "description": "the reasons, in a few sentences"}


def _single(task: Task) -> Schema:
    # The bounds stand in the description: not every server takes `minimum` and `maximum`.
    rating = {"type": "number", "description": f"from {bounds(task)}"}
    return _closed({"rationale": _rationale(), "rating": rating})


def _pair(_: Task) -> Schema:
    winner = {"type": "string", "enum": ["A", "B", "tie"]}
    strength = {"type": "string", "enum": [*STRENGTHS, "equal"]}
    return _closed({"rationale": _rationale(), "winner": winner, "strength": strength})


def _aspects(task: Task) -> Schema:
    return _closed({name: _single(task) for name in task.aspects})


_SCHEMAS: dict[str, Callable[[Task], Schema]] = {
    "single": _single,
    "pair": _pair,
    "aspects": _aspects,
}
