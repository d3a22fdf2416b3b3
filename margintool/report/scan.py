"""One pass over a pair file, row group by row group: numbers are kept, texts only measured.

Memory: one batch of rows, and about 150 bytes a row of numbers. Read next: measures.py.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from margintool.hashing import pair_keys
from margintool.progress import Progress
from margintool.report.columns import (
    contract_columns,
    mended_texts,
    without_nulls,
    word_counts,
)
from margintool.report.facts import LongPrompt
from mmpo_core.checks import Breach, column_breaches, id_breaches, row_breaches
from mmpo_core.file_metadata import recorded_gamma, unpack_metadata
from mmpo_core.pair_file import PathLike, damage_named, open_parquet
from mmpo_core.schema import METADATA_KEY, PAIR_SCHEMA

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

TEXTS = ("prompt", "chosen", "rejected")
NUMBERS = tuple(f.name for f in PAIR_SCHEMA if pa.types.is_floating(f.type))
BATCH_BYTES = 32 << 20
BATCH_ROWS = 16_384
LONGEST = 5
SHOWN_CHARACTERS = 200


@dataclass
class Scan:
    """What one pass found. Columns that the file lacks are absent from the dicts.

    numbers: column -> (N,), NaN where null. characters, words: text column -> (N,).
    turns: (N,) messages in the history. prompt_key, ordered_key, pair_key: (N,) hashes of the
    conversation, of that with both answers in order, and with both answers in either order.
    """

    rows: int
    bytes: int
    row_groups: int
    schema: pa.Schema
    metadata: dict[str, Any]
    breaches: list[Breach]
    nulls: Counter[str]
    sources: Counter[str]
    numbers: dict[str, Floats]
    characters: dict[str, Ints]
    words: dict[str, Ints]
    turns: Ints | None
    prompt_key: Keys | None
    ordered_key: Keys | None
    pair_key: Keys | None
    identical_answers: int
    longest: list[LongPrompt]
    sample: list[dict[str, Any]]


def scan(path: PathLike, wanted_rows: Callable[[int], Ints], progress: Progress) -> Scan:
    """Read a pair file once, whatever it breaks.

    Args:
        path: a Parquet file.
        wanted_rows: number of rows -> sorted numbers of the rows to return whole.
        progress: told of the rows read.

    Raises:
        InputError: if the file is missing, unreadable, damaged or not Parquet.
    """
    with open_parquet(path) as file:
        packed = (file.schema_arrow.metadata or {}).get(METADATA_KEY)
        metadata, breaches = unpack_metadata(packed)
        breaches += column_breaches(file.schema_arrow)
        wanted = wanted_rows(file.metadata.num_rows)
        gathered = _Gathered(wanted, recorded_gamma(metadata))
        progress.start("reading", file.metadata.num_rows)
        with damage_named(path):
            for batch in file.iter_batches(batch_size=batch_rows(file)):
                gathered.add(pa.Table.from_batches([batch]))
                progress.advance(batch.num_rows)
            breaches += [*gathered.breaches, *repeated_ids(file)]
        return Scan(
            bytes=Path(path).stat().st_size,
            row_groups=file.num_row_groups,
            schema=file.schema_arrow,
            metadata=metadata,
            breaches=breaches,
            **gathered.result(),
        )


def batch_rows(file: pq.ParquetFile) -> int:
    """Return how many rows take about BATCH_BYTES by the file's own account."""
    groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    widest = max((g.total_byte_size / max(g.num_rows, 1) for g in groups), default=1.0)
    return int(min(max(BATCH_BYTES / max(widest, 1.0), 1), BATCH_ROWS))


def repeated_ids(file: pq.ParquetFile) -> Iterator[Breach]:
    """Yield the first pair_id that stands in an earlier row too."""
    found = contract_columns(file.read(columns=["pair_id"]))
    if "pair_id" in found.column_names:
        yield from id_breaches(found.column("pair_id"))


