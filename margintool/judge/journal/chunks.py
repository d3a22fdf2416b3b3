"""A long iteration in lists of a size. Read by all of the judge that works through a journal."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the values in lists of `size`, the last one shorter; reads no further than asked."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk
