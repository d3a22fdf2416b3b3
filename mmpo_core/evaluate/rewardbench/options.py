"""What `evaluate --suite rewardbench` can be asked for: every option and its default, said once."""

from dataclasses import dataclass
from pathlib import Path

from mmpo_core.calibration import BINS
from mmpo_core.evaluate.intervals import RESAMPLES, SEED
from mmpo_core.evaluate.options import PredictOptions


@dataclass(frozen=True, kw_only=True)
class RewardBenchOptions(PredictOptions):
    """Options of the suite, beside those of running a model.

    Args:
        models: Models to evaluate, as `evaluate` takes them.
        data: File with the benchmark's columns (prompt, chosen, rejected, subset, id); read from
            the hub if not given.
        core_only: Leave Prior Sets out, which have six sevenths of all examples; the average is
            then over four sections.
        out: Folder for rewardbench.json, rewardbench.parquet and predictions.
        bootstrap: Resamples of prompts behind the 95% intervals; 0 for none.
        bins: Bins of the calibration error on Prior Sets from 0 to 1, an even number.
        seed: Seed of the resamples.
    """

    models: tuple[str, ...]
    data: Path | None = None
    core_only: bool = False
    out: Path = Path("evaluation")
    bootstrap: int = RESAMPLES
    bins: int = BINS
    seed: int = SEED
