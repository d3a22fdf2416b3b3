"""The options of `score`: every name, default and help text, once. The CLI is built from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

Input = str | PathLike[str] | tuple[str | PathLike[str], ...]


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What to read, how to estimate margins, and where to write.

    Args:
        source: Where the margin comes from: shp (votes) or ratings.
        input: File, glob, folder or Hugging Face dataset id; repeat it for several files.
            Without it the source's own dataset is read from the hub.
        out: The pair file to write (Parquet).
        layout: How the rows look (see `margintool layouts`); detected from the columns if not
            given.
        map: Your column names for a layout's: prompt=COLUMN,rating=scores.overall (a dot goes
            into a struct).
        split: Split of a hub or saved dataset.
        config: Configuration of a hub dataset.
        revision: Branch, tag or commit of a hub dataset.
        margin: Estimator. shp: log-ratio, diff, posterior. ratings: overall, mean (of aspects).
            The first is the default.
        aspects: Aspects to average with --margin mean, as helpfulness,honesty. All if not given.
        scale: Lowest and highest valid rating, as 1,10, where the layout does not know them.
        pairing: How responses to one prompt become pairs: the best with a random other one, the
            best with the worst, all pairs, or neighbours in rank.
        normalize: How margin_raw becomes margin: none, range, rms, quantile or log1p.
        gamma: Slope of p = sigma(gamma * margin); auto solves it for --agreement.
        agreement: The mean target that gamma auto aims at: how often a fresh rater would agree.
        ties: Keep pairs without a winner (margin 0, p 0.5), or drop them.
        on_conflict: What to do where a given preference contradicts the scores: flip to what the
            scores say, or reject the row.
        min_margin: Drop pairs whose margin_raw, in the source's own unit, is below this.
        max_pairs_per_prompt: Keep at most so many pairs of a prompt, a seeded sample; 0 keeps
            all. If not given, 5 for shp and all for ratings. For rated responses, one reject row
            tells how many pairs of a prompt were not made.
        limit: Read at most so many rows.
        seed: Seed of every random choice.
        overwrite: Replace an existing output.
        rejects: Where to write rows that were not used; beside the output, as
            NAME.rejects.parquet, if not given.
    """

    source: str
    input: Input | None = None
    out: str | Path
    layout: str | None = None
    map: str | Mapping[str, str] | None = None
    split: str | None = None
    config: str | None = None
    revision: str | None = None
    margin: str | None = None
    aspects: str | None = None
    scale: str | tuple[float, float] | None = None
    pairing: Literal["best-random", "best-worst", "all", "adjacent"] = "best-random"
    normalize: str = "rms"
    gamma: float | Literal["auto"] = "auto"
    agreement: float = 0.75
    ties: Literal["keep", "drop"] = "keep"
    on_conflict: Literal["flip", "reject"] = "flip"
    min_margin: float = 0.0
    max_pairs_per_prompt: int | None = None
    limit: int | None = None
    seed: int = 42
    overwrite: bool = False
    rejects: str | Path | None = None
