"""Is MMPO better calibrated than DPO, and than DPO that is told how often labels are wrong (cDPO)?

Policies are trained on votes. cDPO gives every pair the same soft target 1 - e: with the 0.1 of
its common use, and with 1 - e set to the mean of MMPO's own targets, so that what is left between
the two is that MMPO's differ from pair to pair. Simulated pairs are measured against the true
probabilities; pairs of the user's own against the targets of their file. ECE and NLL
are measured once more with every model's h divided by the temperature that is best for it on these
very pairs: what is left then is no matter of scale.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from margintool.experiments.comparing import BINS, by_metrics, difference, measure
from margintool.experiments.data import Data, own_data, simulated_votes
from margintool.experiments.options import CalibrationOptions, DataOptions
from margintool.experiments.plots import plot_arms
from margintool.experiments.record import ASKED_HERE, PAPER, Record, finish
from margintool.experiments.running import Arm, Say, begin, predict_arms, train_arms
from margintool.experiments.sizes import simulation
from mmpo_core.errors import InputError
from mmpo_core.evaluate.metrics import METRICS
from mmpo_core.evaluate.pairs import Pairs
from mmpo_core.evaluate.statistics import Statistic
from mmpo_core.evaluate.temperature import fit_temperature
from mmpo_core.pair_file import read_table

logger = logging.getLogger(__name__)

COMPARED = ("ece", "nll", "brier", "accuracy")
SHOWN = (*COMPARED, "ece_hard", "reward_margin")
# name -> the metric that is measured with the best temperature
TEMPERED = {"ece_tempered": "ece", "nll_tempered": "nll"}
COLUMNS = {name: METRICS[name].label for name in SHOWN} | {
    name: f"{METRICS[metric].label}, best T" for name, metric in TEMPERED.items()
}
BESIDE = tuple(name for name in COLUMNS if name not in COMPARED)
MOST_SMOOTHING, LEAST_SMOOTHING = 0.49, 0.0
PICTURE = "calibration.png"


def run(options: CalibrationOptions, say: Say) -> dict[str, Any]:
    """Run the experiment and return the content of experiment.json."""
    started = begin("calibration", options)
    data = votes_of(options)
    arms = arms_on(data)
    labels = {name: arm.label for name, arm in arms.items()}
    predicted = predict_arms(options, data.name, train_arms(options, arms, say), data, say)
    measured = measure(predicted, statistics_of, resamples=options.resamples, seed=options.seed)
    record = Record("calibration", [data.record])
    for title, names in {"Held-out pairs": COMPARED, "More of them": BESIDE}.items():
        record.add_table(title, {name: COLUMNS[name] for name in names}, measured, labels)
    for other in [name for name in arms if name != "mmpo"]:
        whose = PAPER if other == "dpo" else ASKED_HERE
        for metric in (*COMPARED, *TEMPERED):
            found = difference(measured, "mmpo", other, metric)
            what = f"{COLUMNS[metric]}, MMPO less {labels[other]}"
            better = METRICS[TEMPERED.get(metric, metric)].better
            word = record.add_difference(what, found, better)
            if metric == "ece":
                claim = f"MMPO is better calibrated (ECE) than {labels[other]}"
                record.add_claim(claim, word, "better", whose)
            if metric == "nll_tempered":
                claim = f"MMPO predicts better (NLL) than {labels[other]}, both with their best T"
                record.add_claim(claim, word, "better", ASKED_HERE)
    plot_arms(measured, COLUMNS, labels, options.out / PICTURE, title="Held-out pairs")
    return finish(record, options, started, [PICTURE])


def statistics_of(pairs: Pairs, arm: str) -> Mapping[str, Statistic]:
    """Return the statistics of COLUMNS. Resamples of prompts take T as given."""
    tempered = best_tempered(pairs, arm)
    return {
        **by_metrics(SHOWN)(pairs, arm),
        **{name: METRICS[metric].make(tempered, BINS) for name, metric in TEMPERED.items()},
    }


def best_tempered(pairs: Pairs, arm: str) -> Pairs:
    """Return pairs with h / T, T the best for these pairs; as they are where none fits."""
    try:
        return pairs.tempered(fit_temperature(pairs).value)
    except InputError as error:
        logger.warning("%s: its best T is taken as 1 (%s)", arm, error)
        return pairs


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
