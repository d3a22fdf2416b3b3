"""workspace: gone in every case, and it clears away what killed processes left."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from margintool.storage import workspace
from mmpo_core.errors import InputError


def test_folder_lies_beside_the_output_and_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "new" / "pairs.parquet"
    with workspace(out) as folder:
        (folder / "x").write_text("x")
        assert folder.parent == out.parent
        assert folder.name == f".pairs.parquet.{os.getpid()}.work.partial"
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, InputError])
def test_folder_is_removed_on_any_exception(kind: type[BaseException], tmp_path: Path) -> None:
    def interrupted() -> None:
        with workspace(tmp_path / "pairs.parquet") as folder:
            (folder / "x").write_text("x")
            raise kind

    with pytest.raises(kind):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_folders_of_dead_processes_are_removed_and_no_others(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive = os.getppid()
    names = {
        f".pairs.parquet.{dead.pid}.work.partial": False,
        f".pairs.parquet.{os.getpid()}.work.partial": False,
        f".pairs.parquet.{alive}.work.partial": True,
        f".other.parquet.{dead.pid}.work.partial": True,
        ".pairs.parquet.x.work.partial": True,
    }
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    with workspace(tmp_path / "pairs.parquet"):
        pass
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {name for name, stays in names.items() if stays}


def test_full_disk_is_named(tmp_path: Path) -> None:
    """/dev/full refuses every write as a full disk does; pyarrow's error is the same."""
    with (
        pytest.raises(InputError, match=r"the disk is full\. .* free some, or give --out another"),
        workspace(tmp_path / "pairs.parquet"),
        pa.OSFile("/dev/full", "wb") as file,
    ):
        file.write(b"x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="reset"), workspace(tmp_path / "pairs.parquet"):
        raise OSError(errno.ECONNRESET, "Connection reset")


def test_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch) -> None:
    def refuse(self: Path, *args: object, **options: object) -> None:
        if self.name.endswith(".partial"):
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with (
        pytest.raises(InputError, match="no permission to write there; give --out another"),
        workspace(tmp_path / "pairs.parquet"),
    ):
        pass


def test_output_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match=r"file: cannot be written to"),
        workspace(tmp_path / "file" / "pairs.parquet"),
    ):
        pass
