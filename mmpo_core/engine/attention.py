"""Who sees whom in a packed row, in the form that the model's attention takes.

A token sees the earlier tokens of its pair's prompt and of its own side. Positions restart with
every pair, and rejected begins where chosen does, so a sliding window is counted in positions:
that is the distance in the plain conversation, whatever lies between in the row. Read by
scoring.py; batches.py makes the segments.
"""

from collections.abc import Callable
from typing import Any

import torch

from mmpo_core.errors import InputError

Tensor = torch.Tensor

_SIDES = 3  # prompt, chosen, rejected
_FULL, _SLIDING = "full_attention", "sliding_attention"


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
        return {
            _FULL: form(segments, positions, None, dtype),
            _SLIDING: form(segments, positions, window, dtype),
        }
    # one kind of layer; models without layer types slide everywhere if there is a window
    slides = kinds != {_FULL} and not kinds - {_SLIDING}
    return form(segments, positions, window if slides else None, dtype)


def _form(config: Any) -> Callable[[Tensor, Tensor, int | None, torch.dtype], Any]:
    name = config._attn_implementation
    if name not in FORMS:
        raise InputError(
            f"attention implementation {name} takes no block mask (known: {', '.join(FORMS)})"
        )
    return FORMS[name]


def sees(segments: Tensor, positions: Tensor, window: int | None) -> Callable[..., Tensor]:
    """Return f(row, head, query, key) -> bool, elementwise over index tensors."""

    def visible(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        mine, other = segments[row, query], segments[row, key]
        same_pair = mine // _SIDES == other // _SIDES
        seen = (query >= key) & same_pair & ((other % _SIDES == 0) | (mine == other))
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


def _additive(
    segments: Tensor, positions: Tensor, window: int | None, dtype: torch.dtype
) -> Tensor:
    seen = _boolean(segments, positions, window, dtype)
    nothing = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return nothing.masked_fill_(~seen, torch.finfo(dtype).min)


def _blocks(segments: Tensor, positions: Tensor, window: int | None, dtype: torch.dtype) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    rows, width = segments.shape
    return create_block_mask(
        sees(segments, positions, window),
        B=rows,
        H=None,
        Q_LEN=width,
        KV_LEN=width,
        device=str(segments.device),
        # without compilation the whole square would be made first
        _compile=segments.device.type != "cpu",
    )


FORMS: dict[str, Callable[[Tensor, Tensor, int | None, torch.dtype], Any]] = {
    "sdpa": _boolean,
    "eager": _additive,
    "flex_attention": _blocks,
}
