"""What a run is told and what it says in the end. Read by runner.py and by whoever starts it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from margintool.judge.cost.prices import Prices
from margintool.judge.item import Request
from margintool.judge.running.client import Secret

Why = Literal["max_cost", "fatal", "failures", "interrupted", "terminated"]
# As shells say that a signal ended a command.
_STATUS: dict[Why, int] = {"interrupted": 130, "terminated": 143}


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How requests are sent; see JudgeOptions for the fields of the same names.

    Args:
        key: from client.api_key.
        prices: prices of models, for --max-cost and the cost shown.
        count_tokens: the prompt tokens of a request; called only for --tpm and --max-cost.
    """

    base_url: str | None
    key: Secret
    concurrency: int
    rpm: int | None
    tpm: int | None
    timeout: float
    retries: int
    max_cost: float | None
    prices: Prices
    count_tokens: Callable[[Request], int]


@dataclass(frozen=True)
class RunOutcome:
    """What a run did.

    Args:
        answered: replies stored.
        failed: requests without a reply after their retries, by kind; they stay waiting.
        unreadable: replies stored that have no verdict, by reason (item.REASONS).
        prompt_tokens, completion_tokens: sums of the server's own counts.
        cost: US dollars for them; None where a model has no price.
        unseen: tries that the server may have been paid for though no readable reply came.
        seconds: from start to end.
        why: what stopped the run before its end, else None.
        stopped: the same for the user, with what to do, else None.
    """

    answered: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = 0.0
    unseen: int = 0
    seconds: float = 0.0
    why: Why | None = None
    stopped: str | None = None

    @property
    def status(self) -> int:
        """The exit status of a command that ends so."""
        return 0 if self.why is None else _STATUS.get(self.why, 1)


def reply_limit(body: Mapping[str, Any]) -> int:
    """Return the most tokens that a request's reply may have."""
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)
