"""The connection that the Batch API's modules use, and what its errors mean to users.

with open_batch_client(base_url, api_key(file, base_url), retries=5) as client:
    submit(journal, client)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from margintool.judge.client import Secret, served_by, server_url
from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from openai import OpenAI

# An upload of 200 MB is checked by the server before it answers.
_SECONDS = 600.0
_CONNECT_SECONDS = 20.0


@contextmanager
def open_batch_client(base_url: str | None, key: Secret, *, retries: int) -> Iterator["OpenAI"]:
    """Open the SDK's client; its errors within the block become InputErrors.

    Args:
        base_url: as given by the user, or None.
        key: the API key.
        retries: tries after the first, with the SDK's own back-off and Retry-After. Creating a
            batch has its own, see batch_server.py.

    Raises:
        InputError: for whatever the server or the connection refuses. All that was done before
            is in the journal: the same command goes on from there.
    """
    from httpx2 import Timeout, TransportError
    from openai import OpenAI, OpenAIError

    client = OpenAI(
        api_key=key.value,
        base_url=server_url(base_url),
        max_retries=retries,
        timeout=Timeout(_SECONDS, connect=_CONNECT_SECONDS),
    )
    with client:
        try:
            yield client
        except (OpenAIError, TransportError) as error:
            raise InputError(key.hide(_words(error, served_by(base_url)))) from None


def _words(error: Exception, server: str) -> str:
    from openai import APIStatusError, OpenAIError

    from margintool.judge.faults import said, stops_the_run

    if isinstance(error, APIStatusError) and error.status_code in (404, 405):
        return f"{server}: no Batch API at this address ({said(error)}). Check --base-url"
    stops = (
        stops_the_run(error, "the Batch API", server) if isinstance(error, OpenAIError) else None
    )
    return stops or (
        f"{server}: {said(error)}. Give the command again later: it goes on where it stopped"
    )
