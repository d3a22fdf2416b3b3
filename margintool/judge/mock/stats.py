"""What the stand-in counted, for GET /mock/stats and the summary at the end."""

from collections import Counter
from typing import Any


class Stats:
    """Counts since the start or the last reset.

    `answered` counts chat completions that went out whole; a reply that was cut by a fault or
    whose client had gone is not among them. `messages` counts the same, and batches' answers,
    by question.message_hash of what was sent.
    """

    def __init__(self) -> None:
        self.received = 0
        self.answered = 0
        self.batch_answered = 0
        self.lost = 0
        self.refused = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.faults: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()

    def arrive(self) -> None:
        """Count a chat completion's request."""
        self.received += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def count_answer(self, message: str, fault: str) -> None:
        """Count a chat completion that went out whole, with its content fault, `` if none."""
        self.answered += 1
        self._count(message, fault)

    def count_in_batch(self, message: str, fault: str) -> None:
        """Count an answer in a batch's output file."""
        self.batch_answered += 1
        self._count(message, fault)

    def _count(self, message: str, fault: str) -> None:
        self.messages[message] += 1
        if fault:
            self.faults[fault] += 1

    def as_json(self) -> dict[str, Any]:
        """Return the counts as GET /mock/stats sends them."""
        return {
            "received": self.received,
            "answered": self.answered,
            "batch_answered": self.batch_answered,
            "lost": self.lost,
            "refused": self.refused,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "faults": dict(self.faults),
            "messages": dict(self.messages),
        }

    def summary(self) -> str:
        """Return the counts in a line or two."""
        repeated = sum(times - 1 for times in self.messages.values())
        faults = ", ".join(f"{kind} {times}" for kind, times in sorted(self.faults.items()))
        return (
            f"received {self.received}, answered {self.answered}, in batches "
            f"{self.batch_answered}, answered again {repeated}, refused {self.refused}, lost "
            f"{self.lost}, most in flight {self.max_in_flight}\nfaults: {faults or 'none'}"
        )
