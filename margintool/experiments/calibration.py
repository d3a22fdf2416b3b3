"""Is MMPO better calibrated than DPO, and than DPO that is told how often labels are wrong (cDPO)?

Policies are trained on votes. cDPO gives every pair the same soft target 1 - e: with the 0.1 of
its common use, and with 1 - e set to the mean of MMPO's own targets, so that what is left between
the two is that MMPO's differ from pair to pair. Simulated pairs are measured against the true
probabilities; pairs of the user's own against the targets of their file.
"""

from typing import Any

import numpy as np

from margintool.experiments.comparing import by_metrics, difference, measure
from margintool.experiments.data import Data, own_data, simulated_votes
from margintool.experiments.options import CalibrationOptions, DataOptions
from margintool.experiments.plots import plot_arms
from margintool.experiments.record import Record, finish
from margintool.experiments.running import Arm, Say, begin, predict_arms, train_arms
from margintool.experiments.sizes import simulation
from mmpo_core.evaluate.metrics import METRICS
from mmpo_core.pair_file import read_table

COMPARED = ("ece", "nll", "brier", "accuracy")
SHOWN = (*COMPARED, "ece_hard", "reward_margin")
MOST_SMOOTHING, LEAST_SMOOTHING = 0.49, 0.0
PICTURE = "calibration.png"


def run(options: CalibrationOptions, say: Say) -> dict[str, Any]:
    """Run the experiment and return the content of experiment.json."""
    started = begin("calibration", options)
    data = votes_of(options)
    arms = arms_on(data)
    labels = {name: arm.label for name, arm in arms.items()}
    predicted = predict_arms(options, data.name, train_arms(options, arms, say), data, say)
    measured = measure(predicted, by_metrics(SHOWN), resamples=options.resamples, seed=options.seed)
    record = Record("calibration", [data.record])
    columns = {name: METRICS[name].label for name in SHOWN}
    record.add_table("Held-out pairs", columns, measured, labels)
    for other in [name for name in arms if name != "mmpo"]:
        for metric in COMPARED:
            found = difference(measured, "mmpo", other, metric)
            what = f"{columns[metric]}, MMPO less {labels[other]}"
            word = record.add_difference(what, found, METRICS[metric].better)
            if metric == "ece":
                record.add_claim(
                    f"MMPO is better calibrated (ECE) than {labels[other]}", word, "better"
                )
    plot_arms(measured, columns, labels, options.out / PICTURE, title="Held-out pairs")
    return finish(record, options, started, [PICTURE])


def votes_of(options: DataOptions) -> Data:
    """Return the data that was asked for: the user's own, or simulated votes."""
    folder = options.out / "data"
    if options.data is not None:
        return own_data(options.data, folder, limit=options.limit, seed=options.seed)
    return simulated_votes(folder, simulation(options))


def arms_on(data: Data) -> dict[str, Arm]:
    """Return the arms of the experiment."""
    matched = smoothing_of(data)
    return {
        "mmpo": Arm("MMPO", data, {"loss": "mmpo"}),
        "dpo": Arm("DPO", data, {"loss": "dpo"}),
        "cdpo": Arm("cDPO, e 0.1", data, {"loss": "cdpo", "label_smoothing": 0.1}),
        "cdpo-matched": Arm(
            f"cDPO, e {matched:.3g}", data, {"loss": "cdpo", "label_smoothing": matched}
        ),
    }


def smoothing_of(data: Data) -> float:
    """Return the e for which cDPO's target is the mean of the file's, below the 0.5 it must be."""
    mean = float(read_table(data.train)["p_chosen"].to_numpy().mean())
    return float(np.clip(1.0 - mean, LEAST_SMOOTHING, MOST_SMOOTHING))
