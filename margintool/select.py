"""Which scored pairs are written: duplicates, ties, small margins and the cap per prompt.

Works on numbers only. Every choice is a verdict per pair, so that the dropped ones are named.
"""

import numpy as np
import numpy.typing as npt

from margintool.first_pass import FirstPass
from margintool.hashing import Keys, seeded
from margintool.rejects import CAPPED, DUPLICATE, SMALL, TIE
from margintool.score_options import ScoreOptions

KEPT = 0
VERDICTS = ("kept", DUPLICATE, TIE, SMALL, CAPPED)
Verdicts = npt.NDArray[np.uint8]


def select(found: FirstPass, options: ScoreOptions, max_pairs_per_prompt: int) -> Verdicts:
    """Return (N,) verdicts: KEPT, or the index in VERDICTS of why a pair is dropped.

    The cap is applied last, to pairs that nothing else dropped: a seeded sample, in which each
    pair draws by its own id, so that it does not depend on the order of the file.
    """
    verdicts = np.zeros(len(found.margin_raw), dtype=np.uint8)
    if options.ties == "drop":
        _drop(verdicts, found.margin_raw == 0, TIE)
    _drop(verdicts, found.margin_raw < options.min_margin, SMALL)
    # After the margins: of two equal pairs the one that is dropped for its margin is not kept.
    left = np.flatnonzero(verdicts == KEPT)
    verdicts[left[repeated(found.pair[left])]] = VERDICTS.index(DUPLICATE)
    if max_pairs_per_prompt:
        left = np.flatnonzero(verdicts == KEPT)
        draw = seeded(found.pair[left, 1], options.seed)
        over = rank_in_group(found.prompt[left], draw) >= max_pairs_per_prompt
        verdicts[left[over]] = VERDICTS.index(CAPPED)
    return verdicts


def _drop(verdicts: Verdicts, where: npt.NDArray[np.bool_], reason: str) -> None:
    verdicts[where & (verdicts == KEPT)] = VERDICTS.index(reason)


def repeated(pair: Keys) -> npt.NDArray[np.bool_]:
    """Return (N,) whether the same (N, 2) digest stands in an earlier row."""
    order = np.lexsort((np.arange(len(pair)), pair[:, 1], pair[:, 0]))
    same = (pair[order[1:]] == pair[order[:-1]]).all(axis=1)
    result = np.zeros(len(pair), dtype=bool)
    result[order[1:][same]] = True
    return result


def rank_in_group(group: Keys, draw: Keys) -> npt.NDArray[np.int64]:
    """Return (N,) each row's rank, from 0, among the rows of its group by ascending draw."""
    order = np.lexsort((draw, group))
    ordered = group[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]] if len(group) else np.zeros(0, bool)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(group)), 0))
    ranks = np.empty(len(group), dtype=np.int64)
    ranks[order] = np.arange(len(group)) - first
    return ranks
