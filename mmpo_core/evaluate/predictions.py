"""What a model says of N pairs, one row a pair: the columns that every metric reads.

Made where a model is run over a pair file, written as `predictions.parquet`, read back by
whoever measures. Numpy and pyarrow; no torch.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmpo_core.errors import InputError
from mmpo_core.pair_file import COMPRESSION, PathLike, damage_named, open_parquet, whole_file

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[Any]

FILE_NAME = "predictions.parquet"
KEY = b"margintool_predictions"
POLICY, REWARD = "policy", "reward"

_FLOATS = ("margin", "target", "h", "chosen_score", "rejected_score")
_INTEGERS = ("chosen_tokens", "rejected_tokens")
_LABELS = ("pair_id", "prompt_id", "source")
COLUMNS = (*_LABELS, *_FLOATS, *_INTEGERS, "tie")
_ABOUT = ("model", "kind", "gamma", "beta")


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's predictions of N pairs; arrays are (N,).

    Attributes:
        pair_id: the pair file's, str.
        prompt_id: str or int, the same for pairs of one prompt: what bootstrap draws.
        source: the pair file's, str.
        margin: the pair file's, >= 0, unit-free; float64.
        target: p = sigma(gamma * margin), the probability that chosen is better; float64.
        h: the model's log-odds that chosen is better; float64, finite.
        chosen_score, rejected_score: beta * log-ratio, or the reward; float64. h is their
            difference.
        chosen_tokens, rejected_tokens: lengths of the answers; int64.
        tie: whether the pair file has the two answers level; bool.
        model: what was evaluated, as named by the user.
        kind: POLICY or REWARD.
        gamma: behind `target`; None where targets are the file's own and it records none.
        beta: of the implicit reward; None for a reward model.
    """

    pair_id: Labels
    prompt_id: Labels
    source: Labels
    margin: Floats
    target: Floats
    h: Floats
    chosen_score: Floats
    rejected_score: Floats
    chosen_tokens: Integers
    rejected_tokens: Integers
    tie: Bools
    model: str = ""
    kind: str = POLICY
    gamma: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        """Bring columns to their types and check them.

        Raises:
            InputError: naming the column and its first bad row: not (N,), not finite, a target
                that is no probability, a margin below 0; or an unknown kind.
        """
        for name in COLUMNS:
            object.__setattr__(self, name, _column(name, getattr(self, name), len(self.pair_id)))
        self._refuse("target", ~((self.target >= 0) & (self.target <= 1)), "a probability")
        self._refuse("margin", self.margin < 0, "a number >= 0")
        if self.kind not in (POLICY, REWARD):
            raise InputError(f"kind must be {POLICY!r} or {REWARD!r}, got {self.kind!r}")

    def __len__(self) -> int:
        return len(self.pair_id)

    @property
    def length_difference(self) -> Integers:
        """Tokens of chosen less those of rejected, (N,)."""
        return self.chosen_tokens - self.rejected_tokens

    def take(self, rows: npt.ArrayLike) -> "Predictions":
        """Return the given rows, with repeats, in their order. rows: numbers, or a (N,) mask."""
        at = np.asarray(rows)
        return replace(self, **{name: getattr(self, name)[at] for name in COLUMNS})

    def to_table(self) -> pa.Table:
        """Return the columns as Arrow, with model, kind, gamma and beta as JSON metadata."""
        about = {name: _json_number(getattr(self, name)) for name in _ABOUT}
        table = pa.table({name: _arrow(getattr(self, name)) for name in COLUMNS})
        return table.replace_schema_metadata({KEY: json.dumps(about, allow_nan=False).encode()})

    @classmethod
    def from_table(cls, table: pa.Table, where: str = "predictions") -> "Predictions":
        """Return what `to_table` gave.

        Raises:
            InputError: if a column or the metadata is missing, or a value is not allowed.
        """
        missing = [name for name in COLUMNS if name not in table.column_names]
        packed = (table.schema.metadata or {}).get(KEY)
        if missing or packed is None:
            what = f"column {missing[0]!r}" if missing else "metadata of predictions"
            raise InputError(f"{where}: no {what}. It is written by `margintool evaluate`")
        about = json.loads(packed)
        about["gamma"] = None if about["gamma"] is None else float(about["gamma"])
        columns = {name: table.column(name).to_numpy() for name in COLUMNS}
        try:
            return cls(**columns, **{name: about[name] for name in _ABOUT})
        except InputError as error:
            raise InputError(f"{where}: {error}") from error

    def write(self, path: PathLike) -> None:
        """Write a Parquet file, whole or not at all.

        Raises:
            InputError: if it cannot be written.
        """
        with whole_file(path) as temporary:
            pq.write_table(self.to_table(), temporary, compression=COMPRESSION)

    @classmethod
    def read(cls, path: PathLike) -> "Predictions":
        """Read a file that `write` wrote.

        Raises:
            InputError: if it is missing, damaged, or holds something else.
        """
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file. `margintool evaluate` writes predictions")
        with open_parquet(path) as file, damage_named(path):
            table = file.read()
        return cls.from_table(table, str(path))

    def _refuse(self, name: str, bad: Bools, expected: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"{name}[{row}] is {getattr(self, name)[row]}, expected {expected}")


def _column(name: str, values: Any, rows: int) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (rows,):
        raise InputError(f"{name} must be a ({rows},) array like pair_id, got {array.shape}")
    if name in _LABELS:
        return array
    kind = np.float64 if name in _FLOATS else np.int64 if name in _INTEGERS else np.bool_
    array = array.astype(kind)
    lost = ~np.isfinite(array) if name in _FLOATS else np.zeros(rows, bool)
    if lost.any():
        row, count = int(np.argmax(lost)), int(lost.sum())
        raise InputError(f"{name}[{row}] is {array[row]}, not finite ({count} of {rows} rows)")
    return array


def _arrow(array: npt.NDArray[Any]) -> pa.Array:
    return pa.array(array.tolist() if array.dtype.kind in "OU" else array)


def _json_number(value: Any) -> Any:
    # JSON has no infinity: hard labels (gamma = inf) are the text "inf", as in a pair file.
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def prediction_file(out: Path, label: str, *, single: bool) -> Path:
    """Return where a model's predictions are: in a folder of its own if there are several."""
    return out / FILE_NAME if single else out / label / FILE_NAME
