"""Whom to ask and with which key: the address, the API key, the SDK's client.

Read by runner.py, probe.py and the Batch API's modules. The key goes into the client and nowhere
else; `Secret.hide` takes it out of what servers say.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from margintool.judge.running.wire import Watch

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
# Shorter keys are placeholders, such as EMPTY: a word that replies may hold.
_SECRET_FROM = 16
# A try as a whole is limited by WatchedHttp.
_CONNECT_SECONDS = 20.0


@dataclass(frozen=True)
class Secret:
    """An API key that is not shown by accident.

    Args:
        value: the key.
    """

    value: str = field(repr=False)

    def hide(self, text: str) -> str:
        """Return text without the key, for what a server may echo."""
        if len(self.value) < _SECRET_FROM:
            return text
        return text.replace(self.value, "[API key]")


def server_url(base_url: str | None) -> str:
    """Return the address to ask: as given, else OPENAI_BASE_URL, else OpenAI's own.

    Raises:
        InputError: if it is no http(s) address or holds a user name or password.
    """
    url = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    given = "--base-url" if base_url else "OPENAI_BASE_URL"
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"{given}: not an address such as http://localhost:8000/v1")
    if "@" in parts.netloc:
        raise InputError(
            f"{given}: holds a user name or password. Give the key with --api-key-file instead"
        )
    return url.strip()


def served_by(base_url: str | None) -> str:
    """Return the address as it is kept in a journal: normalised, nothing secret in it.

    Scheme and host in lower case, no query, no slash at the end.

    Raises:
        InputError: as `server_url`.
    """
    parts = urlsplit(server_url(base_url))
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))


def api_key(api_key_file: str | os.PathLike[str] | None, base_url: str | None) -> Secret:
    """Return the API key: from the file if given, else OPENAI_API_KEY.

    Other servers than OpenAI's may need none; they are sent the word `none`.

    Raises:
        InputError: if there is no key for OpenAI, or the file is missing, empty or holds more
            than a key.
    """
    if api_key_file is not None:
        return _checked(_read(Path(api_key_file)), str(api_key_file))
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if key:
        return _checked(key, "OPENAI_API_KEY")
    host = urlsplit(server_url(base_url)).hostname or ""
    if host == "openai.com" or host.endswith(".openai.com"):
        raise InputError(
            "no API key: set OPENAI_API_KEY, or name a file that holds the key with "
            "--api-key-file. For a server of your own give --base-url"
        )
    return Secret(NO_KEY)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{path}: the API key cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file with an API key") from None


def _checked(key: str, where: str) -> Secret:
    if not key:
        raise InputError(f"{where}: empty; it should hold the API key alone")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(f"{where}: should hold the API key alone, on one line")
    return Secret(key)


def open_client(
    base_url: str | None, key: Secret, watch: "Watch", *, concurrency: int, retries: int
) -> "AsyncOpenAI":
    """Return the SDK's client, to be used as `async with`.

    Args:
        base_url: as given by the user, or None.
        key: the API key.
        watch: told of each try, see wire.py.
        concurrency: connections kept.
        retries: tries after the first, with the SDK's own back-off and Retry-After.
    """
    from httpx2 import Limits, Timeout
    from openai import AsyncOpenAI

    from margintool.judge.running.wire import WatchedHttp

    timeout = Timeout(None, connect=_CONNECT_SECONDS)
    http = WatchedHttp(
        watch=watch,
        hide=key.hide,
        limits=Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        timeout=timeout,
    )
    return AsyncOpenAI(
        api_key=key.value,
        base_url=server_url(base_url),
        max_retries=retries,
        timeout=timeout,
        http_client=http,
    )
