"""What loading of both kinds of model shares: device, dtype, size of batches, errors in words."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmpo_core.errors import InputError
from mmpo_core.hub import loading

DTYPES: dict[str, str] = {name: name for name in ("float32", "float16", "bfloat16")}

# Tokens of a batch, padding included. A CPU is busy with few, and large batches leave its caches.
_CPU_TOKENS, _GPU_TOKENS = 1024, 65_536


def batch_budget(batch_tokens: int | None, device: str) -> int:
    """Return how many tokens a batch may have.

    Raises:
        InputError: if the number given is not positive.
    """
    if batch_tokens is None:
        return _CPU_TOKENS if device.startswith("cpu") else _GPU_TOKENS
    if batch_tokens < 1:
        raise InputError(f"batch_tokens must be at least 1, not {batch_tokens}")
    return batch_tokens


def checked_device(device: str | None) -> str | None:
    """Return the device, or raise InputError where torch has none of that name here."""
    if device is None:
        return None
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"--device {device}: torch cannot use it here ({first})") from error
    return device


@contextmanager
def loading_model(name: str) -> Iterator[None]:
    """Make a model quietly; what goes wrong becomes an InputError.

    Around the library's own making of it and nothing else: a file of the model that holds another
    kind of value than expected ends in a TypeError or AttributeError somewhere inside, which
    around our own code would hide its mistakes.
    """
    try:
        with loading(name):
            yield
    except (TypeError, AttributeError) as error:
        raise InputError(
            f"{name} cannot be loaded ({type(error).__name__}: {error}): one of its JSON files is "
            "damaged, or was written for another version of sentence-transformers"
        ) from error
    except InputError as error:
        if "trust_remote_code" not in str(error.__cause__):
            raise
        raise InputError(
            f"{name}: needs code from its repository, which is never run here. Take a model "
            "without, or load it where you trust its code"
        ) from error
