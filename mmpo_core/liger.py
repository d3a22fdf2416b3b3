"""`--liger`: fused kernels of the package liger-kernel in place of parts of a model.

Norms, rotary positions and feed-forward layers. Its losses stay off: log-probs of pairs are
computed by chunks here (engine/chunked.py), and a model's own forward pass over the vocabulary is
never called. Read by training_args.py (the check),
train_setup.py and train_reference.py.
"""

import logging
from typing import Any

from mmpo_core.errors import InputError

logger = logging.getLogger("mmpo_core.train")

KERNELS = "liger"
_OFF = {"cross_entropy": False, "fused_linear_cross_entropy": False}


def require_liger(*, on_cpu: bool) -> None:
    """Raise InputError if the package or a GPU is missing."""
    from transformers.utils import is_liger_kernel_available

    if not is_liger_kernel_available():
        raise InputError(
            "liger needs the package liger-kernel, which is not installed, or too old: "
            "`pip install 'margintool[liger]'`"
        )
    if on_cpu:
        raise InputError(
            "liger needs a GPU, and this run is on a CPU. Leave --liger out, or run it where torch "
            "finds a GPU"
        )


def with_liger(model: Any) -> Any:
    """Return a model with Liger's kernels in it, marked so; reference_model.py reads the mark.

    Some kernels replace functions of the architecture's module, and with them those of every other
    model of this architecture in the process.

    Args:
        model: policy or reward model as it was loaded, without adapters; changed in place.

    Raises:
        InputError: if Liger has no kernels for the architecture.
    """
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN
    from transformers.integrations.liger import apply_liger_kernel

    kind = model.config.model_type
    if kind not in MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise InputError(
            f"liger has no kernels for models of type {kind}. Leave --liger out. It knows "
            f"{', '.join(sorted(MODEL_TYPE_TO_APPLY_LIGER_FN))}"
        )
    apply_liger_kernel(model, _OFF)
    model.fused_kernels = KERNELS
    return model
