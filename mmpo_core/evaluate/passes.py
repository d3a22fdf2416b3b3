"""One loaded model over encoded pairs: its device, its batches and its cache.

Read by predicting.py, which says what is computed of a batch.
"""

import gc
import logging
from collections.abc import Callable
from typing import Any

import torch

from mmpo_core.encoded_pairs import Floats
from mmpo_core.engine.batches import Batching
from mmpo_core.engine.check import Choice, choose_batching
from mmpo_core.engine.scoring import Batch
from mmpo_core.evaluate.encoding import Encoded
from mmpo_core.evaluate.options import PredictOptions
from mmpo_core.reference import values_of_sides
from mmpo_core.reference_cache import ReferenceCache, cache_folder
from mmpo_core.reference_model import reference_key
from mmpo_core.reference_pass import Words
from mmpo_core.train_batching import run_limits
from mmpo_core.train_setup import check_positions, without_dropout
from mmpo_core.training_args import runs_on_cpu

logger = logging.getLogger("mmpo_core.evaluate")


def pass_over(
    network: Any,
    encoded: Encoded,
    options: PredictOptions,
    values: Callable[[Batch], tuple[torch.Tensor, torch.Tensor]],
    checked_by: Callable[..., Any],
    of: Words,
) -> tuple[Floats, dict[str, Any]]:
    """Return the (2, N) values of a loaded model, and what computing them took.

    Args:
        network: as loaded.
        encoded: N pairs.
        options: of running models.
        values: of a batch.
        checked_by: see choose_batching.
        of: what the values are, in words.
    """
    device = device_of(options)
    without_dropout(network)
    check_positions(network, {"pairs": encoded.pairs})
    cache = _cache(network, device, options)
    network.to(device)
    choice = _batching(network, encoded, options, checked_by)
    sides, report = values_of_sides(
        encoded.pairs, network, choice.batching, values, cache=cache, of=of
    )
    logger.info("%s", report.line(of))
    about = {
        "packing": "shared" if choice.batching.shared else "padded",
        "why_padded": choice.why_padded,
        **report.to_dict(),
    }
    return sides, about


def _batching(
    network: Any, encoded: Encoded, options: PredictOptions, checked_by: Callable[..., Any]
) -> Choice:
    pad = encoded.tokenizer.pad_token_id
    bounds: Any = options  # the two limits have the same names as those of a run
    batching = Batching(pad, run_limits(bounds, network))
    return choose_batching(network, {"pairs": encoded.pairs}, batching, options.packing, checked_by)


def _cache(network: Any, device: torch.device, options: PredictOptions) -> ReferenceCache:
    folder = cache_folder(options.reference_cache)
    if folder is None:
        return ReferenceCache()
    bf16 = computes_in_bf16(options)
    key, about = reference_key(network, device=device.type, bf16=bf16)
    return ReferenceCache(folder, key, about)


def loading_of(options: PredictOptions) -> dict[str, Any]:
    """Return how weights are loaded."""
    return {
        "dtype": options.dtype,
        "trust_remote_code": options.trust_remote_code,
        "attn_implementation": options.attn_implementation,
    }


def device_of(options: PredictOptions) -> torch.device:
    """Return the device that models run on."""
    if runs_on_cpu(options):
        return torch.device("cpu")
    device = torch.accelerator.current_accelerator()
    assert device is not None
    return device


def computes_in_bf16(options: PredictOptions) -> bool:
    """Whether products are computed in bfloat16: as asked for, else on an accelerator."""
    return not runs_on_cpu(options) if options.bf16 is None else options.bf16


def autocast_of(options: PredictOptions) -> torch.autocast:
    """Return the context that a forward pass runs in."""
    bf16 = computes_in_bf16(options)
    return torch.autocast(device_of(options).type, torch.bfloat16, enabled=bf16)


def free_memory(options: PredictOptions) -> None:
    """Give the memory of a model that is gone back, for the next one."""
    gc.collect()
    if device_of(options).type == "cuda":
        torch.cuda.empty_cache()
