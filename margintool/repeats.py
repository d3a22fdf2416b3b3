"""Responses that stand several times under one prompt become one, with the mean of its ratings.

Several raters of one response, or the same answer from several models, say the same thing: what
the answer is worth. As rows of their own they would be paired with themselves. Pure functions on
numpy columns; read by response_pairs.py.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from margintool.hashing import Keys

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Distinct:
    """N different responses, in the order in which they first appear.

    Args:
        row: (N,) row of the first rating of each.
        group: (N,) key of the prompt.
        text: (N,) half of the digest of the text.
        rating: (N,) mean rating.
        ratings: (N,) number of ratings behind it.
        repeats: (R,) rows that were merged into an earlier one, ascending.
        merged_into: (R,) that earlier row.
    """

    row: Rows
    group: Keys
    text: Keys
    rating: Floats
    ratings: Rows
    repeats: Rows
    merged_into: Rows


def merge_repeats(group: Keys, text: Keys, rating: Floats) -> Distinct:
    """Merge the responses of a group that are the same text.

    The mean does not depend on the order of the rows, and equal ratings give that very rating.

    Args:
        group: (N,) key of the prompt of each response.
        text: (N, 2) digest of its text.
        rating: (N,) finite ratings.
    """
    order = np.lexsort((rating, text[:, 1], text[:, 0], group))
    keys = np.column_stack([group, text])[order]
    new = np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)][: len(group)]
    starts = np.flatnonzero(new)
    ratings = np.diff(np.r_[starts, len(group)])
    first = np.minimum.reduceat(order, starts)
    lowest = rating[order[starts]]
    with np.errstate(over="ignore"):  # an infinite margin is rejected by name
        above = rating[order] - np.repeat(lowest, ratings)
        mean = lowest + np.add.reduceat(above, starts) / ratings
    into = np.repeat(first, ratings)
    repeats = np.flatnonzero(into != order)
    repeats = repeats[np.argsort(order[repeats])]
    place = np.argsort(first)
    row = first[place]
    return Distinct(
        row=row,
        group=group[row],
        text=text[row, 0],
        rating=mean[place],
        ratings=ratings[place],
        repeats=order[repeats],
        merged_into=into[repeats],
    )
