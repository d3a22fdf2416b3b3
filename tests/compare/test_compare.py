"""`compare` as a whole: what it finds, what it refuses, and what changes nothing."""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from margintool import read_pairs, score
from margintool.compare.comparing import compare
from margintool.compare.facts import Comparison
from mmpo_core.errors import InputError
from tests.compare.files_of_pairs import Row, row, signed_file, write_rows

margins = st.integers(-3, 3).map(float)
rows_of_both = st.lists(st.tuples(margins, margins), min_size=1, max_size=12)


def of(a: Sequence[Row], b: Sequence[Row], **options: Any) -> Comparison:
    """Compare two files of these rows; paths are taken out of the result."""
    with TemporaryDirectory() as folder:
        paths = [
            write_rows(Path(folder) / f"{name}.parquet", rows)
            for name, rows in (("a", a), ("b", b))
        ]
        found = compare(paths, **{"bootstrap": 5, **options})
    return replace(found, files=tuple(replace(file, path="") for file in found.files))


def both(values: Sequence[tuple[float, float]]) -> tuple[list[Row], list[Row]]:
    """Three pairs a prompt, so that prompts are drawn whole."""
    rows: tuple[list[Row], list[Row]] = ([], [])
    for i, signed in enumerate(values):
        for file, value in zip(rows, signed, strict=True):
            prompt, x, y, size = row(f"q{i // 3}", value)
            file.append((prompt, f"{x}{i}", f"{y}{i}", size))
    return rows


def swapped(pair: Row) -> Row:
    prompt, chosen, rejected, margin = pair
    return (prompt, rejected, chosen, margin)


def test_five_pairs_by_hand(tmp_path: Path) -> None:
    """Same winner, other winner, tie in B, tie in A, tie in both."""
    a = signed_file(tmp_path / "a.parquet", [1, 2, 3, 0, 0, 9], source="shp", margin="diff")
    b = signed_file(tmp_path / "b.parquet", [1, -2, 0, 4, 0], unit="points")
    found = compare([a, b], bootstrap=0)
    two = found.comparisons[0]
    assert (two.same_winner, two.other_winner) == (1, 1)
    assert (two.tie_a, two.tie_b, two.tie_both) == (1, 1, 1)
    assert (two.pairs, two.prompts, two.only_a, two.only_b) == (5, 5, 1, 0)
    assert two.agreement["same_winner"].value == 0.5
    first, second = found.files
    assert (first.estimator, first.ties, first.pairs, second.unit) == ("shp diff", 2, 6, "points")
    # Of A's targets sigma(1), sigma(2), sigma(3) and 1/2: right, wrong, and three halves.
    assert two.calibration[0].against_outcome["accuracy"].value == pytest.approx(2.5 / 5)


def test_calibration_against_both_truths_by_hand() -> None:
    """A says sigma(2) = .8808 for x; B sigma(1) = .7311 for y. One pair."""
    found = of([row("q", 2)], [row("q", -1)], bootstrap=0).comparisons[0]
    of_a, of_b = found.calibration
    p, q = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-1))
    assert (of_a.predicted, of_a.truth, of_b.predicted, of_b.truth) == ("A", "B", "B", "A")
    assert of_a.against_outcome["brier"].value == pytest.approx(p * p)
    assert of_a.against_target["brier"].value == pytest.approx((p - (1 - q)) ** 2)
    assert of_a.against_outcome["log_loss"].value == pytest.approx(-math.log(1 - p))
    assert of_b.against_outcome["ece"].value == pytest.approx(q)
    assert of_b.against_target["log_loss"].value == pytest.approx(
        -(1 - p) * math.log(q) - p * math.log(1 - q)
    )


@settings(max_examples=20)
@given(st.lists(margins, min_size=2, max_size=12).filter(lambda m: len({abs(x) for x in m}) > 1))
def test_a_file_agrees_wholly_with_itself(values: list[float]) -> None:
    rows, _ = both([(m, m) for m in values])
    two = of(rows, rows).comparisons[0]
    assert all(number.value == pytest.approx(1.0) for number in two.agreement.values())
    for side in two.calibration:
        assert side.against_target["ece"].value == pytest.approx(0.0)
        assert side.against_target["brier"].value == 0.0
    assert two.other_winner == two.tie_a == two.tie_b == 0


