"""Whether an error is a lack of memory, on any device. Read by check.py and train_plan."""

import torch

# an allocation on a CPU fails with a RuntimeError that says so in words alone
_ON_CPU = ("DefaultCPUAllocator", "can't allocate memory", "Cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, or Python itself, could not get memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _ON_CPU)
