"""All the questions that an item gives: every judge, draw and order, in a fixed layout.

Read by enquire.py, which puts them into the journal, and by margins.py, which looks their
verdicts up again under the same keys.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from margintool.judge.asking.asker import Asker, orders
from margintool.judge.item import Item, Request


@dataclass(frozen=True)
class Panel:
    """J judges, S draws each; in `pair` mode O = 2 orders, else 1.

    Args:
        askers: one per judge.
        samples: draws of each question.
        paired: whether items hold two answers, to be shown in both orders.
    """

    askers: Sequence[Asker]
    samples: int
    paired: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(J, S, O): the layout of an item's keys."""
        return len(self.askers), self.samples, 2 if self.paired else 1

    def keys(self, item: Item) -> list[str]:
        """Return the J * S * O keys of an item's questions, judge by judge, draw by draw."""
        return [asker.key(shown, draw) for asker, shown, draw in self._questions(item)]

    def requests(self, item: Item, keys: Sequence[str] | None = None) -> list[Request]:
        """Return the requests behind `keys`, in the same order.

        Args:
            item: what is judged.
            keys: what `keys(item)` returned, where that is at hand: a key takes as long as a
                request.
        """
        known = self.keys(item) if keys is None else keys
        return [
            asker.request(shown, draw, key)
            for (asker, shown, draw), key in zip(self._questions(item), known, strict=True)
        ]

    def _questions(self, item: Item) -> Iterator[tuple[Asker, Item, int]]:
        shown = orders(item) if self.paired else (item,)
        for asker in self.askers:
            for draw in range(self.samples):
                for one in shown:
                    yield asker, one, draw
