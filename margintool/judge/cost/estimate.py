"""What a run would send and cost, before anything is sent. Read by --dry-run.

Prompt tokens are counted, reply tokens are an assumption: the mean of the replies that the
journal holds for the model and mode, else each reply's limit. The limit also bounds the cost.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from margintool.judge.cost.prices import Price, Prices, no_price
from margintool.judge.cost.tokens import Counter, body_tokens, counter, reply_limit
from margintool.judge.item import Request
from margintool.judge.journal.chunks import chunks
from margintool.judge.journal.journal import Journal, State
from margintool.judge.task import Mode
from margintool.progress import Progress, no_progress

CHUNK = 1000


@dataclass(frozen=True)
class ModelEstimate:
    """What one judge would be asked.

    Args:
        model: the judge.
        requests: different requests; identical ones are sent once.
        answered: of these, with a reply in the journal.
        in_batches: of these, sent in a batch that is still open.
        to_send: the rest.
        prompt_tokens: of the requests to send.
        counted_by: how the prompt tokens were counted.
        reply_tokens: expected of the requests to send.
        most_reply_tokens: the same at most, by each request's limit.
        replies_from: what is expected of a reply, in words.
        cost: US dollars expected; None without a price.
        most_cost: US dollars at most.
        priced: the price's date and form, in words, or why there is none.
    """

    model: str
    requests: int
    answered: int
    in_batches: int
    to_send: int
    prompt_tokens: int
    counted_by: str
    reply_tokens: float
    most_reply_tokens: int
    replies_from: str
    cost: float | None
    most_cost: float | None
    priced: str

    def lines(self) -> list[str]:
        """Return the estimate in words."""
        held = f", {self.in_batches:,} in open batches" if self.in_batches else ""
        cost = (
            self.priced
            if self.cost is None
            else f"cost USD {self.cost:,.2f} expected, at most {self.most_cost:,.2f} "
            f"({self.priced})"
        )
        return [
            f"{self.model}: {self.to_send:,} requests to send of {self.requests:,}; "
            f"{self.answered:,} answered already{held}",
            f"  prompt tokens {self.prompt_tokens:,} ({self.counted_by})",
            f"  reply tokens {self.reply_tokens:,.0f} expected ({self.replies_from}), "
            f"at most {self.most_reply_tokens:,}",
            f"  {cost}",
        ]


@dataclass(frozen=True)
class Estimate:
    """What a run would send and cost, by judge."""

    models: tuple[ModelEstimate, ...]

    @property
    def cost(self) -> float | None:
        """US dollars expected in all; None where a judge with requests to send has no price."""
        return _sum([m.cost for m in self.models if m.to_send])

    @property
    def most_cost(self) -> float | None:
        """US dollars at most in all."""
        return _sum([m.most_cost for m in self.models if m.to_send])

    def lines(self) -> list[str]:
        """Return the estimate in words, with a total where there are several judges."""
        found = [line for model in self.models for line in model.lines()]
        if len(self.models) > 1 and self.cost is not None:
            found.append(f"in all USD {self.cost:,.2f} expected, at most {self.most_cost:,.2f}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as plain values."""
        return {**asdict(self), "cost": self.cost, "most_cost": self.most_cost}


def estimate(
    requests: Iterable[Request],
    prices: Prices,
    *,
    journal: Journal | None = None,
    batch: bool = False,
    progress: Progress = no_progress,
) -> Estimate:
    """Return what sending `requests` would take. Nothing is sent or written.

    Args:
        requests: all of a run, answered ones among them; read once, not kept.
        prices: see load_prices.
        journal: where replies are kept, if there is one yet.
        batch: whether they would go through the Batch API, at its price.
        progress: told of each request.
    """
    seen: set[str] = set()
    sums: dict[str, _Sums] = {}
    expected = {} if journal is None else journal.reply_tokens()
    for chunk in chunks(requests, CHUNK):
        states = {} if journal is None else journal.states([r.key for r in chunk])
        for request in chunk:
            if request.key not in seen:
                seen.add(request.key)
                of_model = sums.get(request.model) or _Sums(counter(request.model))
                sums[request.model] = of_model
                of_model.add(request, states.get(request.key, "waiting"), expected)
        progress.advance(len(chunk))
    return Estimate(tuple(s.finished(model, prices.of(model), batch) for model, s in sums.items()))


@dataclass
class _Sums:
    """The sums over one judge's requests."""

    counter: Counter
    states: dict[State, int] = field(default_factory=lambda: defaultdict(int))
    prompt: int = 0
    reply: float = 0.0
    most: int = 0
    means: set[float] = field(default_factory=set)
    unknown: bool = False

    def add(
        self, request: Request, state: State, expected: Mapping[tuple[str, Mode], float]
    ) -> None:
        self.states[state] += 1
        if state != "waiting":
            return
        limit = reply_limit(request.body)
        mean = expected.get((request.model, request.task.mode))
        self.prompt += body_tokens(request.body, self.counter)
        self.most += limit
        self.reply += limit if mean is None else min(mean, limit)
        if mean is None:
            self.unknown = True
        else:
            self.means.add(mean)

    def finished(self, model: str, price: Price | None, batch: bool) -> ModelEstimate:
        return ModelEstimate(
            model=model,
            requests=sum(self.states.values()),
            answered=self.states["answered"],
            in_batches=self.states["in_batch"],
            to_send=self.states["waiting"],
            prompt_tokens=self.prompt,
            counted_by=self.counter.how,
            reply_tokens=self.reply,
            most_reply_tokens=self.most,
            replies_from=self._replies_from(),
            cost=None if price is None else price.cost(self.prompt, self.reply, batch=batch),
            most_cost=None if price is None else price.cost(self.prompt, self.most, batch=batch),
            priced=no_price(model) if price is None else _priced(price, batch),
        )

    def _replies_from(self) -> str:
        parts = [f"{mean:.0f} each, the mean of the journal's replies" for mean in self.means]
        if self.unknown:
            parts.append("no replies to go by yet: the limit")
        return "; ".join(parts) or "none to send"


def _priced(price: Price, batch: bool) -> str:
    dated = "your price" if price.as_of is None else f"price as of {price.as_of}"
    way = f", {price.batch:g} of it through the Batch API" if batch else ""
    return f"{dated}: {price.input:g} in, {price.output:g} out per million{way}"


def _sum(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
