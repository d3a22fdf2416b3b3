"""is_out_of_memory: what torch really raises, and what it must not be taken for."""

import pytest
import torch

from mmpo_core.engine.memory import is_out_of_memory


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
