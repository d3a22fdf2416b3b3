"""Whether a model may share prompts: log-probs of a few pairs by both ways must agree.

Packed rows are wrong for layers that carry a state along the row, for positions that are counted
from the mask, for tokens that an adapter puts in front: too many kinds to list, so it is tried. The
pairs tried are the longest, the one with the longest conversation, and the shortest, since a limit
on lengths shows with the longest alone; two of them at least lie in one row. In padded rows each is
tried alone, so that nothing is computed of padding. Read by mmpo_core.train_setup.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch

from mmpo_core.encoded_pairs import EncodedPairs
from mmpo_core.engine.batches import Batching, dataset_lengths
from mmpo_core.engine.memory import is_out_of_memory
from mmpo_core.engine.rows import rounded_up
from mmpo_core.engine.scoring import (
    CALL_ERRORS,
    Function,
    completion_token_logps,
    scorer_of,
    through,
)
from mmpo_core.errors import InputError, lookup

logger = logging.getLogger("mmpo_core.train")

Packing = Literal["auto", "shared", "padded"]

# Largest root mean square difference between values of tokens, by the dtype that they come from.
TOLERANCE = {
    torch.float64: 1e-8,
    torch.float32: 1e-4,
    torch.float16: 0.03,
    torch.bfloat16: 0.1,
}
# float32 products in TF32 or bfloat16 parts, as torch.set_float32_matmul_precision allows
_ROUNDED_PRODUCTS = 0.01


@dataclass(frozen=True)
class Choice:
    """What is used for a model, and why.

    Attributes:
        batching: how pairs become micro-batches.
        why_padded: why prompts are not shared; None if they are, or were not asked to be.
    """

    batching: Batching
    why_padded: str | None = None


def choose_batching(
    model: Any,
    splits: Mapping[str, EncodedPairs],
    batching: Batching,
    packing: Packing,
    function: Function = completion_token_logps,
) -> Choice:
    """Return how a model's pairs are batched; the reason is logged if `auto` gives up sharing.

    Args:
        model: unwrapped, on the device that it is to run on; left in the mode it was in.
        splits: pairs that it will see.
        batching: limits and padding; whether it shares is decided here.
        packing: auto, shared or padded.
        function: (model, forward, batch) -> values that must agree, see scoring.through.

    Raises:
        InputError: if packing is `shared` and the model cannot.
    """
    lookup("packing", packing, dict.fromkeys(get_args(Packing)))
    if function is completion_token_logps and scorer_of(model).why_not is not None:
        logger.warning(
            "the model's own logits are computed, not chunks of them: %s", scorer_of(model).why_not
        )
    if packing == "padded":
        return Choice(batching.padded())
    why_not = why_padded(model, _sample(splits), batching, function)
    if why_not is None:
        return Choice(replace(batching, shared=True))
    if packing == "shared":
        raise InputError(f"packing shared: {why_not}. Use --packing padded, or auto")
    logger.warning("texts do not share rows (packing padded): %s", why_not)
    return Choice(batching.padded(), why_not)


def why_padded(
    model: Any, examples: list[dict[str, Any]], batching: Batching, function: Function
) -> str | None:
    """Return why the values of examples differ between packed and padded rows; None if they agree.

    Args:
        model: unwrapped.
        examples: longest first.
        batching: its limits are widened until two examples lie in one row.
        function: as in choose_batching.
    """
    widths = [sum(len(example[f"{part}_ids"]) for part in _PARTS) for example in examples]
    width = rounded_up(max(widths) + min(widths), batching.limits.multiple_of)
    wide = replace(batching.limits, tokens=width, pairs=None, long_rows=True)
    packed = replace(batching, limits=wide, shared=True).collate(examples)
    plain = [batching.padded().collate([example]) for example in examples]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            values = _packed_values(model, function, packed)
            if isinstance(values, str):
                return values
            expected = torch.cat([_values(model, function, batch) for batch in plain])
            return _difference(_by_pair(values, packed["scored"]), expected, _coarsest(model))
    finally:
        model.train(was_training)


_PARTS = ("prompt", "chosen", "rejected")


def _packed_values(
    model: Any, function: Function, batch: dict[str, torch.Tensor]
) -> torch.Tensor | str:
    """Return the values, or why the model does not give any."""
    try:
        return _values(model, function, batch)
    except (InputError, *CALL_ERRORS) as error:
        if is_out_of_memory(error):
            raise
        said = str(error).partition("\n")[0]
        return f"the model takes no packed rows ({type(error).__name__}: {said})"


def _values(model: Any, function: Function, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    on_device = {name: value.to(model.device) for name, value in batch.items()}
    values: torch.Tensor = through(model, function, on_device)
    return values


def _by_pair(values: torch.Tensor, scored: torch.Tensor) -> torch.Tensor:
    """Return values, of tokens or of whole sides, in the order of pairs; they come by side."""
    tokens = scored.sum(dim=1).tolist()
    sides = torch.split(values, tokens if len(values) == sum(tokens) else 1)
    pairs = len(tokens) // 2
    return torch.cat([side for i in range(pairs) for side in (sides[i], sides[pairs + i])])


def _coarsest(model: Any) -> torch.dtype:
    """Return the dtype that a model's values are rounded to most; quantised weights count as half.

    Adapters in float32 may sit on weights in bfloat16 or four bits.
    """
    dtypes = {parameter.dtype for parameter in model.parameters()}
    known = [dtype if dtype in TOLERANCE else torch.bfloat16 for dtype in dtypes]
    return max(known, key=TOLERANCE.__getitem__)


def _difference(values: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> str | None:
    most = TOLERANCE[dtype]
    if values.device.type != "cpu" and torch.get_float32_matmul_precision() != "highest":
        most = max(most, _ROUNDED_PRODUCTS)
    apart = float((values - expected).double().square().mean().sqrt())
    if apart <= most:
        return None
    return (
        f"packed and padded rows give values that differ by {apart:.2g} a token, where {most:g} is "
        "allowed: some of its layers do not keep to the mask and the positions of a packed row"
    )


def _sample(splits: Mapping[str, EncodedPairs]) -> list[dict[str, Any]]:
    """Return up to three pairs, longest first: longest in all, longest conversation, shortest."""
    lengths = [dataset_lengths(pairs) for pairs in splits.values()]
    whole = np.concatenate([part.shared for part in lengths])
    longer = np.concatenate([part.longer for part in lengths])
    order = np.argsort(-whole, kind="stable")
    longest = order[0] if longer[order[0]] == longer.max() else longer.argmax()
    places = {int(i) for i in (order[0], longest, order[-1])}
    ends = np.cumsum([len(pairs) for pairs in splits.values()])
    examples = []
    for place in sorted(places, key=lambda i: -whole[i]):
        number = int(np.searchsorted(ends, place, side="right"))
        pairs = list(splits.values())[number]
        examples.append(pairs[place - int(ends[number])])  # counted from the split's end
    return examples
