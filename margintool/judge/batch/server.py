"""What the Batch API is asked for: upload, create, look up, download. Knows no journal.

Read by batch/submit.py and batch/collect.py. See
https://developers.openai.com/api/docs/guides/batch.
"""

import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final

from margintool.judge.running.client import Secret, served_by

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, OpenAI
    from openai.types import Batch
    from openai.types.batch_error import BatchError

ENDPOINT: Final = "/v1/chat/completions"
FINAL = frozenset({"completed", "expired", "cancelled", "failed"})
RUNNING = frozenset({"validating", "in_progress", "finalizing"})
CREATE_WAITS = (1.0, 2.0, 4.0, 8.0)
DOWNLOAD_TRIES = 3
MOST_ERRORS = 5

Sleep = Callable[[float], None]


def address(client: "OpenAI") -> str:
    """Return the address that a client asks, as a journal keeps it."""
    return served_by(str(client.base_url))


def upload(client: "OpenAI", name: str, content: IO[bytes]) -> str:
    """Upload an input file and return its id. An upload by itself costs nothing."""
    content.seek(0)
    return client.files.create(file=(name, content), purpose="batch").id


def find_upload(client: "OpenAI", name: str) -> str | None:
    """Return the id of an uploaded input file of that name, or None."""
    for found in client.files.list(purpose="batch", order="desc"):
        if found.filename == name:
            return found.id
    return None


def find_batch(client: "OpenAI", input_file_id: str) -> "Batch | None":
    """Return the batch that was created from that input file, or None."""
    for found in client.batches.list(limit=100):
        if found.input_file_id == input_file_id:
            return found
    return None


def retrieve(client: "OpenAI", batch_id: str) -> "Batch | None":
    """Return the batch as the server has it now, or None where it knows no such batch."""
    from openai import NotFoundError

    try:
        return client.batches.retrieve(batch_id)
    except NotFoundError:
        return None


def create(client: "OpenAI", input_file_id: str, tag: str, *, sleep: Sleep = time.sleep) -> "Batch":
    """Create the batch of an uploaded file, once.

    The SDK's own retries are off here: a connection that breaks after the server has created
    the batch, but before its answer came, would create and bill it a second time. Before each
    further try the server's batches are searched for the file.
    """
    from openai import APIConnectionError, APIStatusError

    once = client.with_options(max_retries=0)
    for wait in (*CREATE_WAITS, None):
        try:
            return once.batches.create(
                input_file_id=input_file_id,
                endpoint=ENDPOINT,
                completion_window="24h",
                metadata={"margintool": tag},
            )
        except (APIConnectionError, APIStatusError) as error:
            if wait is None or not passing(error):
                raise
        sleep(wait)
        found = find_batch(client, input_file_id)
        if found is not None:
            return found
    raise AssertionError("the last try returns or raises")


def passing(error: "APIConnectionError | APIStatusError") -> bool:
    """Return whether a call may succeed when it is made again later."""
    from openai import APIStatusError

    from margintool.judge.running.wire import UNPAID, error_names

    if not isinstance(error, APIStatusError):
        return True
    if error.status_code == 429:
        return not error_names(error.response.content) & UNPAID
    return error.status_code in (408, 409) or error.status_code >= 500


def download(client: "OpenAI", file_id: str, into: IO[bytes]) -> bool:
    """Write a file's content to `into`, piece by piece: it may have hundreds of megabytes.

    What `into` held before is replaced.

    Returns:
        False where the server has no such file (any more).

    Raises:
        httpx2.TransportError: the connection broke in the middle in each of DOWNLOAD_TRIES
            tries; the SDK itself retries only up to the reply's first byte.
    """
    import httpx2
    from openai import NotFoundError

    for left in reversed(range(DOWNLOAD_TRIES)):
        into.seek(0)
        into.truncate()
        try:
            with client.files.with_streaming_response.content(file_id) as response:
                for piece in response.iter_bytes():
                    into.write(piece)
            return True
        except NotFoundError:
            return False
        except httpx2.TransportError:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def secret(client: "OpenAI") -> Secret:
    """Return the client's API key, to be taken out of what the server says."""
    return Secret(client.api_key)


def errors(client: "OpenAI", batch: "Batch") -> str | None:
    """Return why a batch failed in the server's words, or None where it says nothing."""
    said = [_error(error) for error in (batch.errors.data or [] if batch.errors else [])]
    more = f" (and {len(said) - MOST_ERRORS} more)" if len(said) > MOST_ERRORS else ""
    return secret(client).hide("; ".join(said[:MOST_ERRORS]) + more) if said else None


def seconds(batch: "Batch") -> float:
    """Return how long an ended batch took; 0 where the server does not tell when it ended."""
    ends = (batch.completed_at, batch.expired_at, batch.cancelled_at, batch.failed_at)
    return float(max([batch.created_at, *filter(None, ends)]) - batch.created_at)


def _error(error: "BatchError") -> str:
    where = "" if error.line is None else f"line {error.line}: "
    return where + ": ".join(part for part in (error.code, error.message) if part)
