"""The connection that the Batch API's modules use, and what its errors say to users.

with open_batch_client(base_url, api_key(file, base_url), retries=5) as client:
    submit(journal, client)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from margintool.judge.running.client import Secret, served_by, server_url
from mmpo_core.errors import InputError, UnfinishedError

if TYPE_CHECKING:
    from openai import OpenAI

# An upload of 200 MB is checked by the server before it answers.
_SECONDS = 600.0
_CONNECT_SECONDS = 20.0


@contextmanager
def open_batch_client(base_url: str | None, key: Secret, *, retries: int) -> Iterator["OpenAI"]:
    """Open the SDK's client; its errors within the block become the user's.

    Args:
        base_url: as given by the user, or None.
        key: the API key.
        retries: tries after the first, with the SDK's own back-off and Retry-After. Creating a
            batch has its own, see batch/server.py.

    Raises:
        InputError: for what the user can put right: the address, the key, the account.
        UnfinishedError: where the server or the connection gave up. All that was done before is in
            the journal, and the same command goes on from there.
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
            raise _for_users(error, key, served_by(base_url)) from None


def _for_users(error: Exception, key: Secret, server: str) -> InputError | UnfinishedError:
    from openai import APIStatusError, OpenAIError

    from margintool.judge.running.faults import said, stops_the_run

    words = key.hide(said(error))
    if isinstance(error, APIStatusError) and error.status_code in (404, 405):
        return InputError(f"{server}: no Batch API at this address ({words}). Check --base-url")
    if isinstance(error, OpenAIError):
        stops = stops_the_run(error, "the Batch API", server)
        if stops is not None:
            return InputError(key.hide(stops))
    return UnfinishedError(
        f"{server}: {words}. What was done is kept: the same command, given again, goes on"
    )
