"""Reading every stored reply again, without a call: after a better parser, or with a pattern."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from margintool.judge.item import Verdict
from margintool.judge.journal.chunks import chunks
from margintool.judge.journal.file import must_exist
from margintool.judge.journal.journal import Journal, StoredRow
from margintool.judge.journal.lock import journal_lock
from margintool.judge.journal.text import verdict_row
from margintool.judge.task import SCALES, Task
from margintool.progress import Progress, no_progress

CHUNK = 500

# task, chat completion, request's body, its fence, the user's pattern -> what the reply says
ReadVerdict = Callable[[Task, Mapping[str, Any], Mapping[str, Any], str, str | None], Verdict]


@dataclass(frozen=True)
class ReparseSummary:
    """What reading again gave.

    Args:
        read: replies.
        changed: verdicts that differ from those stored before, in any part.
        now_readable: replies that have a value and had none.
        now_unreadable: replies that had a value and have none.
    """

    read: int
    changed: int
    now_readable: int
    now_unreadable: int


def reparse(
    journal_path: str | PathLike[str],
    pattern: str | None = None,
    *,
    read_verdict: ReadVerdict | None = None,
    progress: Progress = no_progress,
) -> ReparseSummary:
    """Read all stored replies of a journal again and store the verdicts that differ.

    Replies that come later are read in the same way: the journal keeps the pattern, and without
    one forgets what it kept. Interrupted, it leaves some verdicts new and some old; run it again.
    Replies stay as they are.

    Args:
        journal_path: the journal.
        pattern: a regular expression for the verdict, see parse.read_verdict.
        read_verdict: the parser; parse.read_verdict if not given.
        progress: told of each reply.

    Raises:
        InputError: if the journal cannot be read, another process is writing it, or the pattern
            cannot serve.
    """
    must_exist(Path(journal_path))
    from margintool.judge.reading import parse

    read_verdict = read_verdict or parse.read_verdict
    read, changed, gained, lost = 0, 0, 0, 0
    with journal_lock(journal_path), Journal.open(journal_path, write=True) as journal:
        if pattern is not None:
            for task in journal.tasks() or [Task("single", SCALES["single"])]:
                parse.check_pattern(pattern, task)
        journal.keep_pattern(pattern)
        progress.start("reparse", journal.counts().answered)
        for rows in chunks(journal.replies(), CHUNK):
            found = [_again(row, read_verdict, pattern) for row in rows]
            differ = [
                (key, old, new) for key, old, new in found if verdict_row(old) != verdict_row(new)
            ]
            if differ:
                journal.revise([(key, new) for key, _, new in differ])
            read += len(rows)
            changed += len(differ)
            gained += sum(old.value is None and new.value is not None for _, old, new in differ)
            lost += sum(old.value is not None and new.value is None for _, old, new in differ)
            progress.advance(len(rows))
    return ReparseSummary(read, changed, gained, lost)


def _again(
    row: StoredRow, read_verdict: ReadVerdict, pattern: str | None
) -> tuple[str, Verdict, Verdict]:
    """Return a reply's key, its stored verdict and what is read in it now."""
    request, reply = row.request, row.reply
    assert reply is not None  # Journal.replies yields no others
    now = read_verdict(request.task, json.loads(reply.raw), request.body, request.fence, pattern)
    return request.key, reply.verdict, now
