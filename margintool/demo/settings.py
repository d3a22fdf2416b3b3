"""What the demo does: its options, its two arms, and the budget that both arms share.

No heavy imports: `margintool --help` reads this.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from margintool.simulate import SimulationOptions
from mmpo_core.errors import InputError

# What stands in the demo's folder.
SETTINGS_FILE = "demo.json"
TRAIN_FILE, HELDOUT_FILE, PAIR_FILE = "train.jsonl.gz", "heldout.jsonl.gz", "pairs.parquet"
RESULTS_FILE, PLOT_FILE = "results.json", "demo.png"


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Options of `margintool demo`.

    Args:
        out: Folder for everything the demo makes. If it holds an unfinished demo of the same
            seed and size, that one goes on.
        seed: Seed of the simulated votes; models are trained with this seed and the ones after.
        seeds: Models to train per arm, each with its own seed.
        quick: A much smaller demo, to see that everything works; its numbers mean little.
    """

    out: str | Path = "demo"
    seed: int = 0
    seeds: int = 3
    quick: bool = False

    @property
    def folder(self) -> Path:
        """The output folder."""
        return Path(self.out)

    @property
    def training_seeds(self) -> list[int]:
        """The seeds that models are trained with."""
        return list(range(self.seed, self.seed + self.seeds))


@dataclass(frozen=True)
class Arm:
    """One of the two ways to train that are compared.

    Args:
        label: what tables and the plot call it.
        training: keywords of mmpo_core.train.train that only this arm has.
    """

    label: str
    training: dict[str, Any]


# The first is compared with the second. Without a gamma, the targets are those of the pair file.
ARMS: dict[str, Arm] = {
    "mmpo": Arm("MMPO targets", {}),
    "hard": Arm("hard labels", {"gamma": float("inf")}),
}

# The log ratio of votes is the Bradley-Terry log-odds already, so the calibrated target is
# sigma(1 * log ratio), the share of the votes. The defaults (rms, gamma from a mean target of
# 0.75) are for margins whose unit is not known to be log-odds.
SCORING: dict[str, Any] = {"source": "shp", "normalize": "none", "gamma": 1.0}


@dataclass(frozen=True)
class Budget:
    """How much is simulated and trained, the same for both arms.

    Args:
        simulation: sizes of the two splits.
        training: keywords of mmpo_core.train.train.
        resamples: bootstrap resamples of held-out prompts.
    """

    simulation: SimulationOptions
    training: dict[str, Any]
    resamples: int


def budget(options: DemoOptions) -> Budget:
    """Return the sizes of a demo.

    Raises:
        InputError: if seed or seeds is out of range.
    """
    if options.seeds < 1:
        raise InputError(f"seeds must be at least 1, got {options.seeds}")
    if not 0 <= options.seed <= 2**32 - options.seeds:
        raise InputError(f"seed must lie between 0 and 2^32 - seeds, got {options.seed}")
    sizes = {"train_prompts": 12, "heldout_prompts": 6} if options.quick else {}
    return Budget(
        simulation=SimulationOptions(seed=options.seed, **sizes),
        training={
            "model": "tiny",
            "objective": "reward",
            "lr": 1e-3,
            "epochs": 1.0,
            "batch_size": 16,
            "micro_batch_size": 16,
            "eval_split": 0.0,  # the held-out prompts are in a file of their own
            "device": "cpu",  # the same numbers with and without a GPU
            "set": ("save_strategy=no",),  # a run takes a minute: no checkpoints
        },
        resamples=50 if options.quick else 500,
    )
