"""A lack of memory: what torch really raises, what it is not, and what is said of it."""

import pytest
import torch

from mmpo_core.engine.memory import explained_out_of_memory, is_out_of_memory
from mmpo_core.errors import InputError


def test_an_allocation_that_a_cpu_cannot_make():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("unable to mmap 8 bytes: Cannot allocate memory (12)"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("DefaultCPUAllocator"), False),
    ],
    ids=repr,
)
def test_which_errors_are_a_lack_of_memory(error: BaseException, expected: bool):
    assert is_out_of_memory(error) == expected


def test_advice_is_made_for_a_lack_of_memory_alone():
    with (
        pytest.raises(InputError, match=r"^out of memory\. Take less\.$") as raised,
        explained_out_of_memory(lambda: "Take less."),
    ):
        raise MemoryError
    assert isinstance(raised.value.__cause__, MemoryError)
    with (
        pytest.raises(RuntimeError, match="shapes cannot"),
        explained_out_of_memory(lambda: pytest.fail("no advice was wanted")),
    ):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
