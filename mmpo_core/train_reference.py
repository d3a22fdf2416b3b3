"""The reference of a run: which model it is, and where its log-probs come from. Read by train.py.

reference.py computes them, reference_cache.py keeps them.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from mmpo_core.encoded_pairs import EncodedPairs
from mmpo_core.engine.batches import Batching
from mmpo_core.liger import with_liger
from mmpo_core.loss_options import chosen_loss
from mmpo_core.models import load_policy, load_tokenizer
from mmpo_core.processes import process
from mmpo_core.reference import ReferenceReport, add_reference_logps, check_same_vocabulary
from mmpo_core.reference_cache import ReferenceCache, cache_folder
from mmpo_core.reference_model import reference_key
from mmpo_core.start_weights import start_weights
from mmpo_core.train_batching import run_batching
from mmpo_core.train_options import TrainOptions

logger = logging.getLogger("mmpo_core.train")

Splits = Mapping[str, EncodedPairs]


@dataclass(frozen=True)
class Referenced:
    """Pairs, and what a trainer needs to compare the policy on them with the reference.

    Attributes:
        pairs: split -> its pairs, with the reference's log-probs unless there is a model.
        batching: how pairs become micro-batches, for the policy and a model kept beside it.
        model: the reference, kept in memory to be asked at every step; else None. May be the policy
            itself, if it has adapters.
        report: what the pass over the pairs cost; None where there was none.
        weights: digest of the reference's weights; None if it is the model before training.
    """

    pairs: Splits
    batching: Batching
    model: Any = None
    report: ReferenceReport | None = None
    weights: str | None = None

    def record(self) -> dict[str, Any] | None:
        """Return what run.json says about the reference."""
        return None if self.report is None else self.report.to_dict()


def with_reference(
    options: TrainOptions,
    arguments: Any,
    model: Any,
    tokenizer: Any,
    pairs: Splits,
    batching: Batching,
) -> Referenced:
    """Return the pairs with the reference's log-probs, or with the model that will give them.

    The reference is what --reference names, freed after its pass, or the model before training. A
    reward model and a reference-free loss have none.

    Args:
        options: checked options.
        arguments: as training_arguments gives them.
        model: as load_start gives it, with adapters or without.
        tokenizer: the model's.
        pairs: split -> its pairs.
        batching: how they become micro-batches for the model.

    Raises:
        InputError: if the reference cannot be loaded, has another vocabulary or, on resumption,
            other weights, or the cache's folder cannot be written to.
    """
    if options.objective == "reward" or chosen_loss(options).reference_free:
        return Referenced(pairs, batching)
    if options.reference_logps == "online":
        if options.lora_rank and options.reference is None:
            return Referenced(pairs, batching, model=model)  # itself, its adapters off
        reference, weights = _second_model(options, tokenizer)
        reference = reference.to(arguments.device).requires_grad_(False)
        if batching.shared:  # the same micro-batches must suit both
            batching = run_batching(options, reference, tokenizer, pairs).batching
        return Referenced(pairs, batching, model=reference, weights=weights)
    folder = cache_folder(options.reference_cache)  # first: loading takes long
    weights = None
    if options.reference is not None:
        model, weights = _second_model(options, tokenizer)
    cache = _cache_of(model, folder, arguments.device.type, bf16=options.bf16)
    model.to(arguments.device)
    used = batching
    if options.reference is not None:
        used = run_batching(options, model, tokenizer, pairs).batching
    done = {
        name: add_reference_logps(split, model, used, cache=cache, bf16=options.bf16)
        for name, split in pairs.items()
    }
    report = reduce(add, (one for _, one in done.values()))
    logger.info("%s", report.line())
    referenced = {name: split for name, (split, _) in done.items()}
    return Referenced(referenced, batching, report=report, weights=weights)


def _cache_of(model: Any, folder: Any, device: str, *, bf16: bool) -> ReferenceCache:
    """Return the model's cache: empty without a folder, and in all processes but the first."""
    if folder is None or process()[0] > 0:
        return ReferenceCache()
    key, about = reference_key(model, device=device, bf16=bf16)
    return ReferenceCache(folder, key, about)


def _second_model(options: TrainOptions, tokenizer: Any) -> tuple[Any, str | None]:
    """Return the model that --reference names, with its weights' digest.

    Without --reference, another copy of the one before training, and None.
    """
    name, revision = options.reference, None
    if name is None:
        name, revision = options.model, options.revision
    else:
        other = load_tokenizer(name, trust_remote_code=options.trust_remote_code)
        check_same_vocabulary(tokenizer, other, name)
    model = load_policy(
        name,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
        revision=revision,
        attn_implementation=options.attn_implementation,
    )
    if options.liger:
        model = with_liger(model)
    weights = None if options.reference is None else start_weights(options, "reference", model)
    return model, weights
