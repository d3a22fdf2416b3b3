"""What commands that train can be asked about adapters: LoRA, DoRA and QLoRA.

A base class of their options; adapters.py does it. No torch here. Read by train_options.py.
"""

import dataclasses
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal

from mmpo_core.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """Options of low-rank adapters. The model stays as it is, and is its own reference.

    Args:
        lora_rank: Train low-rank adapters of this rank, which the output folder then holds in place
            of a model (see `margintool merge`); 0 trains all weights.
        lora_alpha: The adapters' output is scaled by alpha / rank; twice the rank if not given.
        lora_dropout: Dropout of the adapters' input.
        lora_targets: Name of a linear layer that gets an adapter, such as q_proj; every linear
            layer but the head if not given.
        dora: Learn a magnitude for each output beside its direction (DoRA, arXiv 2402.09353).
        quantize: Hold the frozen model in 4-bit NormalFloat (QLoRA, arXiv 2305.14314); needs
            margintool[qlora].
    """

    lora_rank: int = 0
    lora_alpha: int | None = None
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ()
    dora: bool = False
    quantize: Literal["4bit"] | None = None


# field -> (test, what it must be)
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lora_rank": (lambda v: v >= 0, "a whole number >= 0"),
    "lora_alpha": (lambda v: v is None or v >= 1, "a whole number >= 1"),
    "lora_dropout": (lambda v: 0 <= v < 1, "a share >= 0 and < 1"),
}


def require_peft() -> None:
    """Raise InputError if peft is not installed."""
    if find_spec("peft") is None:
        raise InputError(
            "adapters need the package peft, which is not installed: "
            "`pip install 'margintool[lora]'`"
        )


def check_adapter_options(options: AdapterOptions) -> None:
    """Raise InputError for a value out of range, an option of adapters without one, or no peft."""
    for name, (good, wanted) in _RANGES.items():
        if not good(getattr(options, name)):
            raise InputError(f"{name} must be {wanted}, got {getattr(options, name)}")
    if options.lora_rank:
        require_peft()
        return
    for field in dataclasses.fields(AdapterOptions):
        if getattr(options, field.name) != field.default:
            raise InputError(
                f"{field.name} is for adapters, and without a lora_rank all weights are trained. "
                "Give --lora-rank, such as 16"
            )
