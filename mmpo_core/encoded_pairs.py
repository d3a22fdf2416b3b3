"""Encoded pairs: what encode.py makes, collate.py batches, and the trainers hold in memory.

A pair is three runs of token ids: one prompt, shared by both answers, and two completions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from mmpo_core.engine.rows import PairLengths
from mmpo_core.errors import InputError

Ids = npt.NDArray[np.int32]
Digests = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ragged:
    """N runs of token ids of different lengths, end to end in one array.

    Attributes:
        values: (total,) int32.
        offsets: (N + 1,) int64; run i is values[offsets[i] : offsets[i + 1]].
    """

    values: Ids
    offsets: Ints

    @classmethod
    def of(cls, runs: Sequence[Ids]) -> "Ragged":
        """Join runs of ids."""
        offsets = np.zeros(len(runs) + 1, dtype=np.int64)
        np.cumsum([len(run) for run in runs], out=offsets[1:])
        values = np.concatenate(runs) if runs else np.zeros(0)
        return cls(values.astype(np.int32, copy=False), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ids:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> Ints:
        """(N,) tokens of each run."""
        return np.diff(self.offsets)

    def take(self, indices: npt.ArrayLike) -> "Ragged":
        """Return the runs at `indices`, in that order."""
        return Ragged.of([self[int(i)] for i in np.asarray(indices, dtype=np.int64)])


@dataclass(frozen=True)
class Dropped:
    """A pair that could not be encoded: its row in the table, from 0, and why."""

    row: int
    pair_id: str
    reason: str
    detail: str


@dataclass(frozen=True)
class EncodeReport:
    """What encoding did to the pairs. Counts are of pairs."""

    read: int
    kept: int
    prompts_cut: int
    completions_cut: int
    system_merged: int
    answers_altered: int
    dropped: tuple[Dropped, ...] = ()

    @property
    def dropped_by_reason(self) -> dict[str, int]:
        """Number of dropped pairs by reason."""
        return dict(Counter(d.reason for d in self.dropped))

    def to_dict(self) -> dict[str, Any]:
        """Return the counts for run.json."""
        names = ("read", "kept", "prompts_cut", "completions_cut", "system_merged")
        counts = {name: getattr(self, name) for name in (*names, "answers_altered")}
        return {**counts, "dropped": self.dropped_by_reason}

    def lines(self) -> list[str]:
        """Return the summary for the terminal: one line a fact, only facts that happened."""
        said = {
            "prompt cut from the left": self.prompts_cut,
            "completion cut from the right": self.completions_cut,
            "system message moved into the user turn": self.system_merged,
            "answer rewritten by the chat template": self.answers_altered,
        }
        lines = [f"{self.kept} of {self.read} pairs encoded"]
        lines += [f"  {count} with {what}" for what, count in said.items() if count]
        for reason, count in self.dropped_by_reason.items():
            first = next(d for d in self.dropped if d.reason == reason)
            lines.append(
                f"  {count} dropped ({reason}), first row {first.row}, pair_id {first.pair_id}: "
                f"{first.detail}"
            )
        return lines


@dataclass(frozen=True)
class EncodedPairs:
    """N pairs as token ids; a map-style dataset for torch.

    Attributes:
        prompt: N prompts, BOS to generation header.
        chosen: N completions, each ending in EOS.
        rejected: the same.
        row: (N,) int64, the pair's row in the table that was encoded.
        pair_id: N ids of the contract.
        columns: name -> (N,) float64; margin and weight to begin with, see `with_columns`.
        report: what encoding cut and dropped.
    """

    prompt: Ragged
    chosen: Ragged
    rejected: Ragged
    row: Ints
    pair_id: Sequence[str]
    report: EncodeReport
    columns: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompt)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return prompt_ids (P,), chosen_ids (C,), rejected_ids (R,), and a float per column."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        index = index % len(self)
        ids = {
            "prompt_ids": self.prompt[index],
            "chosen_ids": self.chosen[index],
            "rejected_ids": self.rejected[index],
        }
        return ids | {name: float(values[index]) for name, values in self.columns.items()}

    @property
    def pair_lengths(self) -> PairLengths:
        """Tokens of prompts, chosen and rejected answers."""
        return PairLengths(self.prompt.lengths, self.chosen.lengths, self.rejected.lengths)

    @property
    def lengths(self) -> Ints:
        """(N,) length of the longer conversation of each pair in tokens, for sorting."""
        return self.prompt.lengths + np.maximum(self.chosen.lengths, self.rejected.lengths)

    def with_columns(self, **columns: npt.ArrayLike) -> "EncodedPairs":
        """Return the pairs with more (or other) columns, each (N,).

        Raises:
            InputError: if a column is not (N,).
        """
        added = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
        for name, values in added.items():
            if values.shape != (len(self),):
                raise InputError(f"column {name!r} has shape {values.shape}, not ({len(self)},)")
        return replace(self, columns={**self.columns, **added})

    def select(self, indices: npt.ArrayLike) -> "EncodedPairs":
        """Return the pairs at `indices`, in that order. The report stays that of the whole."""
        chosen_rows = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            prompt=self.prompt.take(chosen_rows),
            chosen=self.chosen.take(chosen_rows),
            rejected=self.rejected.take(chosen_rows),
            row=self.row[chosen_rows],
            pair_id=[self.pair_id[int(i)] for i in chosen_rows],
            columns={name: values[chosen_rows] for name, values in self.columns.items()},
        )

    def digests(self) -> Digests:
        """Return (N, 16) uint8: of each pair, 128 bits of its token ids; margins do not enter.

        Reference log-probs depend on the ids and the reference model alone, so this is the pair's
        part of their cache key. The tokenizer, chat template, lengths and splits enter through it.
        """
        out = np.empty((len(self), 16), np.uint8)
        for i in range(len(self)):
            runs = (self.prompt[i], self.chosen[i], self.rejected[i])
            digest = xxhash.xxh3_128(np.array([len(run) for run in runs], dtype="<i8").tobytes())
            for run in runs:
                digest.update(np.ascontiguousarray(run, dtype="<i4").tobytes())
            out[i] = np.frombuffer(digest.digest(), np.uint8)
        return out
