"""What `evaluate` prints: read as text, at 80 columns."""

import io

import numpy as np
import pytest
from rich.console import Console

from margintool.cli.evaluate_tables import print_evaluation
from mmpo_core.evaluate.evaluating import evaluate_predictions
from mmpo_core.evaluate.metrics import METRICS
from tests.core.evaluate.simulated import predictions


def printed(report, width=80):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_evaluation(report, console)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def two():
    models = {"dpo": predictions(200, 80, seed=1), "mmpo": predictions(200, 80, seed=2)}
    return evaluate_predictions(models, resamples=20)


def test_one_model_has_every_metric_with_its_interval():
    report = evaluate_predictions({"mmpo": predictions(200, 80)}, resamples=20)
    text = printed(report)
    assert "200 pairs of 80 prompts" in text
    assert "21 ties (10.5%); 95% intervals over prompts" in text
    for name, metric in METRICS.items():
        one = report["models"]["mmpo"]["metrics"][name]
        line = next(
            line for line in text.splitlines() if line.strip().startswith(f"{metric.label} ")
        )
        assert f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})" in line
    assert "Differences" not in text


def test_two_models_fit_80_columns_and_are_compared(two):
    text = printed(two)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert all(f"  {metric.label} " in text for metric in METRICS.values())
    row = next(row for row in two["differences"] if row["metric"] == "accuracy")
    line = next(line for line in text.splitlines() if "dpo less mmpo" in line)
    assert f"{row['value']:+.3f}" in line
    assert f"{row['p']:.3f}" in line
    assert f"{row['low']:+.3f} to {row['high']:+.3f}" in line


def test_what_was_trained_on_too_stands_beside_the_numbers(two):
    seen = {"dpo": {"pairs": 0, "prompts": 3}, "mmpo": {"pairs": 0, "prompts": 0}, "other": None}
    text = printed(two | {"data": {"trained_on": seen}})
    assert "dpo: 0 of these pairs, 3 of their prompts." in text
    assert "mmpo: 0 of" not in text
    assert "Trained on too" not in printed(two | {"data": {"trained_on": {"mmpo": None}}})


def test_parts_are_printed_for_each_model(two):
    text = printed(two)
    for title in ("By margin, dpo", "By source, mmpo", "By length: tokens of chosen less"):
        assert title in text
    first = two["models"]["dpo"]["by_source"][0]
    assert f"{first['name']}" in text


def test_a_temperature_and_why_there_is_none(two):
    assert "dpo: T = " in printed(two)
    few = evaluate_predictions({"a": predictions(20, 10)}, resamples=5)
    assert "not fitted: 10 prompts are too few" in printed(few).replace("\n", " ")


def test_without_intervals_none_are_claimed():
    text = printed(evaluate_predictions({"a": predictions(20, 10)}, resamples=0))
    assert "95% intervals" not in text
    assert " to " not in text.split("By margin")[0]


def test_names_are_no_markup_and_cannot_move_the_cursor():
    names = ("[bold]x[/bold]", "y\x1b[2J")
    models = {name: predictions(30, 10, seed=at) for at, name in enumerate(names)}
    text = printed(evaluate_predictions(models, resamples=5), width=120)
    assert "[bold]x[/bold]" in text
    assert "\x1b" not in text


def test_what_is_not_defined_is_a_dash():
    text = printed(evaluate_predictions({"a": predictions(1, 1)}, resamples=5))
    line = next(line for line in text.splitlines() if "sd of h" in line)
    assert line.split()[-1] == "-"
    assert "nan" not in text


def test_many_models_are_listed_without_intervals():
    models = {f"m{k}": predictions(30, 10, seed=k) for k in range(4)}
    report = evaluate_predictions(models, resamples=5)
    text = printed(report, width=100)
    line = next(line for line in text.splitlines() if line.strip().startswith("accuracy"))
    values = [report["models"][name]["metrics"]["accuracy"]["value"] for name in models]
    assert line.split()[1:] == [f"{value:.3f}" for value in values]
    assert np.isfinite(values).all()
