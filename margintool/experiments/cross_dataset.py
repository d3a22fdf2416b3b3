"""Trained on one source, measured on another: does MMPO carry over better than DPO?

Two simulated sources: votes, whose log-ratio is in log-odds, and ratings from 1 to 10 by people of
another taste, whose unit is not (data.py). Or two pair files of the user's own. Each model is
measured on held-out pairs of both sources.
"""

from pathlib import Path
from typing import Any

from margintool.experiments.comparing import Measured, by_metrics, difference, measure
from margintool.experiments.data import Data, own_data, simulated_ratings, simulated_votes
from margintool.experiments.options import CrossDatasetOptions
from margintool.experiments.plots import plot_arms
from margintool.experiments.record import ASKED_HERE, Record, finish
from margintool.experiments.running import Arm, Say, begin, predict_arms, train_arms
from margintool.experiments.sizes import simulation
from mmpo_core.errors import InputError
from mmpo_core.evaluate.metrics import METRICS

SHOWN = ("accuracy", "ece", "nll", "brier")


def run(options: CrossDatasetOptions, say: Say) -> dict[str, Any]:
    """Run the experiment and return the content of experiment.json."""
    started = begin("cross-dataset", options)
    sources = sources_of(options)
    arms = {
        f"{loss}-on-{data.name}": Arm(f"{loss.upper()} on {data.name}", data, {"loss": loss})
        for data in sources
        for loss in ("mmpo", "dpo")
    }
    labels = {name: arm.label for name, arm in arms.items()}
    runs = train_arms(options, arms, say)
    record = Record("cross-dataset", [data.record for data in sources])
    columns = {name: METRICS[name].label for name in SHOWN}
    pictures = []
    for data, other in zip(sources, reversed(sources), strict=True):
        predicted = predict_arms(options, data.name, runs, data, say)
        measured = measure(
            predicted, by_metrics(SHOWN), resamples=options.resamples, seed=options.seed
        )
        title = f"Held-out pairs of {data.name}"
        record.add_table(title, columns, measured, labels)
        compare(record, measured, data, other, columns)
        pictures.append(f"on-{data.name}.png")
        plot_arms(measured, columns, labels, options.out / pictures[-1], title=title)
    return finish(record, options, started, pictures)


def compare(
    record: Record, measured: Measured, data: Data, trained_on: Data, columns: dict[str, str]
) -> None:
    """Add what MMPO and DPO, trained on another source, differ by on this one."""
    mmpo, dpo = (f"{loss}-on-{trained_on.name}" for loss in ("mmpo", "dpo"))
    where = f"{trained_on.name} to {data.name}"
    for metric in SHOWN:
        found = difference(measured, mmpo, dpo, metric)
        what = f"{columns[metric]}, {where}, MMPO less DPO"
        word = record.add_difference(what, found, METRICS[metric].better)
        if metric in ("accuracy", "ece"):
            claim = f"MMPO carries over better: {columns[metric]}, {where}"
            record.add_claim(claim, word, "better", ASKED_HERE)


def sources_of(options: CrossDatasetOptions) -> list[Data]:
    """Return both sources.

    Raises:
        InputError: if there are not two different files, or one cannot be read.
    """
    folder = options.out / "data"
    if not options.data:
        sizes = simulation(options)
        return [simulated_votes(folder, sizes), simulated_ratings(folder, sizes)]
    if len(options.data) != 2:
        raise InputError(f"data: give two files, got {len(options.data)}")
    sources = [
        own_data(Path(path), folder, limit=options.limit, seed=options.seed)
        for path in options.data
    ]
    if sources[0].name == sources[1].name:
        raise InputError(f"data: both files are called {sources[0].name}; rename one")
    return sources
