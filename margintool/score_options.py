"""The options of `score`: every name, default and help text, once. The CLI is built from it.

What is read (input_options.py), what becomes of it (below), and what only one source reads: what
a judge is asked (judge/options.py), and how answers are compared (similarity/options.py).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from margintool.input_options import Input, InputOptions
from margintool.judge.options import JudgeOptions
from margintool.similarity.options import SimilarityOptions

PairingRule = Literal["best-random", "best-worst", "all", "adjacent"]


@dataclass(frozen=True, kw_only=True)
class PairingOptions:
    """How responses to one prompt become pairs, and what ratings are read.

    Args:
        aspects: Aspects to average with --margin mean, as helpfulness,honesty; for gpt4, those
            that the judge is asked for with --mode aspects. All if not given.
        scale: Lowest and highest valid rating, as 1,10, where the layout does not know them; for
            gpt4, the scale that the judge is asked for.
        pairing: How responses to one prompt become pairs: the best with a random other one, the
            best with the worst, all pairs, or neighbours in rank. If not given best-random, and
            all for --mode pair, which has no ratings to rank by.
        max_pairs_per_prompt: Keep at most so many pairs of a prompt, a seeded sample; 0 keeps
            all. If not given, 5 for shp and all for the others. For responses, one reject row
            tells how many pairs of a prompt were not made.
        seed: Seed of every random choice.
    """

    aspects: str | None = None
    scale: str | tuple[float, float] | None = None
    pairing: PairingRule | None = None
    max_pairs_per_prompt: int | None = None
    seed: int = 42


@dataclass(frozen=True, kw_only=True)
class MarginOptions:
    """How margins are estimated, which pairs are kept, and where they go.

    Args:
        source: Where the margin comes from: shp (votes), ratings, gpt4 (an LLM judge), or
            similarity (how unlike the answers of a given preference are).
        out: The pair file to write (Parquet).
        margin: Estimator. shp: log-ratio, diff, posterior. ratings: overall, mean (of aspects).
            The first is the default. gpt4: --mode says it; similarity: --metric.
        normalize: How margin_raw becomes margin: none, range, rms, quantile or log1p.
        gamma: Slope of p = sigma(gamma * margin); auto solves it for --agreement.
        agreement: The mean target that gamma auto aims at: how often a fresh rater would agree.
        ties: Keep pairs without a winner (margin 0, p 0.5), or drop them.
        on_conflict: What to do where a given preference contradicts the scores: flip to what the
            scores say, or reject the row.
        min_margin: Drop pairs whose margin_raw, in the source's own unit, is below this.
        overwrite: Replace an existing output.
        rejects: Where to write rows that were not used; beside the output, as
            NAME.rejects.parquet, if not given.
    """

    source: str
    out: str | Path
    margin: str | None = None
    normalize: str = "rms"
    gamma: float | Literal["auto"] = "auto"
    agreement: float = 0.75
    ties: Literal["keep", "drop"] = "keep"
    on_conflict: Literal["flip", "reject"] = "flip"
    min_margin: float = 0.0
    overwrite: bool = False
    rejects: str | Path | None = None


@dataclass(frozen=True, kw_only=True)
class AskOptions(JudgeOptions, PairingOptions, InputOptions):
    """What to read and what to ask a judge: for `judge run` and `judge submit`.

    Args:
        input: File, glob, folder or Hugging Face dataset id with the answers to judge; repeat it
            for several files. Without it, what waits in the journal is sent.
        journal: The journal (SQLite), made if there is none.
    """

    input: Input | None = None
    journal: str | Path | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(JudgeOptions, SimilarityOptions, MarginOptions, PairingOptions, InputOptions):
    """What to read, how to estimate margins, what to ask of whom, and where to write."""
