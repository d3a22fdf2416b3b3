"""Files are written whole or not at all, and a place that cannot be written is named."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from mmpo_core.checks import ContractError
from mmpo_core.errors import InputError
from mmpo_core.pair_file import PairWriter, read_table, whole_file, write_pairs
from tests.core.pair_tables import METADATA, pair_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.parquet"


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(path: Path) -> None:
    write_pairs(pair_table([1.0, 1.0]), path, METADATA)
    before = path.read_bytes()
    bad = pair_table([1.0, 1.0]).set_column(10, "weight", pa.array([1.0, -1.0]))
    with pytest.raises(ContractError, match=r"pairs\.parquet: column 'weight' is -1\.0 in row 1"):
        write_pairs(bad, path, METADATA)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, OSError])
def test_an_interrupted_file_is_removed(path: Path, stop: type[BaseException]) -> None:
    path.write_bytes(b"old")

    def write() -> None:
        with whole_file(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise stop

    with pytest.raises(stop):
        write()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_the_new_file_is_not_seen_before_it_is_whole(path: Path) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ContractError])
def test_a_writer_that_is_interrupted_leaves_no_file_and_none_open(
    path: Path, stop: type[BaseException]
) -> None:
    def write() -> None:
        with PairWriter(path, METADATA) as writer:
            writer.write(pair_table([1.0, 1.0, 1.0]))
            assert path.exists()
            raise stop

    with pytest.raises(stop):
        write()
    assert not path.exists()
    if not Path("/proc/self/fd").exists():
        pytest.skip("only Linux lists the open files")
    open_files = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [name for name in open_files if path.name in name.name]


def test_the_first_error_is_reported_though_closing_fails_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def write(stop: BaseException | None) -> None:
        with PairWriter(path, METADATA) as writer:
            monkeypatch.setattr(writer, "close", full)
            if stop:
                raise stop

    with pytest.raises(KeyboardInterrupt):
        write(KeyboardInterrupt())
    assert not path.exists()
    with pytest.raises(OSError, match="No space left"):
        write(None)


def test_a_full_disk_is_an_input_error(path: Path) -> None:
    def write() -> None:
        with whole_file(path):
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"pairs\.parquet: cannot be written, the disk is full"):
        write()


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        write_pairs(pair_table([1.0, 2.0, 3.0]), tmp_path, METADATA)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(path: Path) -> None:
    path.write_text("a file")
    with pytest.raises(InputError, match=r"below\.parquet: cannot be written \(.*pairs\.parquet"):
        write_pairs(pair_table([1.0, 2.0, 3.0]), path / "below.parquet", METADATA)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be written"):
            write_pairs(pair_table([1.0, 2.0, 3.0]), path, METADATA)
    finally:
        path.parent.chmod(0o700)


def test_a_name_that_is_too_long_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_pairs(pair_table([1.0, 2.0, 3.0]), tmp_path / ("x" * 300), METADATA)


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    write_pairs(pair_table([1.0, 2.0, 3.0]), tmp_path / "a" / "b" / "pairs.parquet", METADATA)
    assert read_table(tmp_path / "a" / "b" / "pairs.parquet").num_rows == 3
