"""Shared fixtures: the real data folder, the command line in this process, what saves time."""

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # one test process per core, one thread each
# No deadline: first calls import heavy packages. The same examples every time where a run gates.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@dataclass(frozen=True)
class CliResult:
    """What one command printed and how it ended."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: ../shared/data, or where MARGINTOOL_REAL_DATA points."""
    folder = Path(os.environ.get("MARGINTOOL_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MARGINTOOL_REAL_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the test run's own: the user's is neither read nor written."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("MARGINTOOL_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module", autouse=True)
def small_collections() -> None:
    """What is alive when a file begins (torch, all tests) is searched for garbage once.

    Every training run collects everything several times: a third of its time here.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_run_pictures() -> Iterator[Callable[..., Any]]:
    """Runs draw no train.png, which takes as long as they do; yields what would draw it."""
    from mmpo_core import train_plot

    draw = train_plot.plot_history
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_plot, "plot_history", lambda *_: None)
        yield draw


@pytest.fixture
def run_pictures(no_run_pictures: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of this test draw their train.png."""
    monkeypatch.setattr("mmpo_core.train_plot.plot_history", no_run_pictures)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., CliResult]:
    """Run `margintool ARGS...` in this process and return its status and output."""
    from margintool.cli import run

    def call(*args: object) -> CliResult:
        capfd.readouterr()
        status = run([str(arg) for arg in args])
        captured = capfd.readouterr()
        return CliResult(status, captured.out, captured.err)

    return call
