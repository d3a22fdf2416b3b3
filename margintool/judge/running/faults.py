"""What errors mean: those that stop a run at once, with what to do, and those of one request.

Read by failures.py, runner.py and probe.py.
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
    if error.status_code == 404 or _NO_MODEL in names:
        return (
            f"{server}: no model {model!r}, or no chat completions at this address "
            f"({said(error)}). Check --judge-model and --base-url, which often ends in /v1"
        )
    words = _REFUSED.get(error.status_code)
    return words and words.format(server=server, model=model, said=said(error))


# Of a key that is not accepted OpenAI repeats the last characters, so its words are left out.
_REFUSED = {
    401: (
        "{server}: the API key is not accepted (401). Set OPENAI_API_KEY or --api-key-file to a "
        "key of this server"
    ),
    403: "{server}: this API key may not use {model!r} ({said}). Check its rights and project",
    405: "{server}: no chat completions at this address ({said}). Check --base-url",
}
_NO_MODEL = "model_not_found"
# 408 and 409 are passing, as the SDK has it.
_BUSY = (408, 409, 429)


def may_be_its_own(error: Exception) -> bool:
    """Whether what stops a run may also be about one request, as 403 of a moderation is."""
    return (
        isinstance(error, openai.APIStatusError)
        and error.status_code in (403, 404)
        and not error_names(error.response.content) & (UNPAID | {_NO_MODEL})
    )


def of_the_server(error: Exception, call: Call) -> bool:
    """Whether a failure says something about the server or the way to it, not the request."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _BUSY or error.status_code >= 500
    return call.trouble not in (None, "reply too large")


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
