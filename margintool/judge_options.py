"""The options of the `judge` commands that are not those of `score`. Read by judge_runs.py."""

from dataclasses import dataclass
from pathlib import Path

from margintool.judge.options import ServerOptions
from margintool.score_options import AskOptions


@dataclass(frozen=True, kw_only=True)
class SubmitOptions(AskOptions):
    """What to read, what to ask, and how to cut it into batches.

    Args:
        max_requests: Most requests in a batch; the default is the API's limit.
        max_bytes: Most bytes in a batch's file; the default is the API's limit.
    """

    max_requests: int = 50_000
    max_bytes: int = 200_000_000


@dataclass(frozen=True, kw_only=True)
class JournalOptions(ServerOptions):
    """A journal, and the server that has its batches.

    Args:
        journal: The journal (SQLite), as `score` or `judge run` made it.
    """

    journal: str | Path
