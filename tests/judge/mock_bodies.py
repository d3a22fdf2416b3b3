"""Bodies for the tests of the stand-in judge, made by the code that makes the real ones."""

from typing import Any

from margintool.judge.asking.asker import Asker
from margintool.judge.asking.prompts import load_wording
from margintool.judge.item import Dialect, Item, Request
from margintool.judge.task import Mode

# One distinct word, three of them, and thirty.
ONE, THREE = "yes", "yes it is"
MANY = " ".join(f"word{i}" for i in range(30))


def request_of(
    mode: Mode,
    *answers: str,
    structured: bool = True,
    temperature: float = 0.0,
    logprobs: bool = False,
    salt: str = "salt",
    draw: int = 0,
) -> Request:
    """Return the request that asks about the answers."""
    asker = Asker(
        wording=load_wording(mode),
        model="mock-judge",
        dialect=Dialect(structured=structured),
        temperature=temperature,
        max_tokens=1024,
        logprobs=logprobs,
        salt=salt,
    )
    return asker.request(Item("Is it?", (), answers), draw)


def body_of(mode: Mode, *answers: str, changes: Any = None, **asking: Any) -> dict[str, Any]:
    """Return that request's body, with `changes` to its fields."""
    return {**request_of(mode, *answers, **asking).body, **(changes or {})}
