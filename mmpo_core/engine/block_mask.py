"""FlexAttention's BlockMask of packed rows, from what lies in each block of 128 tokens.

torch's own create_block_mask looks at every pair of tokens, T^2 of a row of T, or is compiled
for that, again for each kind of shape. Here a block pair is looked at once: by the segments
and positions in it, whether all of it is visible, none, or the kernel has to ask token by token.
In doubt it asks. Read by attention.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad

Tensor = torch.Tensor

BLOCK = 128
SIDES = 3  # prompt, chosen, rejected


class _Ends(NamedTuple):
    """The least and the greatest value in each block, (R, blocks) each."""

    least: Tensor
    greatest: Tensor


def block_mask(
    visible: Callable[..., Tensor], segments: Tensor, positions: Tensor, window: int | None
) -> Any:
    """Return the BlockMask of packed rows.

    Args:
        visible: f(row, head, query, key), asked where a block is visible in part.
        segments: (R, T) int, 3 * pair + side; padding has a number of its own.
        positions: (R, T) int64 position in the conversation.
        window: keys at this distance or more are not seen; None for no window.
    """
    from torch.nn.attention.flex_attention import BlockMask

    width = segments.shape[1]
    part, full = _kinds(segments, positions, window)
    # where the width is no multiple of blocks; older versions of torch do not know the keyword
    lengths: dict[str, Any] = {"seq_lengths": (width, width)} if width % BLOCK else {}
    return BlockMask.from_kv_blocks(
        *_listed(part), *_listed(full), BLOCK_SIZE=BLOCK, mask_mod=visible, **lengths
    )


def _kinds(segments: Tensor, positions: Tensor, window: int | None) -> tuple[Tensor, Tensor]:
    """Return which blocks of keys are seen in part and which in full, (R, queries, keys) bool."""
    beyond = -segments.shape[1] % BLOCK
    # what lies beyond the row is a segment of its own there: the last block is never full
    parts = _ends(pad(segments, (0, beyond), value=int(torch.iinfo(segments.dtype).max)))
    places = _ends(pad(positions, (0, beyond), value=0))
    query, key = _facing(parts)
    number = torch.arange(query.least.shape[1], device=segments.device)
    before, same = number[None, :] < number[:, None], number[None, :] == number[:, None]
    pairs_meet = (query.least // SIDES <= key.greatest // SIDES) & (
        key.least // SIDES <= query.greatest // SIDES
    )
    alone = (query.least == query.greatest) & (key.least == key.greatest)
    one_seen = pairs_meet & ((key.least % SIDES == 0) | (query.least == key.least))
    some = (before | same) & torch.where(alone, one_seen, pairs_meet)
    full = before & alone & one_seen
    if window is not None:
        from_place, to_place = _facing(places)
        some = some & (from_place.least - to_place.greatest < window)
        full = full & (from_place.greatest - to_place.least < window)
    return some & ~full, full


def _ends(values: Tensor) -> _Ends:
    blocks = values.reshape(len(values), -1, BLOCK)
    return _Ends(blocks.amin(dim=2), blocks.amax(dim=2))


def _facing(ends: _Ends) -> tuple[_Ends, _Ends]:
    """Return the ends of blocks of queries, (R, Q, 1), and of keys, (R, 1, K)."""
    query = _Ends(*(value[:, :, None] for value in ends))
    return query, _Ends(*(value[:, None, :] for value in ends))


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each block of queries how many blocks of keys, and which first, as heads share.

    Args:
        blocks: (R, Q, K) bool.

    Returns:
        (R, 1, Q) and (R, 1, Q, K) int32; after the counted ones come the others.
    """
    order = blocks.to(torch.int8).argsort(dim=2, descending=True, stable=True)
    return blocks.sum(dim=2, dtype=torch.int32)[:, None], order.to(torch.int32)[:, None]
