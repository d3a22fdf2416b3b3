"""What errors mean: those that stop a run at once, with what to do, and those of one request.

Read by runner.py and probe.py.
"""

import openai

from margintool.judge.running.wire import UNPAID, Call, UnreachableError, error_names

_LONGEST = 500


def stops_the_run(error: Exception, model: str, server: str) -> str | None:
    """Return the message for a fault that every further request would meet, else None.

    Args:
        error: what the SDK raised.
        model: the judge that was asked for.
        server: the address, as kept in the journal.
    """
    if isinstance(error, UnreachableError):
        return (
            f"{server}: cannot be reached ({_first_line(str(error))}). Is the server running, "
            "and is --base-url right?"
        )
    if not isinstance(error, openai.APIStatusError):
        return None
    names = error_names(error.response.content)
    if names & UNPAID or error.status_code == 402:
        return (
            f"{server}: the account's quota is used up or it is not paid for "
            f"({said(error)}). Look at its plan and billing, then start again: replies so far "
            "are kept"
        )
    if error.status_code == 404 or "model_not_found" in names:
        return (
            f"{server}: no model {model!r}, or no chat completions at this address "
            f"({said(error)}). Check --judge-model and --base-url, which often ends in /v1"
        )
    return _REFUSED.get(error.status_code, "").format(server=server, model=model) or None


# The server's words are left out: a few servers repeat the key in them.
_REFUSED = {
    401: (
        "{server}: the API key is not accepted (401). Set OPENAI_API_KEY or --api-key-file to a "
        "key of this server"
    ),
    403: "{server}: this API key may not use {model!r} (403). Check the key's rights and project",
    405: "{server}: no chat completions at this address (405). Check --base-url",
}


def kind(error: Exception, call: Call) -> str:
    """Return the kind of a request's failure, in few words, to be counted."""
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code}"
    return call.trouble or "not sent"


def said(error: Exception) -> str:
    """Return what went wrong, as the server or the connection put it, on one line."""
    if isinstance(error, openai.APIStatusError):
        body = error.body
        message = body.get("message") if isinstance(body, dict) else None
        return f"{error.status_code}: {_first_line(str(message or error.response.text))}"
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else None
    return _first_line(str(cause or error) or type(cause or error).__name__)


def _first_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]
