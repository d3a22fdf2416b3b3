"""Asking again where a reply could not be read. The old reply is kept, in another table.

A question is never asked twice by itself: what could not be read would be paid for over and over.
Read by `margintool judge ask-again`.
"""

import json
from collections.abc import Collection
from os import PathLike
from pathlib import Path
from sqlite3 import Connection

from margintool.judge.item import ONE_ORDER, ONE_SIDE, REASONS
from margintool.judge.journal.file import must_exist
from margintool.judge.journal.journal import Journal
from margintool.judge.journal.lock import journal_lock
from margintool.judge.journal.text import pack_body, unpack
from mmpo_core.errors import InputError, lookup

# Reasons that a stored reply can have.
OF_REPLIES = {
    reason: words
    for reason, words in REASONS.items()
    if reason not in ("judge_failed", "judge_not_asked", ONE_ORDER, ONE_SIDE)
}
TOKEN_LIMITS = ("max_completion_tokens", "max_tokens")


def ask_again(
    journal_path: str | PathLike[str],
    reasons: Collection[str] = (),
    *,
    max_tokens: int | None = None,
) -> int:
    """Let questions wait again whose replies could not be read; return how many.

    Args:
        journal_path: the journal.
        reasons: only those replies (keys of OF_REPLIES); all that could not be read if empty.
        max_tokens: limit of the new replies' tokens; as it was if None.

    Raises:
        InputError: for an unknown reason, a limit below 1, or a journal that cannot be used.
    """
    for reason in reasons:
        lookup("reason", reason, OF_REPLIES)
    if max_tokens is not None and max_tokens < 1:
        raise InputError(f"--max-tokens must be >= 1, got {max_tokens}")
    must_exist(Path(journal_path))
    chosen = tuple(reasons) or tuple(OF_REPLIES)
    these = f"reason IN ({', '.join('?' * len(chosen))})"
    with (
        journal_lock(journal_path),
        Journal.open(journal_path, write=True) as journal,
        journal.transaction() as db,
    ):
        if max_tokens is not None:
            _raise_limits(db, these, chosen, max_tokens)
        db.execute(f"INSERT INTO set_aside SELECT * FROM replies WHERE {these}", chosen)
        return db.execute(f"DELETE FROM replies WHERE {these}", chosen).rowcount


def _raise_limits(db: Connection, these: str, chosen: tuple[str, ...], max_tokens: int) -> None:
    """Write the requests behind these replies anew, with another limit of tokens."""
    sql = f"SELECT request FROM replies WHERE {these}"
    requests = [number for (number,) in db.execute(sql, chosen)]
    for request in requests:
        (packed,) = db.execute("SELECT body FROM requests WHERE id = ?", (request,)).fetchone()
        body = json.loads(unpack(packed))
        body |= {name: max_tokens for name in TOKEN_LIMITS if name in body}
        db.execute("UPDATE requests SET body = ? WHERE id = ?", (pack_body(body), request))
