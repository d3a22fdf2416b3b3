"""What the experiments can be asked for. The command line is made from these classes.

No heavy imports: `margintool --help` reads this. Defaults are sized for 15 minutes on two CPU
cores; docs/experiments.md has the arithmetic.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmpo_core.errors import InputError

QUICK_EPOCHS = 3.0


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """Options of every experiment.

    Args:
        out: Folder for everything that the experiment makes; if it holds an unfinished one with the
            same settings, that one goes on.
        model: Model that every run starts from, which is the reference too.
        lr: Peak learning rate; 1e-3 is for tiny.
        epochs: Passes over the training pairs.
        beta: Strength of the pull to the reference model.
        batch_size: Pairs per optimizer step.
        max_length: Most tokens of a conversation.
        seed: Seed of what is simulated and of the bootstrap; models are trained with this seed and
            the ones after.
        seeds: Models to train per arm, each with its own seed.
        device: Where to compute: auto takes a GPU where there is one.
        quick: A much smaller experiment, to see that everything works; its numbers mean little.
    """

    out: Path
    model: str = "tiny"
    lr: float = 1e-3
    epochs: float = 1.0
    beta: float = 0.1
    batch_size: int = 8
    max_length: int = 512
    seed: int = 0
    seeds: int = 5
    device: Literal["auto", "cpu"] = "cpu"
    quick: bool = False

    @property
    def training_seeds(self) -> list[int]:
        """The seeds that models are trained with."""
        return list(range(self.seed, self.seed + self.seeds))

    @property
    def trained_epochs(self) -> float:
        """Passes over the training pairs; a quick experiment makes few."""
        return min(self.epochs, QUICK_EPOCHS) if self.quick else self.epochs

    @property
    def resamples(self) -> int:
        """Bootstrap resamples of held-out prompts."""
        return 50 if self.quick else 1000


@dataclass(frozen=True, kw_only=True)
class SyntheticOptions(ExperimentOptions):
    """Options of `experiment synthetic`: three gammas and DPO.

    Args:
        epochs: Passes over the training pairs.
        seeds: Models to train per arm, each with its own seed.
    """

    epochs: float = 2.0
    seeds: int = 3


@dataclass(frozen=True, kw_only=True)
class DataOptions(ExperimentOptions):
    """Options of an experiment that reads data of the user's own as well.

    Args:
        data: Pair file from `margintool score`, in place of simulated votes; or raw votes, which
            are scored by --source shp with targets that are the shares of the votes. A fifth of its
            prompts is held out.
        limit: Read only the first pairs of the data.
    """

    data: Path | None = None
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions(DataOptions):
    """Options of `experiment calibration`."""


@dataclass(frozen=True, kw_only=True)
class OverfittingOptions(DataOptions):
    """Options of `experiment overfitting`: few pairs, many epochs.

    Args:
        epochs: Passes over the training pairs; held-out pairs are measured after each.
        seeds: Models to train per arm, each with its own seed.
    """

    epochs: float = 12.0
    seeds: int = 4


@dataclass(frozen=True, kw_only=True)
class CrossDatasetOptions(ExperimentOptions):
    """Options of `experiment cross-dataset`.

    Args:
        data: Two pair files from `margintool score`, in place of two simulated sources: give the
            option twice. A fifth of each one's prompts is held out.
        limit: Read only the first pairs of each of them.
    """

    data: tuple[str, ...] = ()
    limit: int | None = None


def check(options: ExperimentOptions) -> None:
    """Raise InputError for a seed or a number of seeds out of range.

    What is trained checks its own options when it begins.
    """
    if options.seeds < 1:
        raise InputError(f"seeds must be at least 1, got {options.seeds}")
    if not 0 <= options.seed <= 2**32 - options.seeds:
        raise InputError(f"seed must lie between 0 and 2^32 - seeds, got {options.seed}")
