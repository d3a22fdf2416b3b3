"""The pairs of a fit: read, sampled, and split by prompt into train, validation and test.

No prompt is on two sides. Which prompts are held out depends on the seed and their texts alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from margintool.hashing import keys, prompt_digests, seeded, text_digests
from margintool.similarity.fit.options import FitOptions
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_metadata, read_table

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TRAIN, VALIDATION, TEST = "train", "validation", "test"
# Of the two held-out parts: a correlation over one prompt says nothing of others.
FEWEST_PROMPTS = 2


@dataclass(frozen=True)
class Pairs:
    """N pairs of one part of a split.

    Args:
        table: pair_id, prompt, response_a (chosen), response_b (rejected), margin_raw.
        prompts: (N,) number of each pair's conversation; the same in all parts.
    """

    table: pa.Table
    prompts: Ints

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def margin(self) -> Floats:
        """(N,) known margins, margin_raw of the pair file."""
        return np.asarray(self.table.column("margin_raw").to_numpy(), np.float64)

    def counts(self) -> dict[str, int]:
        """Return how many pairs, prompts and ties there are."""
        return {
            "pairs": len(self),
            "prompts": len(np.unique(self.prompts)),
            "ties": int((self.margin == 0).sum()),
        }


@dataclass(frozen=True)
class FitData:
    """Everything that is fitted to and measured on.

    Args:
        parts: TRAIN, VALIDATION and TEST.
        metadata: of the pair file.
        rows: pairs in the file.
    """

    parts: Mapping[str, Pairs]
    metadata: dict[str, Any]
    rows: int


def load_fit_data(options: FitOptions) -> FitData:
    """Read the pair file and split it.

    Raises:
        InputError: if there is no such file, it is no pair file, it has too few prompts to split,
            or margins that are all the same.
    """
    table = read_table(options.pairs)
    rows = table.num_rows
    table = _sampled(table, options)
    parts = _split(table, options)
    for name, pairs in parts.items():
        if np.ptp(pairs.margin) == 0:
            raise InputError(
                f"{options.pairs}: all {len(pairs):,} {name} pairs have the margin "
                f"{pairs.margin[0]:g}, and there is nothing to learn or to measure. Give pairs of "
                "different margins, more of them, or another --seed"
            )
    return FitData(parts, read_metadata(options.pairs), rows)


def _sampled(table: pa.Table, options: FitOptions) -> pa.Table:
    if not options.max_pairs or table.num_rows <= options.max_pairs:
        return table
    order = np.argsort(seeded(keys(text_digests(table.column("pair_id"))), options.seed))
    return table.take(pa.array(np.sort(order[: options.max_pairs])))


def _split(table: pa.Table, options: FitOptions) -> dict[str, Pairs]:
    texts, prompts = np.unique(keys(prompt_digests(table)), return_inverse=True)
    count = len(texts)
    test, validation = (
        max(FEWEST_PROMPTS, round(share * count))
        for share in (options.test_fraction, options.eval_fraction)
    )
    if count - test - validation < FEWEST_PROMPTS:
        raise InputError(
            f"{options.pairs}: {count:,} different prompts are too few to hold out {test:,} for "
            f"the test and {validation:,} for validation. No prompt may be on two sides: give more"
        )
    rank = np.empty(count, np.int64)
    rank[np.argsort(seeded(texts, options.seed))] = np.arange(count)
    place = rank[prompts]
    rows = {
        TRAIN: place >= test + validation,
        VALIDATION: (place >= test) & (place < test + validation),
        TEST: place < test,
    }
    names = {"chosen": "response_a", "rejected": "response_b"}
    columns = ["pair_id", "prompt", *names, "margin_raw"]
    table = table.select(columns).rename_columns([names.get(name, name) for name in columns])
    return {
        name: Pairs(table.filter(pa.array(chosen)), prompts[chosen].astype(np.int64))
        for name, chosen in rows.items()
    }
