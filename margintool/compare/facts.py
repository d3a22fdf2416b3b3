"""What a comparison holds, as plain frozen dataclasses. Made by comparing.py."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class FileFacts:
    """One of the compared files.

    Attributes:
        name: the letter that tables call it by.
        path: as given.
        source, margin, unit: estimator and unit of margin_raw by the file's metadata; None where
            that does not say.
        gamma: that p_chosen was made with; None where it is not recorded.
        rows: rows in the file.
        repeated: rows merged into an earlier one with the same pair, either way round.
        identical: rows left out, whose two answers are the same text.
        pairs: different pairs, what is compared.
        ties: those without a winner.
    """

    name: str
    path: str
    source: str | None
    margin: str | None
    unit: str | None
    gamma: float | None
    rows: int
    repeated: int
    identical: int
    pairs: int
    ties: int

    @property
    def estimator(self) -> str:
        """Source and margin, as `shp log-ratio`; empty where the file does not say."""
        return " ".join(part for part in (self.source, self.margin) if part)


@dataclass(frozen=True)
class Estimate:
    """A number of the joined pairs.

    Attributes:
        value: None where it is not defined; infinite for a log-loss of sure failures.
        low, high: 95% bootstrap interval over prompts; None where there is none.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Calibration:
    """How good the p_chosen of one file are if another file is the truth.

    Attributes:
        predicted, truth: names of the files.
        against_outcome: accuracy, ece, brier, log_loss against the truth's winner: 1, 0, or 1/2
            for a tie.
        against_target: the same against the truth's own p_chosen.
    """

    predicted: str
    truth: str
    against_outcome: dict[str, Estimate]
    against_target: dict[str, Estimate]


@dataclass(frozen=True)
class TwoFiles:
    """How far two files agree on their common pairs.

    Attributes:
        a, b: names of the files.
        pairs: pairs in both.
        prompts: different conversations of these.
        only_a, only_b: pairs in one alone.
        same_winner, other_winner: pairs that have a winner in both files: the same, or not.
        tie_a, tie_b: pairs that are a tie in one file alone.
        tie_both: ties in both.
        agreement: the numbers of measures.AGREEMENT.
        calibration: of a with b as truth, and of b with a as truth.
        drawn: how many prompts each resample drew; fewer than `prompts` in large files, whose
            intervals are then of the m out of n bootstrap.
        notes: what to know when reading the numbers.
    """

    a: str
    b: str
    pairs: int
    prompts: int
    only_a: int
    only_b: int
    same_winner: int
    other_winner: int
    tie_a: int
    tie_b: int
    tie_both: int
    agreement: dict[str, Estimate]
    calibration: tuple[Calibration, Calibration]
    drawn: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Everything `margintool compare` shows.

    Attributes:
        files: the files, in the order given.
        comparisons: the first file with every later one.
        spearman: (F, F) rank correlation of signed margins of every two files on the pairs that
            these two have in common; None where there are none, or it is not defined.
        bootstrap, seed: resamples behind the intervals, and their seed.
    """

    files: tuple[FileFacts, ...]
    comparisons: tuple[TwoFiles, ...]
    spearman: tuple[tuple[float | None, ...], ...]
    bootstrap: int
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold: infinity becomes the string "inf"."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    def to_json(self) -> str:
        """Return the comparison as strict JSON."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return value
