"""The stand-in judge as a fixture: `mock_judge`, or `start_mock(**options)` for its options."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.request import Request, urlopen

import pytest

from margintool.judge.mock.settings import MockOptions


@dataclass(frozen=True)
class MockJudge:
    """A stand-in judge that is listening; `url` is its base URL, http://127.0.0.1:PORT/v1."""

    url: str

    def stats(self) -> dict[str, Any]:
        """The counts: see margintool.judge.mock.stats."""
        return self._call("GET", "stats")

    def reset(self) -> None:
        """Forget counts, tries, files and batches."""
        self._call("POST", "reset")

    def _call(self, method: str, what: str) -> dict[str, Any]:
        address = self.url.removesuffix("/v1") + f"/mock/{what}"
        with urlopen(Request(address, method=method), timeout=30) as response:
            found: dict[str, Any] = json.load(response)
        return found


@pytest.fixture
def start_mock() -> Iterator[Callable[..., MockJudge]]:
    """Start a stand-in judge with these MockOptions, on a free port, until the test ends."""
    from margintool.judge.mock.serving import serving_in_thread

    with ExitStack() as running:

        def start(**options: Any) -> MockJudge:
            return MockJudge(
                running.enter_context(serving_in_thread(MockOptions(port=0, **options)))
            )

        yield start


@pytest.fixture
def mock_judge(start_mock: Callable[..., MockJudge]) -> MockJudge:
    """A stand-in judge without faults."""
    return start_mock()


@pytest.fixture
def ask() -> Iterator[Callable[..., Any]]:
    """Send a chat completion's body to a stand-in judge through OpenAI's SDK, without retries."""
    from openai import OpenAI

    with ExitStack() as clients:

        @cache
        def connected(url: str, **settings: Any) -> OpenAI:
            return clients.enter_context(OpenAI(base_url=url, **settings))

        def call(judge: MockJudge, body: Mapping[str, Any], **client: Any) -> Any:
            settings = {"api_key": "none", "max_retries": 0, "timeout": 30.0} | client
            return connected(judge.url, **settings).chat.completions.create(**body)

        yield call
