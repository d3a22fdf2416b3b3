"""One process writes a journal; a second is refused at once and told who holds it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from margintool.judge.journal.lock import journal_lock
from mmpo_core import locking
from mmpo_core.errors import InputError

HOLDING = """
import sys
from margintool.judge.journal.lock import journal_lock
with journal_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_told_the_first(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with holder(path) as process:
        for _ in range(2):  # a refusal must not let go of the lock, or blot out the number
            with (
                pytest.raises(InputError, match=rf"process {process.pid} is writing this journal"),
                journal_lock(path),
            ):
                pass
        process.communicate()
        with journal_lock(path):
            pass


def test_a_killed_holder_holds_nothing_and_misleads_nobody(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with holder(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        number = tmp_path / "journal.sqlite.lock.pid"
        assert number.read_text() == str(process.pid)
        with journal_lock(path):
            # As if this process had not come to write its own number yet.
            number.write_text(str(process.pid))
            with (
                pytest.raises(InputError, match="another process is writing"),
                journal_lock(path),
            ):
                pass
    assert not number.exists()


def test_a_process_that_holds_it_already_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with (
        journal_lock(path),
        pytest.raises(InputError, match="this process itself is writing"),
        journal_lock(path),
    ):
        pass


def test_other_journals_are_free(tmp_path: Path) -> None:
    with holder(tmp_path / "a.sqlite"), journal_lock(tmp_path / "b.sqlite"):
        pass


def test_a_link_leads_to_the_same_lock(tmp_path: Path) -> None:
    """SQLite follows links, so two names would be two writers of one journal."""
    (tmp_path / "folder").mkdir()
    path, link = tmp_path / "folder" / "a.sqlite", tmp_path / "b.sqlite"
    link.symlink_to(path)
    (tmp_path / "other").symlink_to(tmp_path / "folder")
    with holder(path):
        for name in (link, tmp_path / "other" / "a.sqlite", tmp_path / "other" / ".." / "b.sqlite"):
            with pytest.raises(InputError, match=r"is writing this journal"), journal_lock(name):
                pass


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with pytest.raises(OSError, match="not about the lock"), journal_lock(path):
        raise OSError("not about the lock")
    with journal_lock(path):
        pass


@pytest.mark.parametrize(
    "problem",
    [
        PermissionError(13, "Permission denied"),
        NotImplementedError("no flock"),
        OSError(38, "ENOSYS"),
    ],
)
def test_a_folder_that_cannot_be_locked_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(_: object) -> None:
        raise problem

    monkeypatch.setattr(locking.FileLock, "acquire", fail)
    with (
        pytest.raises(InputError, match=r"journal\.sqlite: cannot be locked .* local disk"),
        journal_lock(tmp_path / "journal.sqlite"),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot be locked for writing"),
        journal_lock(tmp_path / "file" / "journal.sqlite"),
    ):
        pass
