"""The processes of a distributed run, also where there is only one. Read by reference.py."""

import os
from collections.abc import Callable
from typing import TypeVar

import torch.distributed as dist

from mmpo_core.errors import InputError

T = TypeVar("T")


def process() -> tuple[int, int]:
    """Return this process's number, from 0, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gathered(value: T) -> list[T]:
    """Return the value that each process gives, in their order. All processes must call it."""
    _, count = process()
    if count == 1:
        return [value]
    values: list[T] = [value] * count
    dist.all_gather_object(values, value)
    return values


def from_main(make: Callable[[], T]) -> T:
    """Return what the first process makes. All processes must call it."""
    number, count = process()
    if count == 1:
        return make()
    box = [make() if number == 0 else None]
    dist.broadcast_object_list(box, src=0)
    made: T = box[0]  # type: ignore[assignment]
    return made


def refuse_several(command: str) -> None:
    """Raise InputError if a launcher started several processes of a command that takes one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(f"{command} runs in one process: start it without accelerate or torchrun")
