"""The rejects file: one row for everything that was read and not used, with the reason."""

import shutil
from collections import Counter
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmpo_core.pair_file import COMPRESSION, whole_file

PROMPT_LENGTH = 200

REJECT_SCHEMA = pa.schema(
    [
        pa.field("origin", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
        pa.field("prompt", pa.string()),  # its first 200 characters
    ]
)

# Reasons that the pipeline itself gives; layouts and sources have theirs.
DUPLICATE = "duplicate_pair"
TIE = "tie_dropped"
SMALL = "below_min_margin"
CAPPED = "over_max_pairs_per_prompt"
SINGLE = "single_response"
MERGED = "merged_response"

DETAILS = {
    DUPLICATE: "the same prompt, chosen and rejected stand in an earlier row",
    TIE: "margin 0, and --ties drop",
    SMALL: "margin_raw below --min-margin",
    CAPPED: "the prompt has more pairs than --max-pairs-per-prompt",
    SINGLE: "the only usable response to its prompt: no pair can be made",
}


class Rejects:
    """Collects rejected rows in a file of the workspace, and counts them by reason."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._path = folder / "rejects.parquet"
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "Rejects":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(
        self,
        rows: pa.Table,
        reason: pa.Array | str,
        detail: pa.Array | None = None,
        stand_for: int | None = None,
    ) -> None:
        """Add rejected rows.

        Args:
            rows: table with `origin` and `prompt`.
            reason: one reason per row, or one of DETAILS for all of them.
            detail: the reason in words, per row; that of DETAILS if not given.
            stand_for: how many pairs the rows, all of one reason, stand for, where these are not
                listed one by one; counted in place of the rows.
        """
        if not rows.num_rows:
            return
        if isinstance(reason, str):
            detail = pa.repeat(DETAILS[reason], rows.num_rows)
            reason = pa.repeat(reason, rows.num_rows)
        prompt = pc.utf8_slice_codeunits(rows.column("prompt").cast(pa.string()), 0, PROMPT_LENGTH)
        columns = [rows.column("origin"), reason, detail, prompt]
        table = pa.table(columns, names=REJECT_SCHEMA.names).cast(REJECT_SCHEMA)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, REJECT_SCHEMA, compression=COMPRESSION)
        self._writer.write_table(table)
        for found in pc.value_counts(reason).to_pylist():
            self.counts[found["values"]] += found["counts"] if stand_for is None else stand_for

    def move_to(self, path: Path) -> None:
        """Finish the file and put it in place; no file is left there if nothing was rejected."""
        if self._writer is None:
            path.unlink(missing_ok=True)
            return
        self._writer.close()
        self._writer = None
        with whole_file(path) as beside:  # --rejects may name another disk than the workspace's
            shutil.move(self._path, beside)


def is_rejects_file(path: Path) -> bool:
    """Whether a file at `path` was written as rejects, and so may be replaced by newer ones."""
    try:
        names: list[str] = pq.read_schema(path).names
    except (pa.ArrowInvalid, OSError):
        return False
    expected: list[str] = REJECT_SCHEMA.names
    return names == expected
