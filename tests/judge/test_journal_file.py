"""The journal as a file: what is no journal is refused, what was stored survives a kill."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from margintool.judge.item import Reply
from margintool.judge.journal import file as journal_file
from margintool.judge.journal.journal import Failure, Journal
from mmpo_core.errors import InputError
from tests.judge.journal_rows import key, reply, request


def made(path: Path, requests: int = 3) -> Path:
    with Journal.open(path, write=True) as journal:
        journal.plan(request(number, f"{number} " + "text " * 300) for number in range(requests))
    return path


def refused(path: Path, message: str, *, write: bool = True) -> None:
    with pytest.raises(InputError, match=message), Journal.open(path, write=write):
        pass


def test_reading_makes_no_journal(tmp_path: Path) -> None:
    refused(tmp_path / "none.sqlite", "no such journal", write=False)
    assert list(tmp_path.iterdir()) == []


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    assert made(tmp_path / "a" / "b" / "journal.sqlite").is_file()


@pytest.mark.parametrize("write", [True, False])
def test_what_is_no_journal_is_refused_and_left_alone(tmp_path: Path, write: bool) -> None:
    text = tmp_path / "pairs.jsonl"
    text.write_text('{"prompt": "p"}\n' * 100)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE requests (id)")
    db.close()
    before = [text.read_bytes(), other.read_bytes()]
    refused(tmp_path, "is a folder", write=write)
    refused(text, "pairs.jsonl: not a journal of margintool", write=write)
    refused(other, "other.sqlite: not a journal of margintool", write=write)
    assert [text.read_bytes(), other.read_bytes()] == before


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    refused(path, "journal of version 99, and this margintool knows 1")


@pytest.mark.parametrize("content", [b"", None])
def test_a_journal_that_was_never_finished_is_made_anew(
    tmp_path: Path, content: bytes | None
) -> None:
    """A kill between making the file and its tables leaves an empty file, or an empty database."""
    path = tmp_path / "journal.sqlite"
    if content is None:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode = WAL")
        db.close()
    else:
        path.write_bytes(content)
    refused(path, "not a journal", write=False)
    made(path)
    with Journal.open(path, write=False) as journal:
        assert journal.counts().planned == 3


def damaged_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = random.Random(0).randbytes(20_000)
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])


@pytest.mark.parametrize("damage", [damaged_pages, cut_short])
def test_damage_is_told_and_names_the_file(tmp_path: Path, damage: object) -> None:
    path = made(tmp_path / "journal.sqlite", 2000)
    assert callable(damage)
    damage(path)
    with (
        pytest.raises(InputError, match=r"journal\.sqlite: (damaged journal|cannot be read)"),
        Journal.open(path, write=False) as journal,
    ):
        list(journal.all_rows())


def test_a_changed_byte_in_a_stored_text_is_damage(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite", 1)
    with Journal.open(path, write=True) as journal:
        ((body,),) = journal.rows("SELECT body FROM requests")
        broken = body[:-1] + bytes([body[-1] ^ 1])
        with journal.transaction() as db:
            db.execute("UPDATE requests SET body = ?", (broken,))
        with pytest.raises(InputError, match="damaged journal"):
            list(journal.waiting(wanted_only=False))


def test_a_full_disk_loses_only_what_was_not_stored(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, write=True) as journal:
        journal.plan([request(1), request(2)])
        journal.store([reply(1)])
        (pages,) = journal.rows("PRAGMA page_count")[0]
        journal.rows(f"PRAGMA max_page_count = {pages}")
        noise = random.Random(0).randbytes(100_000).hex()
        with pytest.raises(InputError, match="the disk is full; what was stored before is kept"):
            journal.store([reply(2, raw=noise)])
        journal.rows("PRAGMA max_page_count = 1000000")
        assert journal.store([reply(2)]) == 1
    with Journal.open(path, write=False) as journal:
        assert journal.counts().answered == 2


def test_a_file_system_without_shared_memory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite cannot keep its log for a database in memory, as it cannot on a network drive."""
    monkeypatch.setattr(journal_file, "_address", lambda path, write: "file::memory:")
    refused(tmp_path / "journal.sqlite", "cannot hold a journal .* local disk with --journal")


def test_a_journal_in_a_read_only_folder_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path / "journal.sqlite")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Journal.open(path, write=False) as journal:
        assert journal.counts().planned == 3
    assert [found.name for found in tmp_path.iterdir()] == ["journal.sqlite"]


def test_a_reader_leaves_nothing_behind(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite")
    before = path.read_bytes()
    with Journal.open(path, write=False) as journal:
        journal.counts()
    assert [found.name for found in tmp_path.iterdir()] == ["journal.sqlite"]
    assert path.read_bytes() == before


def test_readers_see_a_running_write(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite")
    with Journal.open(path, write=True) as writer, Journal.open(path, write=False) as reader:
        assert reader.counts().answered == 0
        writer.store([reply(1)])
        assert reader.counts().answered == 1
        with pytest.raises(InputError, match="may not be written to"):
            reader.store([reply(2)])


def test_threads_share_a_journal(tmp_path: Path) -> None:
    """Stores from four threads while a fifth reads: each reply once, no transaction in another."""
    path = made(tmp_path / "journal.sqlite", 400)
    stored: list[int] = []
    with Journal.open(path, write=True) as journal:

        def store(first: int) -> None:
            numbers = range(first, 400, 4)
            stored.append(sum(journal.store([reply(number)]) for number in numbers))

        threads = [threading.Thread(target=store, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        seen = [journal.counts().answered for _ in range(20)]
        for thread in threads:
            thread.join()
        assert stored == [100] * 4
        assert seen == sorted(seen)
        assert journal.counts().answered == 400


STORING = """
import sys
from margintool.judge.journal.journal import Failure, Journal
from tests.judge.journal_rows import key, reply, request
with Journal.open(sys.argv[1], write=True) as journal:
    journal.plan(request(number) for number in range(100_000, 100_000 + 50))
    journal.plan(request(number) for number in range(5000))
    for asked in journal.waiting(wanted_only=True):
        number = int(asked.key, 16)
        if number < 5000:
            journal.store([reply(number)])
            print(number, flush=True)
        else:
            journal.fail([Failure(asked.key, "HTTP 500")])
"""


def test_what_was_reported_as_stored_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    dice = random.Random(0)
    reported: list[int] = []
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", STORING, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as process:
            assert process.stdout is not None
            reported.append(int(process.stdout.readline()))
            for _ in range(dice.randrange(1, 80)):
                reported.append(int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            reported += [int(line) for line in process.stdout if line.endswith("\n")]
    assert len(reported) == len(set(reported))  # none was asked for again
    with Journal.open(path, write=True) as journal:
        assert journal.rows("PRAGMA integrity_check") == [("ok",)]
        assert journal.rows("PRAGMA foreign_key_check") == []
        stored: list[Reply | None] = [row.reply for row in journal.replies()]
        held = {int(one.key, 16) for one in stored if one is not None}
        # A kill between a commit and its report leaves at most one more a time.
        assert set(reported) <= held
        assert len(held) <= len(reported) + 4
        assert stored == [reply(number) for number in sorted(held)]
        journal.fail([Failure(key(100_000), "HTTP 500")])
