"""The pairs of an experiment: simulated ones whose truth is known, or the user's own.

Everything becomes a pair file by `score`. A simulated held-out pair is scored by the true
qualities of its answers with gamma 1, so that its target is the true Bradley-Terry probability
(margintool/simulate.py has the model of votes). Read by the experiments.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from margintool.demo.settings import SCORING as VOTES
from margintool.pipeline import score
from margintool.simulate import (
    ANSWER_WORDS,
    WORDS,
    WORTHS,
    Row,
    SimulationOptions,
    simulate,
    write_rows,
)
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_metadata, read_table, write_pairs
from mmpo_core.train_data import held_out_rows

# Qualities are log-odds: their difference is the margin, and gamma 1 gives the true probability.
# They may be below 0, which `score` does not expect of a rating.
_BEST = ANSWER_WORDS * float(np.abs(WORTHS).max())
KNOWN: dict[str, Any] = {
    "source": "ratings",
    "normalize": "none",
    "gamma": 1.0,
    "scale": (-_BEST, _BEST),
}
# The unit of raters' points is not known to be log-odds: the defaults find gamma from the data.
RATINGS: dict[str, Any] = {"source": "ratings"}
SHARE_HELD_OUT = 0.2

# The raters of the second simulated source value words as the voters do, but for four of them.
EXCHANGED = {"kind": "lazy", "bold": "dull"}
POINTS_PER_LOG_ODDS, MIDDLE, RATERS = 1.5, 5.5, 3

Worth = dict[str, float]
Rate = Callable[[Row], tuple[float, float]]


@dataclass(frozen=True)
class Data:
    """The pairs of an experiment.

    Attributes:
        name: what tables call it.
        train: pair file to train on.
        held_out: pair file to measure on; no prompt is in both.
        record: what experiment.json says about it.
    """

    name: str
    train: Path
    held_out: Path
    record: dict[str, Any]


def voters_taste() -> Worth:
    """Return word -> worth, as margintool.simulate has it."""
    return dict(zip(WORDS, WORTHS.tolist(), strict=True))


def raters_taste() -> Worth:
    """Return word -> worth of the second source: four words of EXCHANGED have each other's."""
    worth = voters_taste()
    for one, other in EXCHANGED.items():
        worth[one], worth[other] = worth[other], worth[one]
    return worth


def quality_of(text: str, worth: Worth) -> float:
    """Return an answer's quality in log-odds: the sum of its words' worths."""
    return sum(sorted(worth[word] for word in text.split()))


def true_qualities(worth: Worth) -> Rate:
    """Return what gives a row's two answers their qualities."""
    return lambda row: (
        quality_of(row["human_ref_A"], worth),
        quality_of(row["human_ref_B"], worth),
    )


def noisy_ratings(worth: Worth, seed: int) -> Rate:
    """Return what gives a row's two answers the mean of RATERS' points from 1 to 10.

    A rater's points are MIDDLE + POINTS_PER_LOG_ODDS * (quality + noise), rounded. The noise is
    Gumbel's, so that before rounding one rater puts A over B with the Bradley-Terry probability
    sigma(q_A - q_B).
    """
    rng = np.random.default_rng(seed)

    def rate(row: Row) -> tuple[float, float]:
        qualities = np.array(true_qualities(worth)(row))
        noise = rng.gumbel(size=(RATERS, 2)) - np.euler_gamma
        points = MIDDLE + POINTS_PER_LOG_ODDS * (qualities + noise)
        first, second = np.clip(np.round(points), 1, 10).mean(axis=0)
        return float(first), float(second)

    return rate


def simulated_votes(folder: Path, sizes: SimulationOptions) -> Data:
    """Draw votes to train on; what is held out is measured against the true probabilities."""
    drawn = simulate(sizes)
    train = _scored(drawn.train, folder / "votes-train", VOTES)
    held_out = _rated(
        drawn.heldout, folder / "votes-heldout", KNOWN, true_qualities(voters_taste())
    )
    return Data("votes", train, held_out, _about("simulated votes", train, held_out))


def known_margins(folder: Path, sizes: SimulationOptions) -> Data:
    """Draw pairs whose margins are the true differences of quality, in both splits."""
    drawn, rate = simulate(sizes), true_qualities(voters_taste())
    train = _rated(drawn.train, folder / "known-train", KNOWN, rate)
    held_out = _rated(drawn.heldout, folder / "known-heldout", KNOWN, rate)
    return Data("known", train, held_out, _about("simulated margins", train, held_out))


def simulated_ratings(folder: Path, sizes: SimulationOptions) -> Data:
    """Draw ratings by people of another taste, in points; see noisy_ratings."""
    # Another seed: other pairs than those of the votes.
    drawn, worth = simulate(replace(sizes, seed=sizes.seed + 1)), raters_taste()
    rows, others = _asked_otherwise(drawn.train), _asked_otherwise(drawn.heldout)
    rate = noisy_ratings(worth, sizes.seed + 1)
    train = _rated(rows, folder / "ratings-train", RATINGS, rate)
    held_out = _rated(others, folder / "ratings-heldout", KNOWN, true_qualities(worth))
    return Data("ratings", train, held_out, _about("simulated ratings", train, held_out))


def own_data(path: Path, folder: Path, *, limit: int | None, seed: int) -> Data:
    """Split the user's data by prompts; it is scored by votes first unless it is a pair file.

    Args:
        path: a pair file, or raw votes.
        folder: where both parts go.
        limit: read only the first pairs.
        seed: of the split.

    Raises:
        InputError: if it cannot be read, or has too few prompts to hold some out.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file. Give a pair file, or raw votes")
    name, pairs = path.name.split(".")[0], path
    if path.suffix != ".parquet":
        pairs = folder / f"{name}.parquet"
        score(input=path, out=pairs, overwrite=True, **VOTES)
    table, metadata = read_table(pairs), read_metadata(pairs)
    table = table if limit is None else table.slice(0, limit)
    held_out = held_out_rows(table["prompt"], SHARE_HELD_OUT, seed)
    parts = {"train": pc.invert(held_out), "heldout": held_out}
    files = {part: folder / f"{name}-{part}.parquet" for part in parts}
    for part, rows in parts.items():
        write_pairs(table.filter(rows), files[part], metadata)
    return Data(name, files["train"], files["heldout"], _about(str(path), *files.values()))


def _asked_otherwise(rows: Sequence[Row]) -> list[Row]:
    """Return rows whose prompts are none of the votes': there are few, and a seed repeats them."""
    return [{**row, "history": f"do {row['history']}"} for row in rows]


def _rated(rows: Sequence[Row], name: Path, scoring: dict[str, Any], rate: Rate) -> Path:
    """Write rows with two ratings each, and score them by these."""
    rated = []
    for row in rows:
        first, second = rate(row)
        answers = {"response_a": row["human_ref_A"], "response_b": row["human_ref_B"]}
        rated.append({"prompt": row["history"], **answers, "rating_a": first, "rating_b": second})
    return _scored(rated, name, scoring)


def _scored(rows: Sequence[Row], name: Path, scoring: dict[str, Any]) -> Path:
    raw, out = name.with_suffix(".jsonl.gz"), name.with_suffix(".parquet")
    write_rows(rows, raw)
    score(input=raw, out=out, overwrite=True, max_pairs_per_prompt=0, **scoring)
    return out


def _about(what: str, train: Path, held_out: Path) -> dict[str, Any]:
    return {
        "what": what,
        "train": str(train),
        "held_out": str(held_out),
        "pairs": read_table(train).num_rows,
        "held_out_pairs": read_table(held_out).num_rows,
    }
