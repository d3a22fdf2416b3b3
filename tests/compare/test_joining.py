"""Which pairs of two files are the same pair, and what files without a common one are told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from margintool.compare.joining import Joined, join
from margintool.compare.reading import Pairs, read_pair_keys
from margintool.hashing import keys, text_digests
from margintool.progress import no_progress
from mmpo_core.checks import ContractError
from mmpo_core.errors import InputError
from tests.compare.files_of_pairs import row, signed_file, write_rows


def read(path: Path) -> Pairs:
    return read_pair_keys(path, no_progress)


def relative(joined: Joined) -> list[tuple[float, float]]:
    """(margin of A, margin of B), each pair turned so that A's winner stands first; sorted."""
    turn = np.where(joined.margin_a < 0, -1, 1)
    return sorted(
        zip((turn * joined.margin_a).tolist(), (turn * joined.margin_b).tolist(), strict=True)
    )


def test_the_sign_says_whether_the_same_answer_won(tmp_path: Path) -> None:
    """q1 the same winner, q2 the other one, q3 a tie in B, q4 and q5 in one file alone."""
    a = write_rows(
        tmp_path / "a.parquet", [row("q1", 1), row("q2", -2), row("q3", 3), row("q4", 4)]
    )
    b = write_rows(tmp_path / "b.parquet", [row("q5", 1), row("q3", 0), row("q2", 5), row("q1", 7)])
    joined = join(read(a), read(b))
    assert relative(joined) == [(1, 7), (2, -5), (3, 0)]
    assert (len(joined), joined.only_a, joined.only_b) == (3, 1, 1)


def test_targets_follow_the_winner(tmp_path: Path) -> None:
    """sigma(2) = .8808 for A's winner x, sigma(1) = .7311 for B's winner y: .2689 for x."""
    a = read(write_rows(tmp_path / "a.parquet", [row("q", 2)]))
    b = read(write_rows(tmp_path / "b.parquet", [row("q", -1)]))
    joined = join(a, b)
    likely_a = joined.target_a[0] if joined.margin_a[0] > 0 else 1 - joined.target_a[0]
    likely_b = joined.target_b[0] if joined.margin_a[0] > 0 else 1 - joined.target_b[0]
    assert (likely_a, likely_b) == pytest.approx((0.880797, 0.268941), abs=1e-6)


def test_the_join_is_that_of_a_pandas_merge(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def draw(name: str) -> tuple[pd.DataFrame, Pairs]:
        rows = []
        for prompt, first, second in {tuple(t) for t in rng.integers(0, 5, (200, 3)).tolist()}:
            if first < second:
                x, y = rng.permutation([str(first), str(second)]).tolist()
                rows.append((str(prompt), x, y, float(rng.integers(0, 5))))
        frame = pd.DataFrame(rows, columns=["prompt", "chosen", "rejected", "margin"])
        return frame, read(write_rows(tmp_path / f"{name}.parquet", rows))

    (left, a), (right, b) = draw("a"), draw("b")
    straight = left.merge(right, on=["prompt", "chosen", "rejected"])
    swapped = left.merge(
        right, left_on=["prompt", "chosen", "rejected"], right_on=["prompt", "rejected", "chosen"]
    )
    expected = [*zip(straight.margin_x, straight.margin_y, strict=True)]
    expected += [*zip(swapped.margin_x, -swapped.margin_y, strict=True)]
    assert len(expected) > 20
    # A tie in A has no winner to turn to: only the size of B's margin is told.
    decided = [pair for pair in relative(join(a, b)) if pair[0] > 0]
    assert decided == sorted(pair for pair in expected if pair[0] > 0)
    assert len(join(a, b)) == len(expected)


def test_history_is_part_of_the_key(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    rows = [row("q1", 1), row("q2", 2)]
    a = read(write_rows(tmp_path / "a.parquet", rows, histories=[said, []]))
    b = read(write_rows(tmp_path / "b.parquet", rows, histories=[said, said]))
    assert relative(join(a, b)) == [(1, 1)]


def test_repeated_pairs_count_once_with_their_mean(tmp_path: Path) -> None:
    """3 for x and 1 for y: the mean is 1 for x; the target is that of both, too.

    (sigma(3) + 1 - sigma(1)) / 2 = (.952574 + .268941) / 2.
    """
    path = write_rows(tmp_path / "a.parquet", [row("q", 3), row("other", 1), row("q", -1)])
    pairs = read(path)
    assert (pairs.rows, pairs.repeated, len(pairs.key)) == (3, 1, 2)
    b = read(write_rows(tmp_path / "b.parquet", [row("q", 2)]))
    joined = join(pairs, b)
    assert relative(joined) == [(1, 2)]
    target = joined.target_a[0] if joined.margin_a[0] > 0 else 1 - joined.target_a[0]
    assert target == pytest.approx((0.952574 + 0.268941) / 2, abs=1e-6)


def test_a_pair_that_contradicts_itself_is_a_tie(tmp_path: Path) -> None:
    pairs = read(write_rows(tmp_path / "a.parquet", [row("q", 0.3), row("q", -0.3), row("p", 1)]))
    assert pairs.ties == 1
    assert sorted(np.abs(pairs.margin).tolist()) == [0.0, 1.0]


def test_twice_the_same_answer_is_left_out_and_counted(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet", [("q", "x", "x", 1.0), row("q", 2)])
    assert (read(path).identical, len(read(path).key)) == (1, 1)


def test_texts_are_read_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from margintool.compare import reading

    path = signed_file(tmp_path / "a.parquet", list(range(1, 30)))
    whole = read(path)
    monkeypatch.setattr(reading, "batch_rows", lambda file: 4)
    parts = read(path)
    assert parts.margin.tolist() == whole.margin.tolist()
    assert parts.key.tolist() == whole.key.tolist()


def test_a_file_that_breaks_the_contract_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = signed_file(tmp_path / "a.parquet", [1.0, 2.0])
    table = pq.read_table(path)
    for column, values, problem in (
        ("margin_raw", [1.0, -2.0], "'margin_raw' is -2.0 in row 1"),
        ("p_chosen", [0.9, 0.9], "'p_chosen' is 0.9 in row 0"),
    ):
        at = table.column_names.index(column)
        pq.write_table(table.set_column(at, column, [values]), path)
        with pytest.raises(ContractError, match=rf"a\.parquet: column {problem}"):
            read(path)
    at = table.column_names.index("pair_id")
    pq.write_table(table.set_column(at, "pair_id", [["same", "same"]]), path)
    with pytest.raises(ContractError, match="'same' in row 1, which stands in an earlier row"):
        read(path)


def test_a_file_without_pairs_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = signed_file(tmp_path / "a.parquet", [1.0])
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(InputError, match=r"a\.parquet: has no pairs"):
        read(path)


def test_keys_are_of_the_text_to_the_character(tmp_path: Path) -> None:
    a = read(write_rows(tmp_path / "a.parquet", [("q", "x", "y", 1.0)]))
    b = read(write_rows(tmp_path / "b.parquet", [("q", "x ", "y", 1.0)]))
    assert len(join(a, b)) == 0
    assert a.prompt.tolist() == b.prompt.tolist()
    import pyarrow as pa

    assert a.prompt.tolist() == keys(text_digests(pa.chunked_array([["q"]]))).tolist()
