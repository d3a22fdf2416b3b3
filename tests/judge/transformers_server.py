"""`transformers serve` as a process of its own: a server that is not this project's code."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

READY_SECONDS = 180


def make_tiny_model(folder: Path, *, draws: bool) -> Path:
    """Save the tiny policy; the server heeds a temperature only of a model that draws."""
    from mmpo_core.tiny import make_tiny_policy, make_tiny_tokenizer

    model = make_tiny_policy()
    model.generation_config.do_sample = draws
    model.save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    return folder


@contextmanager
def transformers_serve(model: Path) -> Iterator[str]:
    """Serve a model inside the `with`, which gets the base URL once the server answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model)]
    log = model / "serve.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", port, "--device", "cpu"],
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_ready(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_until_ready(server: "subprocess.Popen[bytes]", health: str, log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            pytest.fail(f"transformers serve ended early:\n{log.read_text()}")
        try:
            with urlopen(health, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"transformers serve was not ready in {READY_SECONDS} s:\n{log.read_text()}")
