"""What a run has done so far: counted, shown beside the bar, and summed up in the end.

Read by runner.py.
"""

import time
from collections import Counter

from margintool.judge.cost.prices import Prices
from margintool.judge.item import Reply
from margintool.judge.running.records import RunOutcome, Why
from margintool.progress import Progress

_NOTE_SECONDS = 0.5


class Tally:
    """Counts replies and failures.

    Args:
        prices: for the cost.
        progress: told of each request that is done.
    """

    def __init__(self, prices: Prices, progress: Progress) -> None:
        self._prices = prices
        self._progress = progress
        self._started = time.monotonic()
        self._noted = 0.0
        self._answered = 0
        self._unreadable: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._prompt = 0
        self._completion = 0
        self._cost: float | None = 0.0
        self.unseen = 0
        self.failed_in_a_row = 0

    def answered(self, model: str, reply: Reply) -> None:
        """Count a stored reply."""
        self._answered += 1
        self.failed_in_a_row = 0
        if reply.verdict.reason is not None:
            self._unreadable[reply.verdict.reason] += 1
        prompt, completion = reply.prompt_tokens or 0, reply.completion_tokens or 0
        self._prompt += prompt
        self._completion += completion
        price = self._prices.of(model)
        if price is None:
            self._cost = None
        elif self._cost is not None:
            self._cost += price.cost(prompt, completion)
        self._show()

    def failed(self, kind: str) -> None:
        """Count a request that failed after its retries."""
        self._failed[kind] += 1
        self.failed_in_a_row += 1
        self._show()

    def outcome(self, why: Why | None, stopped: str | None) -> RunOutcome:
        """Return all that was counted."""
        return RunOutcome(
            answered=self._answered,
            failed=dict(self._failed),
            unreadable=dict(self._unreadable),
            prompt_tokens=self._prompt,
            completion_tokens=self._completion,
            cost=self._cost,
            unseen=self.unseen,
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
