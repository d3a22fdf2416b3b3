"""The pictures of an evaluation: what is drawn, read from the figures, and whole PNG files."""

import copy

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from mmpo_core.errors import InputError
from mmpo_core.evaluate import plots
from mmpo_core.evaluate.evaluating import evaluate_predictions
from tests.core.evaluate.simulated import predictions

PNG = b"\x89PNG\r\n\x1a\n"


def models(count=2, n=120, prompts=50, **changed):
    return {f"model {k}": predictions(n, prompts, seed=k, **changed) for k in range(count)}


@pytest.fixture(scope="module")
def two():
    given = models()
    return given, evaluate_predictions(given, resamples=10)


@pytest.fixture
def figures(monkeypatch):
    """Figures as they are saved, the files themselves left out."""
    kept = []
    monkeypatch.setattr(plots, "save_png", lambda figure, path: kept.append(figure))
    return kept


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_all_pictures_are_whole_files_and_the_same_bytes_again(two, tmp_path):
    given, report = two
    paths = plots.plot_evaluation(report, given, tmp_path)
    assert [path.name for path in paths] == ["reliability.png", "risk_coverage.png", "margins.png"]
    assert all(path.read_bytes().startswith(PNG) for path in paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    before = paths[1].read_bytes()
    plots.plot_risk_coverage(report, paths[1])
    assert paths[1].read_bytes() == before


def test_reliability_draws_the_upper_half_of_the_table(two, figures, tmp_path):
    _, report = two
    plots.plot_reliability(report, tmp_path / "r.png")
    curve, below = figures[0].axes
    drawn = lines(curve)
    assert plots.DIAGONAL in drawn
    for name, model in report["models"].items():
        label = next(label for label in drawn if label.startswith(f"{name}: ECE "))
        rows = [row for row in model["reliability"] if row["count"] and row["low"] >= 0.5 - 1e-9]
        assert drawn[label].get_xdata().tolist() == [row["predicted"] for row in rows]
        assert drawn[label].get_ydata().tolist() == [row["true"] for row in rows]
        ece = model["metrics"]["ece"]
        assert f"{ece['value']:.3f} ({ece['low']:.3f} to {ece['high']:.3f})" in label
    heights = sum(bar.get_height() for bar in below.patches)
    assert heights == pytest.approx(2.0)  # the shares of each of two models
    assert "120 pairs of 50 prompts, 95% intervals" in curve.get_title(loc="left")


def test_intervals_are_drawn_where_there_are_any(two, figures, tmp_path):
    """Each point has its bar, also one without neighbours; a bin of one prompt has none."""
    report = copy.deepcopy(two[1])
    for model in report["models"].values():
        model["reliability"] = model["reliability"][6:7]  # (0.6, 0.7]
    report["models"]["model 1"]["reliability"][0] |= {"true_low": None, "true_high": None}
    plots.plot_reliability(report, tmp_path / "r.png")
    (row,) = report["models"]["model 0"]["reliability"]
    bars = [one for one in figures[0].axes[0].collections if isinstance(one, LineCollection)]
    assert len(bars) == 2
    assert bars[0].get_segments()[0][:, 1].tolist() == [row["true_low"], row["true_high"]]
    assert not any(np.isfinite(segment).any() for segment in bars[1].get_segments())


def test_models_differ_in_colour_and_marker(two, figures, tmp_path):
    plots.plot_reliability(two[1], tmp_path / "r.png")
    first, second = [line for name, line in lines(figures[0].axes[0]).items() if "ECE" in name]
    assert first.get_color() != second.get_color()
    assert first.get_marker() != second.get_marker()


def test_risk_coverage_ends_at_the_error_rate(two, figures, tmp_path):
    plots.plot_risk_coverage(two[1], tmp_path / "r.png")
    (axes,) = figures[0].axes
    for name, model in two[1]["models"].items():
        line = next(line for label, line in lines(axes).items() if label.startswith(f"{name}: "))
        assert line.get_xdata()[-1] == 1.0
        error = 1 - model["metrics"]["accuracy"]["value"]
        assert line.get_ydata()[-1] == pytest.approx(error, abs=1e-12)


def test_margins_have_a_panel_a_model_and_the_line_of_gamma(figures, tmp_path):
    plots.plot_margins(models(gamma=0.5), tmp_path / "m.png")
    panels = figures[0].axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "model 0: 120 pairs",
        "model 1: 120 pairs",
    ]
    (label,) = [label for label in lines(panels[0]) if label.startswith("h = ")]
    x, y = lines(panels[0])[label].get_data()
    assert y[1] == pytest.approx(0.5 * x[1])
    assert panels[0].get_ylim() == panels[1].get_ylim()


def test_hard_labels_have_no_line_and_many_pairs_a_density(figures, tmp_path):
    plots.plot_margins(models(1, gamma=np.inf), tmp_path / "m.png")
    assert not [label for label in lines(figures[0].axes[0]) if label.startswith("h = ")]
    plots.plot_margins(models(1, n=2500, prompts=900), tmp_path / "m.png")
    panel, scale = figures[1].axes
    assert len(panel.collections) == 1
    assert scale.get_ylabel() == "pairs"


def test_every_column_of_panels_ends_with_its_axis(figures, tmp_path):
    """Five models in rows of three: the third column ends in the first row."""
    plots.plot_margins(models(5, n=20, prompts=9), tmp_path / "m.png")
    labels = [axes.get_xlabel() for axes in figures[0].axes]
    assert [bool(label) for label in labels] == [False, False, True, True, True, False]
    assert [axes.get_visible() for axes in figures[0].axes] == [True] * 5 + [False]


def test_one_pair_is_drawn_and_claims_no_interval(tmp_path, figures):
    given = models(1, n=1, prompts=1)
    plots.plot_evaluation(evaluate_predictions(given, resamples=10), given, tmp_path)
    assert len(figures) == 3
    title = figures[0].axes[0].get_title(loc="left")
    assert title == "Reliability: 1 pair of 1 prompt"


def test_a_picture_that_cannot_be_written_is_refused(two, tmp_path):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(InputError, match=r"taken.png: is a folder"):
        plots.plot_risk_coverage(two[1], tmp_path / "taken.png")
