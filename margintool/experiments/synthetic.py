"""Margins known by construction: does a trained policy's h come to lie at gamma * margin?

The loss is least at h = gamma * m for each pair (MMPO, arXiv 2410.03145; mmpo_core/losses). MMPO is
trained with three gammas and DPO beside it, on the same pairs. Of the line through h over
gamma * m on held-out pairs, slope 1 and intercept 0 would be a perfect match. DPO knows no gamma;
its line is taken over m.

The same models show what a wrong gamma costs: the true probability is sigma(m), so that 1 is right
here, and 0.5 and 2 are wrong by a factor of 2.
"""

from collections.abc import Mapping
from typing import Any

from margintool.experiments.comparing import (
    UNCLEAR,
    Measured,
    by_metrics,
    difference,
    less,
    measure,
)
from margintool.experiments.data import known_margins
from margintool.experiments.line import correlation, intercept, slope
from margintool.experiments.options import SyntheticOptions
from margintool.experiments.plots import plot_lines
from margintool.experiments.record import ASKED_HERE, LOSS, Record, finish
from margintool.experiments.running import Arm, Say, begin, predict_arms, train_arms
from margintool.experiments.sizes import simulation
from mmpo_core.evaluate.metrics import METRICS
from mmpo_core.evaluate.pairs import Pairs
from mmpo_core.evaluate.statistics import Statistic

GAMMAS = {"mmpo-gamma0.5": 0.5, "mmpo-gamma1": 1.0, "mmpo-gamma2": 2.0}
DPO = "dpo"
COLUMNS = {
    "slope": "slope on γm",
    "intercept": "intercept",
    "correlation": "correlation",
    "slope_on_margin": "slope on m",
}
AGAINST_TRUTH = ("ece", "nll", "brier", "accuracy")
PICTURE = "synthetic.png"


def run(options: SyntheticOptions, say: Say) -> dict[str, Any]:
    """Run the experiment and return the content of experiment.json."""
    started = begin("synthetic", options)
    data = known_margins(options.out / "data", simulation(options))
    arms = {
        name: Arm(f"MMPO, γ {gamma:g}", data, {"loss": "mmpo", "gamma": gamma})
        for name, gamma in GAMMAS.items()
    } | {DPO: Arm("DPO", data, {"loss": "dpo"})}
    labels = {name: arm.label for name, arm in arms.items()}
    predicted = predict_arms(options, "known", train_arms(options, arms, say), data, say)
    measured = measure(predicted, statistics_of, resamples=options.resamples, seed=options.seed)
    record = Record("synthetic", [data.record])
    record.add_table("Line through learned h, held-out pairs", COLUMNS, measured, labels)
    for name in GAMMAS:
        found = less(measured, name, "slope", 1.0)
        word = record.add_difference(f"{labels[name]}: slope on γm less 1", found)
        record.add_claim(
            f"{labels[name]}: h matches γm on held-out pairs, slope 1", word, UNCLEAR, LOSS
        )
        found = less(measured, name, "intercept", 0.0)
        record.add_difference(f"{labels[name]}: intercept", found)
    found = difference(measured, "mmpo-gamma2", "mmpo-gamma0.5", "slope_on_margin")
    word = record.add_difference("slope on m, γ 2 less γ 0.5", found)
    record.add_claim("A larger γ gives larger reward margins", word, "higher", LOSS)
    for metric in ("correlation", "slope_on_margin"):
        found = difference(measured, "mmpo-gamma1", DPO, metric)
        word = record.add_difference(f"{COLUMNS[metric]}, MMPO γ 1 less DPO", found)
        if metric == "correlation":
            claim = "MMPO's h follows the margin more closely than DPO's"
            record.add_claim(claim, word, "higher", LOSS)
    add_wrong_gammas(record, measured, labels)
    plot_lines(predicted, {**GAMMAS, DPO: 1.0}, labels, options.out / PICTURE)
    return finish(record, options, started, [PICTURE])


def add_wrong_gammas(record: Record, measured: Measured, labels: Mapping[str, str]) -> None:
    """Add every arm against the true probabilities: is a gamma that is off still better than DPO?

    Args:
        record: what is added to.
        measured: of all arms.
        labels: arm -> what tables call it.
    """
    columns = {name: METRICS[name].label for name in AGAINST_TRUTH}
    record.add_table("Held-out pairs against the true probabilities", columns, measured, labels)
    for name in GAMMAS:
        found = difference(measured, name, DPO, "ece")
        word = record.add_difference(f"ECE, {labels[name]} less DPO", found, METRICS["ece"].better)
        claim = f"{labels[name]} is better calibrated (ECE) than DPO where γ 1 is true"
        record.add_claim(claim, word, "better", ASKED_HERE)


def statistics_of(pairs: Pairs, arm: str) -> Mapping[str, Statistic]:
    """Return the statistics of an arm's line, and its metrics against the true probabilities."""
    gamma = GAMMAS.get(arm, 1.0)
    return {
        **by_metrics(AGAINST_TRUTH)(pairs, arm),
        "slope": slope(pairs, gamma),
        "intercept": intercept(pairs, gamma),
        "correlation": correlation(pairs, gamma),
        "slope_on_margin": slope(pairs, 1.0),
    }
