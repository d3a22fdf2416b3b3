"""EXPERIMENTS: every experiment by name. One file, one line here, one part of docs/experiments.md.

No heavy imports: the command line is made from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from margintool.experiments.options import (
    CalibrationOptions,
    CrossDatasetOptions,
    ExperimentOptions,
    OverfittingOptions,
    SyntheticOptions,
)


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        options: class of its options.
        module: where its `run(options, say)` is.
        about: its line in `margintool experiment --help`.
        help: what its own help says first.
    """

    options: type[ExperimentOptions]
    module: str
    about: str
    help: str

    def run(self, options: ExperimentOptions, say: Callable[[str], None]) -> dict[str, Any]:
        """Run it, or what is left of it, and write its page.

        Returns:
            The content of experiment.json.
        """
        from margintool.experiments.page import write_report

        module = import_module(f"margintool.experiments.{self.module}")
        content: dict[str, Any] = module.run(options, say)
        write_report(options.out)
        return content


EXPERIMENTS: dict[str, Experiment] = {
    "synthetic": Experiment(
        SyntheticOptions,
        "synthetic",
        "Learned h against gamma * margin, where margins are known",
        "Train on simulated pairs whose margins are known: does h come to lie at gamma * margin?",
    ),
    "calibration": Experiment(
        CalibrationOptions,
        "calibration",
        "MMPO against DPO and cDPO: ECE, NLL and Brier on held-out pairs",
        "Train with MMPO, DPO and cDPO on votes, and compare calibration on held-out pairs.",
    ),
    "overfitting": Experiment(
        OverfittingOptions,
        "overfitting",
        "Many epochs: reward margins and held-out NLL, MMPO against DPO",
        "Train for many epochs on few pairs: reward margins and held-out NLL, MMPO against DPO.",
    ),
    "cross-dataset": Experiment(
        CrossDatasetOptions,
        "cross_dataset",
        "Trained on one source, measured on another",
        "Train on each of two sources, measure on both: does MMPO carry over better than DPO?",
    ),
}
