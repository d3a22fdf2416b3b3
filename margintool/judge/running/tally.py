"""What a run has done so far: counted, shown beside the bar, and summed up in the end.

Read by runner.py.
"""

import time
from collections import Counter
from collections.abc import Iterable

from margintool.judge.cost.prices import Prices
from margintool.judge.item import Reply
from margintool.judge.journal.records import Aside, Usage
from margintool.judge.running.records import RunOutcome, Why
from margintool.progress import Progress, no_progress

_NOTE_SECONDS = 0.5


class Tally:
    """Counts replies and failures.

    Args:
        prices: for the cost.
        progress: told of each request that is done.
        aside: what was used already to find out how to ask.
    """

    def __init__(
        self, prices: Prices, progress: Progress = no_progress, aside: Iterable[Aside] = ()
    ) -> None:
        self._prices = prices
        self._progress = progress
        self._started = time.monotonic()
        self._noted = 0.0
        self._answered = 0
        self._unreadable: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._prompt = 0
        self._completion = 0
        self._untold = 0
        self._cost: float | None = 0.0
        self._aside = 0
        self._last: str | None = None
        self.unseen = 0
        for one in aside:
            self._aside += one.used.requests
            self._use(one.model, one.used)
            self.unseen += one.unseen

    def answered(self, model: str, reply: Reply) -> None:
        """Count a stored reply."""
        self._answered += 1
        if reply.verdict.reason is not None:
            self._unreadable[reply.verdict.reason] += 1
        prompt, completion = reply.prompt_tokens, reply.completion_tokens
        untold = prompt is None or completion is None
        self._use(model, Usage(1, prompt or 0, completion or 0, int(untold)))
        self._show()

    def failed(self, kind: str, words: str) -> None:
        """Count a request that failed after its retries, and keep its words as the last ones."""
        self._failed[kind] += 1
        self._last = words
        self._show()

    def _use(self, model: str, used: Usage) -> None:
        self._prompt += used.prompt_tokens
        self._completion += used.completion_tokens
        self._untold += used.untold
        price = self._prices.of(model)
        if price is None:
            self._cost = None
        elif self._cost is not None:
            self._cost += price.cost(used.prompt_tokens, used.completion_tokens)

    def outcome(self, why: Why | None, stopped: str | None) -> RunOutcome:
        """Return all that was counted."""
        return RunOutcome(
            answered=self._answered,
            failed=dict(self._failed),
            unreadable=dict(self._unreadable),
            prompt_tokens=self._prompt,
            completion_tokens=self._completion,
            cost=self._cost,
            untold=self._untold,
            unseen=self.unseen,
            aside=self._aside,
            last=self._last,
            seconds=time.monotonic() - self._started,
            why=why,
            stopped=stopped,
        )

    def _show(self) -> None:
        self._progress.advance(1)
        now = time.monotonic()
        if now - self._noted < _NOTE_SECONDS:
            return
        self._noted = now
        failed = self._failed.total()
        rate = (self._answered + failed) / max(1e-9, now - self._started)
        cost = "" if self._cost is None else f"  ${self._cost:.2f}"
        self._progress.note(f"{rate:.1f}/s{cost}  {failed} failed")
