"""Many epochs on few pairs: what becomes of reward margins and of held-out NLL?

DPO's loss falls for as long as h grows; MMPO's is least at h = gamma * m. If that keeps it from
overfitting, its held-out NLL rises less after its lowest point, and its reward margins stay
smaller. The rise of a noisy curve is never below 0, so only the difference of two rises says
something. The lowest points are compared too: what is left where both are stopped in time.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from margintool.experiments.calibration import votes_of
from margintool.experiments.comparing import by_metrics, difference, measure
from margintool.experiments.data import Data
from margintool.experiments.options import OverfittingOptions
from margintool.experiments.plots import Curve, plot_curves
from margintool.experiments.record import LOSS, PAPER, Record, finish
from margintool.experiments.running import Arm, Runs, Say, begin, predict_arms, train_arms
from mmpo_core.evaluate.intervals import Estimate
from mmpo_core.evaluate.metrics import LESS, METRICS
from mmpo_core.pair_file import read_table
from mmpo_core.run_folder import HISTORY_FILE

AT_END = ("nll", "ece", "accuracy", "reward_margin")
CURVES = {"nll": "eval_nll", "reward_margin": "eval_rewards/margins", "ece": "eval_ece"}
PICTURE = "overfitting.png"
# What the curves alone say; they have no bootstrap.
FROM_CURVES = {
    "lowest_nll": "lowest NLL",
    "rise": "rise of NLL",
    "lowest_at": "epoch of the lowest",
}


def run(options: OverfittingOptions, say: Say) -> dict[str, Any]:
    """Run the experiment and return the content of experiment.json."""
    started = begin("overfitting", options)
    data = votes_of(options)
    every = steps_of_an_epoch(data, options.batch_size)
    arms = {
        name: Arm(name.upper(), data, {"loss": name, "eval_steps": every, "scheduler": "constant"})
        for name in ("mmpo", "dpo")
    }
    labels = {name: arm.label for name, arm in arms.items()}
    runs = train_arms(options, arms, say)
    curves = read_curves(runs)
    predicted = predict_arms(options, data.name, runs, data, say)
    measured = measure(
        predicted, by_metrics(AT_END), resamples=options.resamples, seed=options.seed
    )
    rises = {
        arm: {seed: rise_of(curve) for seed, curve in by_seed.items()}
        for arm, by_seed in curves.items()
    }
    record = Record("overfitting", [data.record])
    columns = {name: METRICS[name].label for name in AT_END}
    record.add_table("Held-out pairs after the last epoch", columns, measured, labels)
    record.add_table("Held-out NLL over epochs", FROM_CURVES, rises, labels)
    for metric in ("nll", "ece", "reward_margin"):
        found = difference(measured, "mmpo", "dpo", metric)
        what = f"{columns[metric]} at the end, MMPO less DPO"
        word = record.add_difference(what, found, METRICS[metric].better)
        if metric == "reward_margin":
            record.add_claim("MMPO's reward margins stay smaller than DPO's", word, "lower", LOSS)
    found = difference(rises, "mmpo", "dpo", "lowest_nll")
    record.add_difference("lowest held-out NLL of all epochs, MMPO less DPO", found, LESS)
    found = difference(rises, "mmpo", "dpo", "rise")
    word = record.add_difference("rise of held-out NLL, MMPO less DPO", found, LESS)
    record.add_claim("MMPO overfits less than DPO (rise of held-out NLL)", word, "better", PAPER)
    plot_curves(curves, labels, options.out / PICTURE)
    return finish(record, options, started, [PICTURE])


def steps_of_an_epoch(data: Data, batch_size: int) -> int:
    """Return the optimizer steps of one epoch, between two measurements."""
    pairs: int = read_table(data.train).num_rows
    return math.ceil(pairs / batch_size)


def read_curves(runs: Runs) -> dict[str, dict[int, Curve]]:
    """Return what the logs of finished runs hold of held-out pairs: arm -> seed -> curve."""
    return {
        arm: {seed: read_curve(folder) for seed, folder in by_seed.items()}
        for arm, by_seed in runs.items()
    }


def read_curve(folder: Path) -> Curve:
    """Return a run's measurements: `epoch` and the names of CURVES, (E,) each."""
    lines = (folder / HISTORY_FILE).read_text(encoding="utf-8").splitlines()
    entries = [entry for entry in map(json.loads, lines) if CURVES["nll"] in entry]
    names: Sequence[tuple[str, str]] = [("epoch", "epoch"), *CURVES.items()]
    return {name: np.array([entry[key] for entry in entries], float) for name, key in names}


def rise_of(curve: Curve) -> dict[str, Estimate]:
    """Return a curve's lowest NLL, when it was, and how much higher the last is."""
    lowest = int(np.argmin(curve["nll"]))
    values = {
        "lowest_nll": curve["nll"][lowest],
        "rise": curve["nll"][-1] - curve["nll"][lowest],
        "lowest_at": curve["epoch"][lowest],
    }
    return {name: Estimate(float(value), np.empty(0)) for name, value in values.items()}
