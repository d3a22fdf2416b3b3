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
        models: models to evaluate, as `evaluate` takes them
        data: file with the benchmark's columns (prompt, chosen, rejected, subset, id); read from
            the hub if not given
        core_only: leave Prior Sets out, which have six sevenths of all examples; the average is
            then over four sections
        out: folder for rewardbench.json, rewardbench.parquet and predictions
        bootstrap: resamples of prompts behind the 95% intervals; 0 for none
        bins: bins of the calibration error on Prior Sets from 0 to 1, an even number
        seed: seed of the resamples
    """

    models: tuple[str, ...]
    data: Path | None = None
    core_only: bool = False
    out: Path = Path("evaluation")
    bootstrap: int = RESAMPLES
    bins: int = BINS
    seed: int = SEED
