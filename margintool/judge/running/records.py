"""What a run is told and what it says in the end. Read by runner.py and by whoever starts it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from margintool.judge.cost.prices import Prices, no_price
from margintool.judge.item import Request
from margintool.judge.running.client import Secret
from mmpo_core.errors import InputError

Why = Literal["max_cost", "fatal", "failures", "interrupted", "terminated"]
# As shells say that a signal ended a command.
_STATUS: dict[Why, int] = {"interrupted": 130, "terminated": 143}


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How requests are sent; see JudgeOptions for the fields of the same names.

    Args:
        key: from client.api_key.
        prices: prices of models, for --max-cost and the cost shown.
        count_tokens: the prompt tokens of a request; called only for --tpm.
        most_tokens: the same at most; called only for --max-cost.
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
    most_tokens: Callable[[Request], int]

    def check_prices(self, models: Iterable[str]) -> None:
        """Refuse a limit that cannot be kept, before anything is sent.

        Raises:
            InputError: with --max-cost for a model without a price.
        """
        if self.max_cost is None:
            return
        for model in models:
            if self.prices.of(model) is None:
                raise InputError(f"--max-cost: {no_price(model)}")


@dataclass(frozen=True)
class RunOutcome:
    """What a run did.

    Args:
        answered: replies stored.
        failed: requests without a reply after their retries, by kind; they stay waiting.
        unreadable: replies stored that have no verdict, by reason (item.REASONS).
        prompt_tokens, completion_tokens: sums of the server's own counts, with what was used to
            find out how to ask.
        cost: US dollars for them; None where a model has no price.
        untold: replies for which the server told no tokens, so that no cost is known.
        unseen: tries that the server may have been paid for though no readable reply came.
        aside: questions answered to find out how to ask, which the journal does not keep.
        seconds: from start to end.
        why: what stopped the run before its end, else None.
        stopped: the same for the user, with what to do, else None.
        last: what went wrong with the last request that failed.
    """

    answered: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = 0.0
    untold: int = 0
    unseen: int = 0
    aside: int = 0
    seconds: float = 0.0
    why: Why | None = None
    stopped: str | None = None
    last: str | None = None

    def lines(self) -> list[tuple[str, str]]:
        """Return (label, text) lines for the terminal."""
        cost = "no price known" if self.cost is None else f"USD {self.cost:,.4f}"
        tokens = f"{self.prompt_tokens:,} in, {self.completion_tokens:,} out ({cost})"
        asked = "" if not self.aside else f", after {self.aside:,} on how the server takes them"
        found = [
            ("answered", f"{self.answered:,} questions now, in {self.seconds:,.1f} s{asked}"),
            ("tokens", tokens),
        ]
        if self.untold:
            found.append(("cost unknown", f"of {self.untold:,} replies without a token count"))
        if self.unseen:
            found.append(("perhaps paid", f"{self.unseen:,} tries without a readable reply"))
        return found + counted_by_name("failed", self.failed)

    @property
    def unfinished(self) -> str | None:
        """What to tell the user of a command that should have got every reply; None if it did."""
        if self.stopped is not None or not self.failed:
            return self.stopped
        number = sum(self.failed.values())
        return (
            f"{number:,} requests failed, the last: {self.last}. They wait: give the command "
            "again to send them again; `margintool judge export` shows the error of each"
        )

    @property
    def status(self) -> int:
        """The exit status of a command that ends so."""
        if self.why is not None:
            return _STATUS.get(self.why, 1)
        return 1 if self.failed else 0


def counted_by_name(label: str, numbers: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return a line with the sum of `numbers` and one for each; none where there is none."""
    if not numbers:
        return []
    each = [("", f"{name} {number:,}") for name, number in numbers.items()]
    return [(label, f"{sum(numbers.values()):,}"), *each]
