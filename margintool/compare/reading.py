"""One pass over a pair file: keys and numbers of its pairs are kept, texts are not.

Memory: one batch of rows, and about 100 bytes a row of keys and numbers. Read by
comparing.py; joining.py matches what two files gave.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from margintool.hashing import Keys, keys, pair_keys, text_digests
from margintool.progress import Progress
from margintool.repeats import merge_repeats
from margintool.report.scan import batch_rows, repeated_ids
from mmpo_core.checks import column_breaches, refuse, row_breaches
from mmpo_core.conform import conform
from mmpo_core.errors import InputError
from mmpo_core.file_metadata import recorded_gamma
from mmpo_core.pair_file import PathLike, damage_named, open_parquet, read_metadata

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """The D different pairs of a file, each turned so that the order of its texts does not count.

    Which of the two answers is "the first" is decided by their digests alone, so it is the same
    in every file, whoever won there.

    Attributes:
        path: of the file.
        metadata: of the file.
        rows: rows in the file.
        repeated: rows that were merged into an earlier row with the same pair.
        identical: rows left out because both answers are the same text: nobody can win.
        key: (D,) of conversation and both answers.
        prompt: (D,) of the conversation.
        margin: (D,) margin_raw, > 0 where the first answer won, < 0 where the second did.
        target: (D,) probability that the first answer wins: p_chosen or 1 - p_chosen.
    """

    path: str
    metadata: dict[str, Any]
    rows: int
    repeated: int
    identical: int
    key: Keys
    prompt: Keys
    margin: Floats
    target: Floats

    @property
    def ties(self) -> int:
        """Different pairs without a winner."""
        return int((self.margin == 0).sum())


def read_pair_keys(path: PathLike, progress: Progress) -> Pairs:
    """Read a pair file under the contract, batch by batch.

    A pair that stands in several rows (both ways round, or from several sources) counts once,
    with the mean of its signed margins and of its probabilities. Equal margins of both
    orientations so give a tie.

    Raises:
        InputError: if the file is missing, damaged, not Parquet, empty, or breaks the contract
            (then a ContractError with the column and the first bad row).
    """
    parts = [_numbers(table) for table in contract_batches(path, progress)]
    if not parts:
        raise InputError(f"{path}: has no pairs")
    key, prompt, margin, target, same = map(np.concatenate, zip(*parts, strict=True))
    apart = ~same
    key, prompt, margin, target = (x[apart] for x in (key, prompt, margin, target))
    row, margin, target = _merged(key, margin, target)
    return Pairs(
        path=str(path),
        metadata=read_metadata(path),
        rows=len(apart),
        repeated=int(apart.sum()) - len(row),
        identical=int((~apart).sum()),
        key=key[row],
        prompt=prompt[row],
        margin=margin,
        target=target,
    )


def contract_batches(path: PathLike, progress: Progress) -> Iterator[pa.Table]:
    """Yield a pair file's rows in batches, each checked; what is wrong is raised, as read_pairs."""
    gamma = recorded_gamma(read_metadata(path))
    with open_parquet(path) as file:
        refuse(column_breaches(file.schema_arrow), str(path))
        progress.start(f"reading {path}", file.metadata.num_rows)
        row, ids = 0, []
        with damage_named(path):
            for batch in file.iter_batches(batch_size=batch_rows(file)):
                table = conform(pa.Table.from_batches([batch]))
                refuse(row_breaches(table, row, gamma), str(path))
                row += table.num_rows
                ids.append(keys(text_digests(table.column("pair_id"))))
                yield table
                progress.advance(table.num_rows)
            # The ids themselves are read only where two of them seem to be the same.
            if ids and len(np.unique(np.concatenate(ids))) < row:
                refuse(repeated_ids(file), str(path))


def _numbers(table: pa.Table) -> tuple[Keys, Keys, Floats, Floats, npt.NDArray[np.bool_]]:
    """Return key, prompt, signed margin, target and whether both answers are the same; (N,)."""
    prompt, ordered, turned = pair_keys(table)
    margin, target = (table.column(name).to_numpy() for name in ("margin_raw", "p_chosen"))
    first_won = ordered < turned
    return (
        np.minimum(ordered, turned),
        prompt,
        np.where(first_won, margin, -margin),
        np.where(first_won, target, 1.0 - target),
        ordered == turned,
    )


def _merged(
    key: Keys, margin: Floats, target: Floats
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Return the first row, mean margin and mean target of each different key."""
    if len(np.unique(key)) == len(key):
        return np.arange(len(key)), margin, target
    text = np.column_stack([key, key])
    by_margin, by_target = (merge_repeats(key, text, values) for values in (margin, target))
    return by_margin.row, by_margin.rating, by_target.rating
