"""`margintool judge ...`: LLM judges and the journal of their replies. One command a function."""

from collections.abc import Callable

from margintool.cli.judge.batches import cancel_command, collect_command, submit_command
from margintool.cli.judge.journal import (
    ask_again_command,
    export_command,
    reparse_command,
    status_command,
)
from margintool.cli.judge.mock_server import mock_server_command
from margintool.cli.judge.run import run_command

# name -> (command, its line in `margintool judge --help`)
JUDGE_COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "run": (run_command, "Ask judges; every reply is kept in a journal"),
    "status": (status_command, "How far a journal and its batches are"),
    "submit": (submit_command, "Give questions to the Batch API, at half the price"),
    "collect": (collect_command, "Fetch the replies of batches that have ended"),
    "cancel": (cancel_command, "Cancel batches that are running"),
    "export": (export_command, "A journal as a table: Parquet, CSV or JSON lines"),
    "reparse": (reparse_command, "Read all stored replies again, without a call"),
    "ask-again": (ask_again_command, "Let questions wait again whose replies could not be read"),
    "mock-server": (mock_server_command, "A stand-in judge on this machine: no key, no cost"),
}
"""Commands of the group; registered by margintool/cli/__init__.py."""
