"""The processes of a distributed run, also where there is only one. Read by reference.py.

Options are checked with it too, so torch is imported where it is needed.
"""

import os
from collections.abc import Callable
from typing import TypeVar

from mmpo_core.errors import InputError

T = TypeVar("T")


def process() -> tuple[int, int]:
    """Return this process's number, from 0, and how many there are."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gathered(value: T) -> list[T]:
    """Return the value that each process gives, in their order. All processes must call it."""
    _, count = process()
    if count == 1:
        return [value]
    import torch.distributed as dist

    values: list[T] = [value] * count
    dist.all_gather_object(values, value)
    return values


def from_main(make: Callable[[], T]) -> T:
    """Return what the first process makes. All processes must call it."""
    number, count = process()
    if count == 1:
        return make()
    import torch.distributed as dist

    box = [make() if number == 0 else None]
    dist.broadcast_object_list(box, src=0)
    made: T = box[0]  # type: ignore[assignment]
    return made


def launched() -> int:
    """Return how many processes a launcher (accelerate, torchrun) said that it starts."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def refuse_several(command: str) -> None:
    """Raise InputError if a launcher started several processes of a command that takes one."""
    if launched() > 1:
        raise InputError(f"{command} runs in one process: start it without accelerate or torchrun")
