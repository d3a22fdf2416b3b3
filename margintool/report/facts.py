"""The facts that a report holds, as plain frozen dataclasses. Made by inspecting.py.

Lengths are in characters (Unicode code points) and words (runs between whitespace). Rows are
counted from 0, as in the contract's own messages.
"""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any

from mmpo_core.checks import Breach
from mmpo_core.file_metadata import recorded_gamma

Quantiles = dict[str, float]
"""min, 1%, 5%, 25%, 50%, 75%, 95%, 99%, max and mean; empty where there is no value."""


@dataclass(frozen=True)
class Column:
    """A column of the file. in_contract: False for one that the contract does not know."""

    name: str
    type: str
    nulls: int
    in_contract: bool


@dataclass(frozen=True)
class Histogram:
    """Counts of the values of a column; zeros are counted apart.

    counts: (K,), of K bins between (K + 1,) edges, the last one closed and reaching to the
    maximum, however far out that is; or, where a column has few different values, as ratings
    give, of (K,) values, and edges are empty.
    """

    column: str
    zeros: int
    edges: list[float]
    values: list[float]
    counts: list[int]


@dataclass(frozen=True)
class LongPrompt:
    """One of the longest prompts, with how it begins."""

    row: int
    characters: int
    words: int
    begins: str


@dataclass(frozen=True)
class LengthBias:
    """Whether longer answers win, over the pairs that are not ties.

    pearson, spearman: correlation of margin with length(chosen) - length(rejected); None where
    either does not vary or there are fewer than three pairs.
    """

    unit: str
    pairs: int
    longer: int
    equal: int
    shorter: int
    pearson: float | None
    spearman: float | None

    @property
    def share_longer(self) -> float | None:
        """Share of pairs whose chosen answer is the longer one; None without pairs."""
        return self.longer / self.pairs if self.pairs else None


@dataclass(frozen=True)
class Duplicates:
    """Repetition. A prompt is repeated when history and last user message are the same.

    repeated: rows whose prompt and two answers stand in an earlier row, in either order.
    swapped: those of them that are the other way round: the data contradicts itself.
    first_repeated: the first such row.
    identical_answers: rows whose chosen and rejected are the same text.
    prompts: number of different prompts.
    pairs_per_prompt: number of pairs -> number of prompts that have so many.
    """

    repeated: int
    swapped: int
    first_repeated: int | None
    identical_answers: int
    prompts: int
    pairs_per_prompt: dict[int, int]


@dataclass(frozen=True)
class PairReport:
    """Everything `margintool inspect` shows.

    quantiles: column -> Quantiles. lengths: column -> unit -> Quantiles.
    ties: pairs with margin 0. multi_turn: pairs with a history.
    metadata: the file's metadata as it is; empty where the file has none.
    sample: whole rows, with their number under `row`.
    """

    path: str
    pairs: int
    bytes: int
    row_groups: int
    breaches: list[Breach]
    columns: list[Column]
    metadata: dict[str, Any]
    sources: dict[str, int]
    quantiles: dict[str, Quantiles]
    histogram: Histogram | None
    ties: int
    multi_turn: int
    lengths: dict[str, dict[str, Quantiles]]
    longest_prompts: list[LongPrompt]
    length_bias: list[LengthBias]
    duplicates: Duplicates | None
    sample: list[dict[str, Any]] = field(default_factory=list)

    @property
    def gamma(self) -> float | None:
        """The gamma that the file's targets were made with; None where it is not recorded."""
        return recorded_gamma(self.metadata)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it: NaN becomes null, infinity a string."""
        facts = dataclasses.asdict(self)
        for bias, shown in zip(self.length_bias, facts["length_bias"], strict=True):
            shown["share_longer"] = bias.share_longer
        plain: dict[str, Any] = _plain(facts)
        return plain

    def to_json(self) -> str:
        """Return the report as strict JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
