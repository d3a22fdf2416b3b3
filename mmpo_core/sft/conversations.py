"""Encoded conversations: what tokens.py makes and the trainer holds in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from mmpo_core.encoded_pairs import Ids, Ints, Ragged
from mmpo_core.engine.rows import PairLengths

Bools = npt.NDArray[np.bool_]
_NOTHING: Ids = np.zeros(0, dtype=np.int32)


@dataclass
class Refused:
    """Rows that were not used for one reason: how many, and the first one in words."""

    count: int
    first: str


def refuse(refused: dict[str, Refused], reason: str, where: str, count: int = 1) -> None:
    """Count rows that were not used. where: the first of them, and what is wrong with it."""
    known = refused.setdefault(reason, Refused(0, where))
    known.count += count


@dataclass
class ConversationReport:
    """What reading and encoding did to the conversations; `longest` counts tokens of one kept."""

    read: int = 0
    kept: int = 0
    cut: int = 0
    answers: int = 0
    system_merged: int = 0
    answers_altered: int = 0
    longest: int = 0
    refused: dict[str, Refused] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts for run.json."""
        names = ("read", "kept", "cut", "answers", "system_merged", "answers_altered", "longest")
        counts: dict[str, Any] = {name: getattr(self, name) for name in names}
        return counts | {"dropped": {reason: r.count for reason, r in self.refused.items()}}

    def lines(self) -> list[str]:
        """Return the summary for the terminal: one line a fact, only facts that happened."""
        said = {
            "the end cut off": self.cut,
            "system message moved into the user turn": self.system_merged,
            "answer rewritten by the chat template": self.answers_altered,
        }
        lines = [
            f"{self.kept} of {self.read} conversations encoded, with {self.answers} assistant "
            "messages"
        ]
        lines += [f"  {count} with {what}" for what, count in said.items() if count]
        lines += [f"  {r.count} dropped ({name}), first {r.first}" for name, r in self._refused()]
        return lines

    def _refused(self) -> Sequence[tuple[str, Refused]]:
        return sorted(self.refused.items(), key=lambda item: -item[1].count)


@dataclass(frozen=True)
class Conversations:
    """N conversations as token ids; a map-style dataset for torch.

    Attributes:
        tokens: their ids, BOS to the EOS after the last answer, or as far as the limit allows.
        wanted: (total,) which of tokens.values the loss is on: the assistant's.
    """

    tokens: Ragged
    wanted: Bools

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a conversation as a pair without a second answer, the form of the engine.

        Returns:
            prompt_ids up to the first wanted token, chosen_ids from there on, no rejected_ids;
            wanted, of the chosen_ids.
        """
        index = range(len(self))[index]  # counted from the end, too
        here = slice(self.tokens.offsets[index], self.tokens.offsets[index + 1])
        ids, wanted = self.tokens.values[here], self.wanted[here]
        first = int(wanted.argmax())
        return {
            "prompt_ids": ids[:first],
            "chosen_ids": ids[first:],
            "rejected_ids": _NOTHING,
            "wanted": wanted[first:],
        }

    @property
    def lengths(self) -> Ints:
        """(N,) tokens of each conversation."""
        return self.tokens.lengths

    @property
    def pair_lengths(self) -> PairLengths:
        """Their tokens as the engine counts those of pairs: all but the wanted ones as a prompt."""
        wanted = np.add.reduceat(self.wanted, self.tokens.offsets[:-1], dtype=np.int64)
        return PairLengths(self.lengths - wanted, wanted, np.zeros_like(wanted))

    @property
    def wanted_tokens(self) -> int:
        """How many tokens the loss is on."""
        return int(self.wanted.sum())

    def select(self, indices: npt.ArrayLike) -> "Conversations":
        """Return the conversations at `indices`, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        tokens = self.tokens.take(chosen)
        masks = replace(self.tokens, values=self.wanted.astype(np.int32)).take(chosen)
        return Conversations(tokens, masks.values.astype(bool))

    def keys(self) -> pa.ChunkedArray:
        """Return (N,) texts that are equal where conversations are the same tokens."""
        digests = [
            xxhash.xxh3_128_hexdigest(np.ascontiguousarray(self.tokens[i], dtype="<i4").tobytes())
            for i in range(len(self))
        ]
        return pa.chunked_array([pa.array(digests, pa.string())])


Splits = Mapping[str, Conversations]
