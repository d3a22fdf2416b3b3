"""Who sees whom in a packed row, in the form that the model's attention takes.

A token sees the earlier tokens of its pair's prompt and of its own side. Positions restart with
every pair, and rejected begins where chosen does, so a sliding window is counted in positions:
that is the distance in the plain conversation, whatever lies between in the row. Read by
scoring.py; batches.py makes the segments.
"""

from collections.abc import Callable
from typing import Any

import torch

from mmpo_core.engine.block_mask import SIDES, block_mask
from mmpo_core.engine.by_pair import carrying_spans
from mmpo_core.errors import InputError

Tensor = torch.Tensor

_FULL, _SLIDING = "full_attention", "sliding_attention"
_ENDLESS = 2**31 - 1
# flex_attention is compiled again for one row or several, one block or several, gradients or none.
# Past dynamo's own limit of 8 it would run uncompiled from then on, and hold every score.
_KINDS_OF_SHAPES = 64


def packed_attention(config: Any, segments: Tensor, positions: Tensor, dtype: torch.dtype) -> Any:
    """Return what a decoder takes as `attention_mask` for packed rows.

    transformers hands a four-dimensional mask to every layer as it is, and a dict of masks by layer
    type where layers differ.

    Args:
        config: the decoder's; its attention implementation and layer types are read.
        segments: (R, T) int, 3 * pair + side; padding has a number of its own.
        positions: (R, T) int64 position in the conversation.
        dtype: of a mask that is added to the scores.

    Returns:
        a bool (R, 1, T, T) mask for sdpa, an additive one for eager, a BlockMask for
        flex_attention; or a dict of them.

    Raises:
        InputError: if the implementation takes none of these.
    """
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    form = _form(config)
    if kinds <= {_FULL, _SLIDING} and len(kinds) > 1:
        # for flex_attention, one compiled kernel serves both kinds if both have a window
        full = _ENDLESS if form is _blocks else None
        return {
            _FULL: form(segments, positions, full, dtype),
            _SLIDING: form(segments, positions, window, dtype),
        }
    # one kind of layer; models without layer types slide everywhere if there is a window
    slides = kinds != {_FULL} and not kinds - {_SLIDING}
    return form(segments, positions, window if slides else None, dtype)


def skips_hidden(config: Any, device: torch.device, *, compiled: bool = False) -> bool:
    """Return whether attention leaves out what a packed row's mask hides, so that rows may be long.

    Args:
        config: the decoder's.
        device: where it runs.
        compiled: whether the decoder is compiled: by_pair.py leaves that the mask.
    """
    if config._attn_implementation == "flex_attention":
        return True
    by_pair = config._attn_implementation == "sdpa" and device.type == "cpu" and not compiled
    return by_pair and getattr(config, "sliding_window", None) is None


def _form(config: Any) -> Callable[[Tensor, Tensor, int | None, torch.dtype], Any]:
    name = config._attn_implementation
    if name not in FORMS:
        raise InputError(
            f"attention implementation {name} takes no block mask (known: {', '.join(FORMS)})"
        )
    return FORMS[name]


def sees(segments: Tensor, positions: Tensor, window: int | Tensor | None) -> Callable[..., Tensor]:
    """Return f(row, head, query, key) -> bool, elementwise over index tensors."""

    def visible(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        mine, other = segments[row, query], segments[row, key]
        same_pair = mine // SIDES == other // SIDES
        seen = (query >= key) & same_pair & ((other % SIDES == 0) | (mine == other))
        if window is not None:
            seen = seen & (positions[row, query] - positions[row, key] < window)
        return seen

    return visible


def _boolean(segments: Tensor, positions: Tensor, window: int | None, dtype: torch.dtype) -> Tensor:
    rows, width = segments.shape
    row = torch.arange(rows, device=segments.device)[:, None, None]
    place = torch.arange(width, device=segments.device)
    visible = sees(segments, positions, window)
    return visible(row, row, place[None, :, None], place[None, None, :])[:, None]


def _for_sdpa(
    segments: Tensor, positions: Tensor, window: int | None, dtype: torch.dtype
) -> Tensor:
    mask = _boolean(segments, positions, window, dtype)
    # on a GPU a launch for every pair was never measured against one with a mask
    bound = window is not None and int(positions.max()) >= window
    return mask if bound or mask.device.type != "cpu" else carrying_spans(mask, segments)


def _additive(
    segments: Tensor, positions: Tensor, window: int | None, dtype: torch.dtype
) -> Tensor:
    seen = _boolean(segments, positions, window, dtype)
    nothing = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return nothing.masked_fill_(~seen, torch.finfo(dtype).min)


def _blocks(segments: Tensor, positions: Tensor, window: int | None, dtype: torch.dtype) -> Any:
    limits = torch._dynamo.config
    limits.cache_size_limit = max(limits.cache_size_limit, _KINDS_OF_SHAPES)
    # a number would be compiled into the kernel
    reach = None if window is None else torch.tensor(window, device=segments.device)
    return block_mask(sees(segments, positions, reach), segments, positions, window)


FORMS: dict[str, Callable[[Tensor, Tensor, int | None, torch.dtype], Any]] = {
    "sdpa": _for_sdpa,
    "eager": _additive,
    "flex_attention": _blocks,
}
