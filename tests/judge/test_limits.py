"""Requests and tokens a minute: bounds that hold however slow the machine is.

A clock that the tests move stands for the event loop's.
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from margintool.judge.running.limits import Limits
from tests.judge.run_helpers import questions, run
from tests.judge.scripted_server import Answer, Try, error, good, scripted


class FastLoop(asyncio.SelectorEventLoop):
    """A loop that does not sleep: where it would, its clock jumps. A step takes a microsecond."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None) -> Any:
            self.now += (timeout or 0.0) + 1e-6
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now


def run_fast(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(main)


async def _sent(limits: Limits, sizes: list[int], at_once: int) -> list[tuple[float, int]]:
    """Return (second, tokens) of each request, with so many workers."""
    loop, left, sent = asyncio.get_running_loop(), iter(sizes), []

    async def worker() -> None:
        for size in left:
            await limits.tokens(size)
            await limits.request()
            sent.append((loop.time(), size))

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return sent


def _most_in_a_minute(sent: list[tuple[float, int]]) -> tuple[int, int]:
    windows = [[size for at, size in sent if begin <= at < begin + 59.99] for begin, _ in sent]
    return max(map(len, windows)), max(map(sum, windows))


@pytest.mark.parametrize("rpm", [1, 7, 60, 500, 1500])
def test_no_minute_sees_more_requests_and_the_rate_is_used(rpm: int) -> None:
    number = 2 * rpm + 3
    sent = run_fast(_sent(Limits(rpm, None), [0] * number, 64))
    assert _most_in_a_minute(sent)[0] <= rpm
    # Two minutes and three requests more: no later than a twentieth over that.
    assert sent[-1][0] <= (number / rpm) * 60 * 1.05


@hypothesis_settings(max_examples=15)
@given(st.integers(50, 20_000), st.lists(st.integers(1, 5000), min_size=1, max_size=40))
def test_no_minute_sees_more_tokens_than_allowed_and_one_request(
    tpm: int, sizes: list[int]
) -> None:
    """A request goes out with its last tokens: a window holds the part of one from before it."""
    sent = run_fast(_sent(Limits(None, tpm), sizes, 8))
    assert _most_in_a_minute(sent)[1] <= tpm + max(sizes) + 1
    assert sent[-1][0] <= 60 * sum(sizes) / tpm * 1.05 + 1


def test_a_request_larger_than_a_minutes_tokens_waits_and_goes() -> None:
    sent = run_fast(_sent(Limits(None, 600), [3000, 10], 2))
    assert [size for _, size in sent] == [3000, 10]
    assert 290 <= sent[0][0] <= 305


def test_small_requests_do_not_overtake_a_large_one() -> None:
    sent = run_fast(_sent(Limits(None, 6000), [100, 4000, *[1] * 50], 8))
    assert [size for _, size in sent][:2] == [100, 4000]


def test_without_limits_nothing_waits() -> None:
    sent = run_fast(_sent(Limits(None, None), [10**9] * 100, 4))
    assert sent[-1][0] < 0.01


def test_the_sdks_retries_count_too(tmp_path: Path) -> None:
    """120 a minute are two a second: five tries take two seconds, retries among them."""

    def script(one: Try) -> Answer:
        return good() if one.attempt else error(500, **{"Retry-After": "0.01"})

    with scripted(script) as server, questions(tmp_path / "j", 3) as journal:
        assert run(journal, server.url, rpm=120).answered == 3
    assert len(server.tries) == 6
    assert server.tries[-1].at - server.tries[0].at >= 2.3


def test_tokens_are_counted_before_sending(tmp_path: Path) -> None:
    """1,100 tokens each at 132,000 a minute: half a second between two."""
    with scripted(lambda _: good()) as server, questions(tmp_path / "j", 4) as journal:
        assert run(journal, server.url, tpm=132_000).answered == 4
    assert server.tries[-1].at - server.tries[0].at >= 1.3
