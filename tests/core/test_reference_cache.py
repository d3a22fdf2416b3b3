"""The reference cache on disk: parts, what is found again, damage, and writers at the same time."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpo_core.errors import InputError
from mmpo_core.reference_cache import ABSENT, ReferenceCache, cache_folder, default_cache_folder
from mmpo_core.reference_part import (
    DamagedPartError,
    ReferenceRows,
    joined,
    no_rows,
    read_part,
    write_part,
)
from tests.conftest import ROOT

KEY = "0123abcd"


def rows(*numbers: int, plus: float = 0.0) -> ReferenceRows:
    """Pairs whose digests, log-probs and token counts all follow from their numbers."""
    at = np.array(numbers)
    pair = np.zeros((len(at), 16), np.uint8)
    pair[:, 0], pair[:, 15] = at, at + 1
    logps = np.stack([-at - 0.25, -at - 0.5]) + plus
    return ReferenceRows(pair, logps.astype(np.float32), np.stack([at, at + 3]).astype(np.int32))


def only_part(folder: Path) -> Path:
    (part,) = (folder / KEY).glob("*.parquet")
    return part


def test_rows_are_found_again_by_another_process_of_the_same_model(tmp_path: Path):
    ReferenceCache(tmp_path, KEY).add(rows(1, 2, 3))
    again = ReferenceCache(tmp_path, KEY)
    found = again.find(rows(3, 7, 1).pair)
    assert len(again) == 3
    assert found[1] == ABSENT
    assert again.logps(found[[0, 2]]).tolist() == [[-3.25, -1.25], [-3.5, -1.5]]


def test_another_model_has_none_of_them(tmp_path: Path):
    ReferenceCache(tmp_path, KEY).add(rows(1))
    other = ReferenceCache(tmp_path, "another")
    assert len(other) == 0
    assert other.find(rows(1).pair).tolist() == [ABSENT]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    cache = ReferenceCache()
    cache.add(rows(1, 2))
    assert cache.logps(cache.find(rows(2).pair)).tolist() == [[-2.25], [-2.5]]
    assert not list(tmp_path.iterdir())


def test_a_part_is_plain_parquet_with_the_pairs_numbers(tmp_path: Path):
    ReferenceCache(tmp_path, KEY, {"model": "M"}).add(rows(5))
    assert pq.read_table(only_part(tmp_path)).to_pylist() == [
        {
            "pair": bytes([5, *[0] * 14, 6]),
            "chosen_logps": -5.25,
            "rejected_logps": -5.5,
            "chosen_tokens": 5,
            "rejected_tokens": 8,
        }
    ]
    assert json.loads((tmp_path / KEY / "model.json").read_text()) == {"model": "M"}


def test_a_pair_that_another_process_wrote_meanwhile_keeps_its_numbers(tmp_path: Path):
    """Both start empty; the second has pair 2 as well, and adopts what the first has written."""
    first, second = ReferenceCache(tmp_path, KEY), ReferenceCache(tmp_path, KEY)
    first.add(rows(1, 2))
    second.add(rows(2, 3, plus=0.125))
    assert second.logps(second.find(rows(1, 2, 3).pair))[0].tolist() == [-1.25, -2.25, -3.125]
    later = ReferenceCache(tmp_path, KEY)
    assert len(later) == 3
    assert later.logps(later.find(rows(2).pair)).tolist() == [[-2.25], [-2.5]]


WRITING = """
import sys
from pathlib import Path
from mmpo_core.reference_cache import ReferenceCache
from tests.core.test_reference_cache import KEY, rows
cache = ReferenceCache(Path(sys.argv[1]), KEY)
for number in range(12):
    cache.add(rows(number, int(sys.argv[2]), plus=float(sys.argv[2])))
"""


def test_three_processes_write_at_once_and_every_pair_is_there_once(tmp_path: Path):
    command = [sys.executable, "-c", WRITING, str(tmp_path)]
    running = [subprocess.Popen([*command, str(100 + n)], cwd=ROOT) for n in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    expected = [*range(12), 100, 101, 102]
    parts = [read_part(path, KEY) for path in (tmp_path / KEY).glob("*.parquet")]
    assert sorted(joined(parts).pair[:, 0].tolist()) == expected
    assert not list((tmp_path / KEY).glob(".*"))


def damaged(path: Path, how: str) -> None:
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "other columns":
        pq.write_table(pa.table({"a": [1]}), path)
    else:
        table = pq.read_table(path)
        changed = table.to_pylist()
        changed[0][how] += 1
        pq.write_table(pa.Table.from_pylist(changed, schema=table.schema), path)


@pytest.mark.parametrize("how", ["cut", "empty", "other columns", "chosen_logps", "chosen_tokens"])
def test_a_damaged_part_is_named_set_aside_and_its_pairs_are_computed_again(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    ReferenceCache(tmp_path, KEY).add(rows(1, 2))
    part = only_part(tmp_path)
    ReferenceCache(tmp_path, KEY).add(rows(3))
    damaged(part, how)
    with caplog.at_level(logging.WARNING):
        cache = ReferenceCache(tmp_path, KEY)
    assert (cache.find(rows(1, 2, 3).pair) == ABSENT).tolist() == [True, True, False]
    assert f"{part} is damaged" in caplog.text
    assert part.with_name(f"{part.name}.damaged").exists()
    caplog.clear()
    cache.add(rows(1, 2))
    assert len(ReferenceCache(tmp_path, KEY)) == 3
    assert not caplog.text


def test_a_part_of_another_model_is_not_taken(tmp_path: Path):
    path = write_part(tmp_path, "another", rows(1))
    with pytest.raises(DamagedPartError, match="of another model"):
        read_part(path, KEY)


@pytest.fixture(scope="module")
def whole_part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_part(tmp_path_factory.mktemp("part"), KEY, rows(*range(40)))


@settings(max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_no_changed_byte_changes_a_number(place: float, change: int, whole_part: Path):
    content = bytearray(whole_part.read_bytes())
    content[int(place * len(content))] ^= change
    path = whole_part.with_suffix(".changed")
    path.write_bytes(content)
    try:
        read = read_part(path, KEY)
    except DamagedPartError:
        return
    expected = rows(*range(40))
    for name in ("pair", "logps", "tokens"):
        assert np.array_equal(getattr(read, name), getattr(expected, name))


@given(st.lists(st.integers(0, 255), max_size=20, unique=True), st.integers(0, 20))
def test_parted_and_joined_rows_are_the_same_rows(numbers: list[int], cut: int):
    whole = rows(*numbers) if numbers else no_rows()
    first = np.arange(len(whole)) < cut
    again = joined([whole.where(first), whole.where(~first)])
    assert again.table().equals(whole.table())


def test_default_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MARGINTOOL_CACHE", "/somewhere")
    assert default_cache_folder() == Path("/somewhere/reference")
    monkeypatch.delenv("MARGINTOOL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/of_user")
    assert default_cache_folder() == Path("/of_user/margintool/reference")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/her")
    assert default_cache_folder() == Path("/home/her/.cache/margintool/reference")


def test_option_names_a_folder_or_none(tmp_path: Path):
    assert cache_folder("none") is None
    assert cache_folder(str(tmp_path / "new")) == tmp_path / "new"
    assert (tmp_path / "new").is_dir()
    assert cache_folder(None) == default_cache_folder()


def test_a_folder_that_cannot_be_made_is_an_error_that_says_what_to_do(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.* cannot be made.*--reference-cache, or `none`"):
        cache_folder(str(tmp_path / "file"))