@settings(max_examples=20)
@given(rows_of_both, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(values: list[tuple[float, float]], random: Any) -> None:
    a, b = both(values)
    assert of(random.sample(a, len(a)), random.sample(b, len(b))) == of(a, b)


@settings(max_examples=20)
@given(rows_of_both, st.randoms(use_true_random=False))
def test_turning_pairs_round_in_both_files_changes_nothing(
    values: list[tuple[float, float]], random: Any
) -> None:
    """The texts of a pair change places in both files; ties also in one file alone."""
    a, b = both(values)
    turn = [random.random() < 0.5 for _ in a]
    turned_a = [swapped(p) if t else p for p, t in zip(a, turn, strict=True)]
    turned_b = [swapped(p) if t else p for p, t in zip(b, turn, strict=True)]
    turned_b = [swapped(p) if p[3] == 0 and random.random() < 0.5 else p for p in turned_b]
    before, after = of(a, b, bootstrap=0), of(turned_a, turned_b, bootstrap=0)
    assert_close(after.as_dict(), before.as_dict())


def assert_close(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert_close(found[name], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
    else:
        assert found == (pytest.approx(expected) if isinstance(expected, float) else expected)


@settings(max_examples=20)
@given(rows_of_both)
def test_the_files_can_change_places(values: list[tuple[float, float]]) -> None:
    a, b = both(values)
    one, other = of(a, b, bootstrap=0).comparisons[0], of(b, a, bootstrap=0).comparisons[0]
    assert_close(
        {name: number.value for name, number in one.agreement.items()},
        {name: number.value for name, number in other.agreement.items()},
    )
    for mine, theirs in zip(one.calibration, reversed(other.calibration), strict=True):
        for name, number in mine.against_outcome.items():
            assert number.value == pytest.approx(theirs.against_outcome[name].value)


def test_three_files_are_compared_with_the_first(tmp_path: Path) -> None:
    """C shares pairs with A and with B, B and A share others."""
    rows = [row(f"q{i}", i + 1) for i in range(9)]
    a = write_rows(tmp_path / "a.parquet", rows[:6])
    b = write_rows(tmp_path / "b.parquet", rows[3:])
    c = write_rows(tmp_path / "c.parquet", [*rows[:3], *rows[6:8]])
    found = compare([a, b, c], bootstrap=0)
    assert [(two.a, two.b, two.pairs) for two in found.comparisons] == [
        ("A", "B", 3),
        ("A", "C", 3),
    ]
    assert np.array(found.spearman) == pytest.approx(np.ones((3, 3)))
    d = write_rows(tmp_path / "d.parquet", rows[:3])
    matrix = compare([a, b, d], bootstrap=0).spearman
    assert matrix[1][2] is None
    assert matrix[2][1] is None


def test_the_result_is_strict_json_with_infinity_as_text(tmp_path: Path) -> None:
    a = signed_file(tmp_path / "a.parquet", [1, 1], gamma=math.inf)
    b = signed_file(tmp_path / "b.parquet", [1, -1])
    found = compare([a, b], bootstrap=3)
    plain = json.loads(found.to_json())
    assert plain == found.as_dict()
    loss = plain["comparisons"][0]["calibration"][0]["against_outcome"]["log_loss"]
    assert loss == {"value": "inf", "low": None, "high": None}
    assert plain["comparisons"][0]["agreement"]["pearson_size"]["value"] is None
    notes = "\n".join(found.comparisons[0].notes)
    assert "log-loss is inf" in notes
    assert "not defined" in notes
    assert "rest on 2 prompts" in notes


def test_the_draw_of_fewer_prompts_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from margintool.compare import intervals

    monkeypatch.setattr(intervals, "MOST_PAIRS", 100)
    signed = np.random.default_rng(0).normal(size=(2, 300)).tolist()
    paths = [signed_file(tmp_path / f"{n}.parquet", x) for n, x in zip("ab", signed, strict=True)]
    two = compare(paths, bootstrap=3).comparisons[0]
    assert two.drawn == 100
    assert any("drew 100 of 300 prompts" in note for note in two.notes)


def test_one_file_is_too_few(tmp_path: Path) -> None:
    path = signed_file(tmp_path / "a.parquet", [1])
    with pytest.raises(InputError, match="two pair files or more, got 1"):
        compare([path])


def test_the_same_file_twice_is_refused_under_any_name(tmp_path: Path) -> None:
    path = signed_file(tmp_path / "a.parquet", [1])
    (tmp_path / "link.parquet").symlink_to(path)
    for other in (path, tmp_path / "link.parquet"):
        with pytest.raises(InputError, match="are the same file"):
            compare([path, other])
    copy = shutil.copy(path, tmp_path / "copy.parquet")
    assert compare([path, copy], bootstrap=0).comparisons[0].pairs == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = signed_file(tmp_path / "a.parquet", [1])
    with pytest.raises(InputError, match=r"none\.parquet: no such file"):
        compare([path, tmp_path / "none.parquet"])


def test_a_bad_name_for_the_plot_is_seen_before_reading(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png"):
        compare([tmp_path / "no.parquet", tmp_path / "none.parquet"], plot=tmp_path / "p.pdf")


X: Row = ("q", "x", "y", 1.0)


@pytest.mark.parametrize(
    ("other", "history", "problem"),
    [
        (("q", "x", "z", 1.0), False, r"1 prompt in common, but with other answers \(1 answer in"),
        (("q", "x", "y", 1.0), True, "1 prompt in common, but after another history"),
        (("q ", "x", "y", 1.0), False, "2 answers in common, but to other prompts"),
        (("p", "a", "b", 1.0), False, "neither a prompt nor an answer in common"),
    ],
)
def test_files_without_a_common_pair_are_told_why(
    tmp_path: Path, other: Row, history: bool, problem: str
) -> None:
    a = write_rows(tmp_path / "a.parquet", [X])
    said = [[{"role": "system", "content": "be brief"}]] if history else None
    b = write_rows(tmp_path / "b.parquet", [other], histories=said)
    with pytest.raises(InputError, match=problem) as error:
        compare([a, b])
    assert "a.parquet (1 pair) and" in str(error.value)
    assert "begins 'q'" in str(error.value)
    assert f"b.parquet {other[0]!r}." in str(error.value)


@pytest.fixture(scope="module")
def votes(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The votes of real readers, scored by each estimator."""
    folder = tmp_path_factory.mktemp("votes")
    for margin in ("log-ratio", "diff", "posterior"):
        score(
            source="shp",
            input=real_data / "votes" / "eli5_shp_layout.jsonl.gz",
            out=folder / f"{margin}.parquet",
            margin=margin,
            max_pairs_per_prompt=0,
        )
    return {path.stem: path for path in folder.glob("*.parquet")}


@pytest.mark.real_data
def test_real_votes_by_three_estimators(votes: dict[str, Path]) -> None:
    """All name the same winners; log-ratio and posterior nearly agree, diff has another scale."""
    found = compare([votes["log-ratio"], votes["diff"], votes["posterior"]], bootstrap=20)
    diff, posterior = found.comparisons
    assert diff.pairs == posterior.pairs == 3200
    assert diff.agreement["same_winner"].value == posterior.agreement["same_winner"].value == 1.0
    assert posterior.agreement["spearman_size"].value == pytest.approx(0.999, abs=0.0006)
    assert diff.agreement["spearman_size"].value == pytest.approx(0.929, abs=0.0006)
    assert diff.agreement["pearson_size"].value == pytest.approx(0.542, abs=0.0006)
    for name, number in diff.agreement.items():
        assert number.value is not None
        assert number.low is not None
        assert number.high is not None
        assert number.low <= number.value <= number.high, name


@pytest.mark.real_data
def test_real_votes_agree_with_pandas_and_scipy(votes: dict[str, Path]) -> None:
    on = ["prompt", "chosen", "rejected"]
    merged = read_pairs(votes["log-ratio"]).merge(read_pairs(votes["diff"]), on=on)
    assert len(merged) == 3200
    x, y = merged.margin_raw_x, merged.margin_raw_y
    found = compare([votes["log-ratio"], votes["diff"]], bootstrap=0).comparisons[0].agreement
    assert found["kendall_size"].value == pytest.approx(kendalltau(x, y).statistic)
    assert found["spearman_size"].value == pytest.approx(spearmanr(x, y).statistic)
    assert found["pearson_size"].value == pytest.approx(np.corrcoef(x, y)[0, 1])
    signed = spearmanr(np.r_[x, -x], np.r_[y, -y]).statistic
    assert found["spearman_signed"].value == pytest.approx(signed)


def test_winners_that_come_from_the_input_are_told(tmp_path: Path) -> None:
    rows = [row("a", 1), row("b", 2)]
    a = write_rows(tmp_path / "a.parquet", rows, source="similarity", margin="cosine")
    b = write_rows(tmp_path / "b.parquet", rows, source="shp", margin="diff")
    (two,) = compare([a, b], bootstrap=0).comparisons
    (note,) = [note for note in two.notes if "winners from its input" in note]
    assert note.startswith("A (similarity cosine)")
