"""Whether an error is a lack of memory, on any device, and what to say of it.

Read by check.py, and by whoever runs a model: train_plan/, evaluate/, generation/.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from mmpo_core.errors import InputError

# an allocation on a CPU fails with a RuntimeError that says so in words alone
_ON_CPU = ("DefaultCPUAllocator", "can't allocate memory", "Cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, or Python itself, could not get memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _ON_CPU)


@contextmanager
def explained_out_of_memory(advice: Callable[[], str]) -> Iterator[None]:
    """Turn a lack of memory inside into an InputError that says what takes less.

    Args:
        advice: returns whole sentences.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(f"out of memory. {advice()}") from error