@dataclass
class _Gathered:
    """What has been found so far: `add` takes one batch after the other."""

    wanted: Ints
    gamma: float | None
    rows: int = 0
    identical_answers: int = 0
    breaches: list[Breach] = field(default_factory=list)
    nulls: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    parts: dict[str, list[Any]] = field(default_factory=dict)
    longest: list[tuple[int, int, LongPrompt]] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)

    def add(self, batch: pa.Table) -> None:
        for name, column in zip(batch.column_names, batch.columns, strict=True):
            self.nulls[name] += column.null_count
        table = contract_columns(batch)
        breaches = list(row_breaches(table, self.rows, self.gamma))
        self._note(breaches)
        table = mended_texts(table, {b.column for b in breaches if b.kind == "text"})
        self._keep_sample(table)
        table = without_nulls(table)
        self._measure(table)
        self._hash(table)
        self.rows += batch.num_rows

    def _note(self, breaches: Iterable[Breach]) -> None:
        """Keep the first breach of its kind in each column."""
        for breach in breaches:
            if all((b.kind, b.column) != (breach.kind, breach.column) for b in self.breaches):
                self.breaches.append(breach)

    def _keep_sample(self, table: pa.Table) -> None:
        inside = self.wanted[(self.wanted >= self.rows) & (self.wanted < self.rows + len(table))]
        picked = table.take(pa.array(inside - self.rows)).to_pylist() if inside.size else []
        for row, values in zip(inside.tolist(), picked, strict=True):
            self.sample.append({"row": row, **values})

    def _measure(self, table: pa.Table) -> None:
        for name in table.column_names:
            column = table.column(name)
            if name in NUMBERS:
                self._put(name, column.to_numpy())
            elif name in TEXTS:
                characters, words = pc.utf8_length(column).to_numpy(), word_counts(column)
                self._put(f"characters {name}", characters)
                self._put(f"words {name}", words)
                if name == "prompt":
                    self._keep_longest(column, characters, words)
        if "source" in table.column_names:
            for found in pc.value_counts(table.column("source")).to_pylist():
                self.sources[found["values"]] += found["counts"]
        if "history" in table.column_names:
            self._put("turns", pc.list_value_length(table.column("history")).to_numpy())

    def _keep_longest(self, prompts: pa.ChunkedArray, characters: Ints, words: Ints) -> None:
        for i in np.argsort(-characters, kind="stable")[:LONGEST].tolist():
            begins = prompts[i].as_py()[:SHOWN_CHARACTERS]
            prompt = LongPrompt(self.rows + i, int(characters[i]), int(words[i]), begins)
            # Of equally long prompts the earlier row counts as the longer one.
            heapq.heappush(self.longest, (prompt.characters, -prompt.row, prompt))
        while len(self.longest) > LONGEST:
            heapq.heappop(self.longest)

    def _hash(self, table: pa.Table) -> None:
        if not {"history", *TEXTS} <= set(table.column_names):
            return
        prompt, ordered, turned = pair_keys(table)
        self._put("prompt_key", prompt)
        self._put("ordered_key", ordered)
        self._put("pair_key", np.minimum(ordered, turned))
        self.identical_answers += int((ordered == turned).sum())

    def _put(self, name: str, values: Any) -> None:
        self.parts.setdefault(name, []).append(values)

    def result(self) -> dict[str, Any]:
        """Return the fields of Scan that come from the rows."""
        keys_and_turns = ("turns", "prompt_key", "ordered_key", "pair_key")
        return {
            "rows": self.rows,
            "nulls": self.nulls,
            "sources": self.sources,
            "numbers": self._joined(NUMBERS),
            "characters": self._joined(TEXTS, "characters "),
            "words": self._joined(TEXTS, "words "),
            **{name: self._all(name) for name in keys_and_turns},
            "identical_answers": self.identical_answers,
            "longest": [prompt for *_, prompt in sorted(self.longest, reverse=True)],
            "sample": self.sample,
        }

    def _all(self, name: str) -> Any:
        """Return one array of N rows, or None if a batch lacked it."""
        parts = self.parts.get(name, [])
        whole = sum(len(part) for part in parts) == self.rows
        return np.concatenate(parts) if parts and whole else None

    def _joined(self, names: Iterable[str], prefix: str = "") -> dict[str, Any]:
        found = {name: self._all(prefix + name) for name in names}
        return {name: values for name, values in found.items() if values is not None}
