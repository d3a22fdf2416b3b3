"""The picture: written whole, for three pairs and for many, with what it shows in its labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from margintool.report.inspecting import inspect_pairs
from mmpo_core.bradley_terry import probability
from mmpo_core.drawing import axis_end
from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.schema import PAIR_SCHEMA

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def many_pairs(tmp_path: Path) -> Path:
    """3,000 pairs: more than are drawn as points."""
    rows, rng = 3000, np.random.default_rng(0)
    margin = rng.exponential(size=rows)
    margin[7] = 100.0
    columns = {
        "pair_id": [str(i) for i in range(rows)],
        "prompt": ["q"] * rows,
        "chosen": ["x" * n for n in rng.integers(1, 60, rows)],
        "rejected": ["x" * n for n in rng.integers(1, 60, rows)],
        "history": [[]] * rows,
        "score_chosen": [None] * rows,
        "score_rejected": [None] * rows,
        "margin_raw": margin,
        "margin": margin,
        "p_chosen": probability(margin, 1.0),
        "weight": np.ones(rows),
        "source": ["ratings"] * rows,
        "origin": ["x"] * rows,
    }
    path = tmp_path / "many.parquet"
    write_pairs(pa.table(columns, schema=PAIR_SCHEMA), path, {"schema_version": 1, "gamma": 1.0})
    return path


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The three panels of the picture that the test draws."""
    from matplotlib.figure import Figure

    kept: list[Any] = []
    real = Figure.subplots

    def subplots(self: Any, *args: Any, **kwargs: Any) -> Any:
        panels = real(self, *args, **kwargs)
        kept.extend(panels)
        return panels

    monkeypatch.setattr(Figure, "subplots", subplots)
    return kept


def words(panel: Any) -> str:
    """Every legend entry, title and text of a panel."""
    legend = panel.get_legend()
    entries = [t.get_text() for t in legend.get_texts()] if legend else []
    return "\n".join([panel.get_title(), *entries, *(t.get_text() for t in panel.texts)])


def test_a_png_is_written(pair_file: Path, tmp_path: Path) -> None:
    inspect_pairs(pair_file, plot=tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)


def test_the_same_file_gives_the_same_picture(pair_file: Path, tmp_path: Path) -> None:
    inspect_pairs(pair_file, plot=tmp_path / "a.png")
    inspect_pairs(pair_file, plot=tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_panels_of_few_pairs_show_every_one(
    pair_file: Path, tmp_path: Path, axes: list[Any]
) -> None:
    inspect_pairs(pair_file, plot=tmp_path / "p.png")
    margins, targets, length = axes
    assert "ties: 1" in words(margins)
    assert "= 2" in words(targets)
    curve, points = targets.lines[:2]
    assert len(points.get_xdata()) == 4
    assert curve.get_ydata() == pytest.approx(probability(curve.get_xdata(), 2.0))
    assert "33.3%" in words(length)
    assert len(length.lines[0].get_xdata()) == 4


def test_many_pairs_become_a_density(many_pairs: Path, tmp_path: Path, axes: list[Any]) -> None:
    inspect_pairs(many_pairs, plot=tmp_path / "p.png")
    margins, targets, length = axes
    assert "(60 of 3,000, by rank)" in words(targets)
    assert len(length.collections) == 1
    assert "beyond the right edge" in words(margins)


@pytest.mark.parametrize(
    "margin", [[0.0] * 4, [1.0] * 4, [0.0, 0.0, 0.0, 1e9], [1e-9, 2e-9, 3e-9, 4e-9]]
)
def test_odd_margins_are_drawn(
    broken_file: Callable[..., Path], tmp_path: Path, margin: list[float]
) -> None:
    inspect_pairs(broken_file(margin=margin), plot=tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)


def test_a_broken_file_is_drawn_as_far_as_possible(
    broken_file: Callable[..., Path], tmp_path: Path, axes: list[Any]
) -> None:
    path = broken_file(
        drop=("chosen", "p_chosen"), meta=None, margin=[float("nan"), -1.0, 2.0, 3.0]
    )
    inspect_pairs(path, plot=tmp_path / "p.png")
    assert (tmp_path / "p.png").exists()
    assert "no text columns" in words(axes[2])


def test_a_file_without_margins_cannot_be_drawn(
    broken_file: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no finite margin"):
        inspect_pairs(broken_file(drop=("margin",)), plot=tmp_path / "p.png")
    assert not (tmp_path / "p.png").exists()


def test_another_suffix_is_refused(pair_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png"):
        inspect_pairs(pair_file, plot=tmp_path / "p.jpg")


def test_a_place_that_cannot_be_written_is_an_input_error(pair_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"p\.png: cannot be written"):
        inspect_pairs(pair_file, plot=tmp_path / "file" / "p.png")


def test_the_axis_ends_at_the_maximum_unless_that_is_far_out() -> None:
    assert axis_end(np.array([0.0, 1.0, 2.0])) == 2.0
    assert axis_end(np.array([1.0] * 1000 + [100.0])) == 1.0
    assert axis_end(np.array([1.0, 1.0, 100.0])) == 100.0
    assert axis_end(np.zeros(3)) == 1.0
