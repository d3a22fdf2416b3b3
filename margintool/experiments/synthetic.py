"""Margins known by construction: does a trained policy's h come to lie at gamma * margin?

The loss is least at h = gamma * m for each pair (MMPO, arXiv 2410.03145; mmpo_core/losses). MMPO is
trained with three gammas and DPO beside it, on the same pairs. Of the line through h over
gamma * m on held-out pairs, slope 1 and intercept 0 would be a perfect match. DPO knows no gamma;
its line is taken over m.
"""

from collections.abc import Mapping
from typing import Any

from margintool.experiments.comparing import difference, less, measure
from margintool.experiments.data import known_margins
from margintool.experiments.line import correlation, intercept, slope
from margintool.experiments.options import SyntheticOptions
from margintool.experiments.plots import plot_lines
from margintool.experiments.record import Record, finish
from margintool.experiments.running import Arm, Say, begin, predict_arms, train_arms
from margintool.experiments.sizes import simulation
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
    measured = measure(predicted, line_of, resamples=options.resamples, seed=options.seed)
    record = Record("synthetic", [data.record])
    record.add_table("Line through learned h, held-out pairs", COLUMNS, measured, labels)
    for name in GAMMAS:
        found = less(measured, name, "slope", 1.0)
        word = record.add_difference(f"{labels[name]}: slope on γm less 1", found)
        record.add_claim(
            f"{labels[name]}: h matches γm on held-out pairs, slope 1", word, "no clear difference"
        )
        found = less(measured, name, "intercept", 0.0)
        record.add_difference(f"{labels[name]}: intercept", found)
    found = difference(measured, "mmpo-gamma2", "mmpo-gamma0.5", "slope_on_margin")
    word = record.add_difference("slope on m, γ 2 less γ 0.5", found)
    record.add_claim("A larger γ gives larger reward margins", word, "higher")
    for metric in ("correlation", "slope_on_margin"):
        found = difference(measured, "mmpo-gamma1", DPO, metric)
        word = record.add_difference(f"{COLUMNS[metric]}, MMPO γ 1 less DPO", found)
        if metric == "correlation":
            record.add_claim("MMPO's h follows the margin more closely than DPO's", word, "higher")
    plot_lines(predicted, {**GAMMAS, DPO: 1.0}, labels, options.out / PICTURE)
    return finish(record, options, started, [PICTURE])


def line_of(pairs: Pairs, arm: str) -> Mapping[str, Statistic]:
    """Return the statistics of an arm's line."""
    gamma = GAMMAS.get(arm, 1.0)
    return {
        "slope": slope(pairs, gamma),
        "intercept": intercept(pairs, gamma),
        "correlation": correlation(pairs, gamma),
        "slope_on_margin": slope(pairs, 1.0),
    }
