"""The picture: what its panels show, for few pairs and for many, and for odd margins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from margintool.compare.comparing import compare
from margintool.compare.plot import tenths, turned
from tests.compare.files_of_pairs import signed_file
from tests.compare.test_intervals import drawn_pairs

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The panels of the picture that the test draws: margins, reliability, histogram, ..."""
    from matplotlib.figure import SubFigure

    kept: list[Any] = []
    real = SubFigure.add_subplot

    def add_subplot(self: Any, *args: Any, **kwargs: Any) -> Any:
        kept.append(real(self, *args, **kwargs))
        return kept[-1]

    monkeypatch.setattr(SubFigure, "add_subplot", add_subplot)
    return kept


def words(panel: Any) -> str:
    legend = panel.get_legend()
    entries = [t.get_text() for t in legend.get_texts()] if legend else []
    labels = [panel.get_title(), panel.get_xlabel(), panel.get_ylabel()]
    return "\n".join([*labels, *entries, *(t.get_text() for t in panel.texts)])


def draw(folder: Path, a: list[float], b: list[float], **more: Any) -> Path:
    files = [
        signed_file(folder / "a.parquet", a, source="shp", margin="diff", unit="votes", **more),
        signed_file(folder / "b.parquet", b, unit="a $cost$"),
    ]
    compare(files, plot=folder / "p.png", bootstrap=0)
    return folder / "p.png"


def test_panels_of_few_pairs(tmp_path: Path, axes: list[Any]) -> None:
    """A's winner stands first: (1, 1), (2, -2), (3, 6), (4, 4); the third turned round."""
    path = draw(tmp_path, [1, 2, -3, 4], [1, -2, -6, 4])
    assert path.read_bytes().startswith(PNG)
    margins, reliability, histogram = axes
    found = margins.lines[0].get_xydata().tolist()
    assert sorted(found) == [[1, 1], [2, -2], [3, 6], [4, 4]]
    assert "margin_raw of A, shp diff in votes" in words(margins)
    assert "margin_raw of B in a \\$cost\\$\n> 0: same winner" in words(margins)
    assert "same winner 75.0%" in words(margins)
    assert "other winner 25.0%" in words(margins)
    assert "perfect calibration" in words(reliability)
    assert "B's winner (ECE" in words(reliability)
    assert sum(patch.get_height() for patch in histogram.patches) == 4


def test_the_reliability_curve_is_the_share_of_the_other_file(
    tmp_path: Path, axes: list[Any]
) -> None:
    """A predicts sigma(1) for four pairs, of which B decides three alike."""
    draw(tmp_path, [1, 1, -1, -1], [1, 2, -3, 4])
    curve = axes[1].lines[1].get_xydata().tolist()
    assert curve == [[pytest.approx(1 / (1 + np.exp(-1))), 0.75]]


def test_many_pairs_become_a_density_with_what_is_cut_off(tmp_path: Path, axes: list[Any]) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=2500)
    b = a + rng.normal(size=2500)
    a[3], b[3] = 1000.0, 5.0
    draw(tmp_path, a.tolist(), b.tolist())
    assert len(axes[0].collections) == 1
    assert "beyond the edges:" in words(axes[0])


@pytest.mark.parametrize(
    ("a", "b", "gamma"),
    [
        ([0.0, 0.0], [0.0, 0.0], 1.0),
        ([0.0, 0.0], [1.0, -1.0], 1.0),
        ([1.0], [-1e12], 1.0),
        ([1e-9, 2e-9], [1e9, 1.0], 1.0),
        ([1.0, 2.0], [-1.0, -2.0], float("inf")),
    ],
)
def test_odd_margins_are_drawn(
    tmp_path: Path, a: list[float], b: list[float], gamma: float
) -> None:
    assert draw(tmp_path, a, b, gamma=gamma).read_bytes().startswith(PNG)


def test_three_files_have_two_rows_of_panels_and_the_same_bytes_again(
    tmp_path: Path, axes: list[Any]
) -> None:
    files = [signed_file(tmp_path / f"{n}.parquet", [1, 2, n]) for n in (3, 4, 5)]
    compare(files, plot=tmp_path / "p.png", bootstrap=0)
    assert len(axes) == 6
    compare(files, plot=tmp_path / "again.png", bootstrap=0)
    assert (tmp_path / "p.png").read_bytes() == (tmp_path / "again.png").read_bytes()


def test_tenths_hold_equally_many_pairs_and_equal_margins_stay_together() -> None:
    x = np.arange(100.0)
    at, mean = tenths(x, -x)
    assert at == pytest.approx(np.arange(4.5, 100, 10))
    assert mean == pytest.approx(-at)
    at, mean = tenths(np.array([1.0] * 90 + [2.0] * 10), np.array([0.0, 2.0] * 50))
    assert at.tolist() == [1.0, 2.0]
    assert mean.tolist() == [1.0, 1.0]


def test_turning_puts_the_winner_of_the_first_file_first() -> None:
    pairs = drawn_pairs(50)
    x, y = turned(pairs)
    assert (x >= 0).all()
    assert (x * y).tolist() == (pairs.margin_a * pairs.margin_b).tolist()
