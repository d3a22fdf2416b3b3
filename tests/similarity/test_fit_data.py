"""Pairs split by prompt, their targets, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.similarity.fit.data import TEST, TRAIN, VALIDATION, FitData, load_fit_data
from margintool.similarity.fit.options import FitOptions
from margintool.similarity.fit.targets import largest_margin, similarities
from mmpo_core.errors import InputError
from tests.similarity.fit_pairs import row, write


def load(path: Path, **options: object) -> FitData:
    return load_fit_data(FitOptions(pairs=path, out=path.with_name("out"), **options))  # type: ignore[arg-type]


def rows(prompts: int, per_prompt: int) -> list[dict[str, object]]:
    return [
        row(f"{prompt}-{pair}", f"prompt {prompt}", float((prompt + pair) % 7))
        for prompt in range(prompts)
        for pair in range(per_prompt)
    ]


def prompts_of(data: FitData) -> dict[str, set[str]]:
    return {n: set(p.table.column("prompt").to_pylist()) for n, p in data.parts.items()}


def ids_of(data: FitData) -> dict[str, list[str]]:
    return {n: sorted(p.table.column("pair_id").to_pylist()) for n, p in data.parts.items()}


def test_no_prompt_is_on_two_sides_and_all_pairs_are_there(tmp_path: Path) -> None:
    """40 prompts of 5 pairs; 0.1 and 0.2 of the prompts are 4 and 8."""
    data = load(write(tmp_path / "pairs.parquet", rows(40, 5)))
    found = prompts_of(data)
    assert [len(found[name]) for name in (TRAIN, VALIDATION, TEST)] == [28, 4, 8]
    assert not found[TRAIN] & found[TEST]
    assert not found[TRAIN] & found[VALIDATION]
    assert not found[VALIDATION] & found[TEST]
    assert sum(map(len, data.parts.values())) == data.rows == 200
    assert data.parts[TEST].counts()["pairs"] == 40
    for pairs in data.parts.values():  # numbers of prompts stand for their texts
        texts = pairs.table.column("prompt").to_pylist()
        assert len(set(zip(texts, pairs.prompts.tolist(), strict=True))) == len(set(texts))


def test_conversations_are_told_apart_by_their_history(tmp_path: Path) -> None:
    """The same last message after two histories is two prompts; 12 rows are 12 of them."""
    pairs = [
        row(str(i), "And then?", float(i), history=[{"role": "user", "content": f"turn {i}"}])
        for i in range(12)
    ]
    data = load(write(tmp_path / "pairs.parquet", pairs))
    assert [p.counts()["prompts"] for p in data.parts.values()] == [8, 2, 2]


def test_the_split_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    pairs = rows(30, 3)
    one = ids_of(load(write(tmp_path / "a.parquet", pairs)))
    assert ids_of(load(write(tmp_path / "b.parquet", pairs[::-1]))) == one
    assert ids_of(load(tmp_path / "a.parquet", seed=1)) != one


def test_a_sample_of_the_pairs(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.parquet", rows(40, 5))
    data = load(path, max_pairs=90)
    assert (data.rows, sum(map(len, data.parts.values()))) == (200, 90)
    assert ids_of(load(path, max_pairs=90)) == ids_of(data)
    assert ids_of(load(path, max_pairs=90, seed=1)) != ids_of(data)
    assert ids_of(load(path, max_pairs=1000)) == ids_of(load(path))


def test_too_few_prompts(tmp_path: Path) -> None:
    """Six are enough: two a part. Five are not."""
    path = write(tmp_path / "pairs.parquet", rows(6, 3))
    assert [p.counts()["prompts"] for p in load(path).parts.values()] == [2, 2, 2]
    path = write(tmp_path / "few.parquet", rows(5, 3))
    with pytest.raises(InputError, match=r"few\.parquet: 5 different prompts are too few"):
        load(path)


def test_margins_that_are_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.parquet", [row(str(i), f"p {i}", 0.0) for i in range(20)])
    with pytest.raises(InputError, match="all 14 train pairs have the margin 0, and there is"):
        load(path)


def test_a_file_that_is_no_pair_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file.*margintool score"):
        load(tmp_path / "missing.parquet")
    (tmp_path / "text.parquet").write_text("not Parquet")
    with pytest.raises(InputError, match="not a Parquet file"):
        load(tmp_path / "text.parquet")


def test_targets_by_hand() -> None:
    """Margins above 0 are 1 to 21; their 95% quantile is 1 + 0.95 * 20 = 20."""
    margins = np.concatenate([np.zeros(50), np.arange(1.0, 22.0)])
    assert largest_margin(margins) == 20.0
    found = similarities(np.array([0.0, 5.0, 20.0, 21.0, 1e300]), 20.0)
    assert found.tolist() == [1.0, 0.75, 0.0, 0.0, 0.0]


@given(st.lists(st.floats(0, 1e12), min_size=1).filter(any))
def test_targets_fall_as_margins_rise(values: list[float]) -> None:
    margins = np.sort(np.array(values))
    found = similarities(margins, largest_margin(margins))
    assert (np.diff(found) <= 0).all()
    assert found.min() >= 0
    assert (found[margins == 0] == 1).all()
