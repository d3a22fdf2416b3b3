"""`margintool judge mock-server` as a process: what it prints, and how it ends."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from openai import OpenAI

from margintool.judge.mock.serving import serving_in_thread
from margintool.judge.mock.settings import MockOptions
from mmpo_core.errors import InputError
from tests.judge.conftest import MockJudge
from tests.judge.mock_bodies import ONE, body_of

ROOT_COMMAND = [sys.executable, "-m", "margintool", "judge", "mock-server", "--port", "0"]


@contextmanager
def command(*options: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [*ROOT_COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def first_lines(process: "subprocess.Popen[str]") -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(3)]


def test_it_says_what_to_type_and_counts_at_the_end() -> None:
    with command("--faults", "error=1") as process:
        said = first_lines(process)
        url = said[0].split()[3]
        assert f"export OPENAI_BASE_URL={url} OPENAI_API_KEY=none" in said[1]
        assert "margintool score --source gpt4" in said[2]
        with OpenAI(base_url=url, api_key="none", max_retries=2) as client:
            client.chat.completions.create(**body_of("single", ONE))
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[0]
    assert "received 3, answered 1," in rest
    assert "faults: error 2" in rest
    assert process.returncode == 0


def test_bad_options_end_with_status_2() -> None:
    with command("--faults", "eror=0.1") as process:
        said = process.communicate(timeout=60)[0]
    assert "Did you mean 'error'" in said
    assert "Traceback" not in said
    assert process.returncode == 2


def test_a_port_in_use_is_an_input_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = MockOptions(port=taken.getsockname()[1])
        with pytest.raises(InputError, match="Take another --port"), serving_in_thread(options):
            raise AssertionError("it must not start")


def test_stopping_does_not_wait_for_slow_replies(ask: Callable[..., Any]) -> None:
    """The client's own limit is 20 s, the reply would come after 60."""
    with ThreadPoolExecutor() as threads:
        with serving_in_thread(MockOptions(port=0, latency=60.0)) as url:
            judge = MockJudge(url)
            waiting = threads.submit(ask, judge, body_of("single", ONE), timeout=20.0)
            while not judge.stats()["in_flight"]:
                time.sleep(0.02)
        with pytest.raises(openai.APIConnectionError) as caught:
            waiting.result()
    assert not isinstance(caught.value, openai.APITimeoutError)
    with pytest.raises(OSError, match="refused"):
        judge.stats()
