"""The options of the `judge` commands that are not those of `score`. Read by judge_runs.py."""

from dataclasses import dataclass, fields
from pathlib import Path

from margintool.given import given
from margintool.input_options import InputOptions
from margintool.judge.batch.files import MAX_BYTES, MAX_REQUESTS
from margintool.judge.options import ASKED, ServerOptions
from margintool.score_options import AskOptions, PairingOptions
from mmpo_core.errors import InputError

# What only single requests have.
_PACE = ("concurrency", "rpm", "tpm", "timeout")


@dataclass(frozen=True, kw_only=True)
class SubmitOptions(AskOptions):
    """What to read, what to ask, and how to cut it into batches.

    Args:
        max_requests: Most requests in a batch; the default is the API's limit.
        max_bytes: Most bytes in a batch's file; the default is the API's limit.
    """

    max_requests: int = MAX_REQUESTS
    max_bytes: int = MAX_BYTES


@dataclass(frozen=True, kw_only=True)
class JournalOptions(ServerOptions):
    """A journal, and the server that has its batches.

    Args:
        journal: The journal (SQLite), as `score` or `judge run` made it.
    """

    journal: str | Path


def check_waiting(options: AskOptions) -> None:
    """Refuse options that could not be heeded where there is no input.

    Raises:
        InputError: if one about the question or the input is given.
    """
    about_input = (field.name for of in (PairingOptions, InputOptions) for field in fields(of))
    wrong = given(options, (*ASKED, *(name for name in about_input if name != "input")))
    if wrong:
        raise InputError(
            f"{', '.join(wrong)}: no meaning without --input. What waits in {options.journal} is "
            "sent as it was asked before; name the input, or leave this out"
        )


def check_for_batches(options: SubmitOptions) -> None:
    """Refuse options that the Batch API cannot heed.

    Raises:
        InputError: if one about the pace of single requests is given.
    """
    wrong = given(options, _PACE)
    if wrong:
        raise InputError(f"{', '.join(wrong)}: no meaning for batches, which the server paces")
