"""Bytes that a run holds: exact for what stays, an estimate for activations. Read by plan.py."""

import os
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

# 4-bit weights, and for every 64 of them a scale in 8 bits, with another in 32 bits for 256 of
# those: QLoRA (arXiv 2305.14314), section 3, "Double Quantization"
_BYTES_IN_4_BITS = 4 / 8 + 1 / 64 + 4 / (64 * 256)
# optimizer -> numbers kept for each trained one, in the weights' own type
_STATES: dict[str, int] = {"sgd": 0, "adamw_torch": 2, "adamw_torch_fused": 2}


@dataclass(frozen=True)
class Memory:
    """Bytes of one process. FSDP and DeepSpeed ZeRO share the first three out among processes.

    Attributes:
        weights: of the model, with adapters.
        gradients: as large as the trained weights.
        optimizer: its states; AdamW keeps two numbers for each trained one.
        reference: weights of a reference model beside the policy; 0 if there is none.
        reference_stays: whether it is there while training; else it is gone before.
        activations: of the largest micro-batch, with its logits: an estimate.
        assumed: whether the optimizer is none that is known here, and was counted as AdamW.
    """

    weights: int
    gradients: int
    optimizer: int
    reference: int
    reference_stays: bool
    activations: int
    assumed: bool

    @property
    def total(self) -> int:
        """Bytes at the peak: while training, or while a reference model that goes is asked."""
        beside = self.reference if self.reference_stays else 0
        training = self.weights + self.gradients + self.optimizer + beside + self.activations
        return max(training, self.weights + self.reference)

    def to_dict(self) -> dict[str, Any]:
        """Return the parts and their total."""
        return {**asdict(self), "total": self.total}


def weight_bytes(model: Any, *, quantized: bool = False) -> int:
    """Return the bytes of a model's parameters, shared ones once.

    Args:
        model: with parameters of any device, also `meta`.
        quantized: whether its frozen linear layers but the head will be held in 4 bits.
    """
    packed = _packed(model) if quantized else set()
    total = 0.0
    for one in model.parameters():
        total += one.numel() * (_BYTES_IN_4_BITS if id(one) in packed else one.element_size())
    return round(total)


def _packed(model: Any) -> set[int]:
    """Return the ids of the parameters that are quantized."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return {
        id(module.weight)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and ".score" not in name
        if not module.weight.requires_grad
    }


def gradient_bytes(model: Any) -> int:
    """Return the bytes of the gradients of a model's trained parameters."""
    return sum(one.numel() * one.element_size() for one in trained(model))


def optimizer_bytes(model: Any, optimizer: str) -> tuple[int, bool]:
    """Return the bytes of an optimizer's states, and whether AdamW's were assumed.

    torch's AdamW keeps two numbers for each trained parameter, in its type, and a float32 count of
    steps for each tensor.
    """
    known = optimizer in _STATES
    states = _STATES.get(optimizer, 2)
    tensors = len(trained(model)) if states else 0
    return states * gradient_bytes(model) + 4 * tensors, not known


def trained(model: Any) -> list[torch.nn.Parameter]:
    """Return the parameters that are trained."""
    return [one for one in model.parameters() if one.requires_grad]


def device_memory(device: torch.device) -> int | None:
    """Return the bytes that a device has in all; of a CPU, the machine's. None if not known."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type != "cpu":
        return None
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return None
