"""`margintool score` killed, interrupted and started twice: no answer is lost or paid for again.

Processes of their own, against a stand-in with faults. After every ending the same command is
given again, and the pair file must be the same, byte for byte, as that of a run in one go.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from margintool import score
from margintool.judge.journal.journal import Journal
from margintool.judge.mock.question import message_hash
from margintool.judge.mock.serving import serving_in_thread
from margintool.judge.mock.settings import MockOptions
from tests.conftest import ROOT, CliResult
from tests.judge.conftest import MockJudge
from tests.judge.judged_pairs import make_rows

CONCURRENCY = 64
PAIRS = 150
FAULTS = "0.2"
PATIENCE = 120.0  # seconds that a process may take until a moment comes
Child = subprocess.Popen[str]


@dataclass(frozen=True)
class Command:
    """One `score` command, and how to give it: in this process or in one of its own."""

    judge: MockJudge
    input: Path
    whole: bytes
    folder: Path
    cli: Callable[..., CliResult]
    children: list[Child]

    @property
    def out(self) -> Path:
        return self.folder / "pairs.parquet"

    @property
    def journal(self) -> Path:
        return self.folder / "pairs.journal.sqlite"

    @property
    def args(self) -> list[str]:
        asked = f"--source gpt4 --judge-model mock-judge --concurrency {CONCURRENCY}".split()
        files = ["--input", str(self.input), "--out", str(self.out)]
        return ["score", *asked, *files, "--base-url", self.judge.url]

    @property
    def ask_only(self) -> list[str]:
        """The arguments of `judge run` that ask the same without making margins."""
        asked = f"--judge-model mock-judge --concurrency {CONCURRENCY}".split()
        where = ["--input", str(self.input), "--base-url", self.judge.url]
        return ["judge", "run", str(self.journal), *asked, *where]

    def start(self, args: Sequence[str] = (), halt_at: str = "", call: int = 1) -> Child:
        """Start it, or another command, in a process of its own.

        The process stops for good at a call of a function, if one is named.
        """
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, halt_at, str(call), *(args or self.args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
        )
        self.children.append(child)
        return child

    def finish(self) -> None:
        """Give the command in this process; the pair file is that of a run in one go."""
        result = self.cli(*self.args)
        assert result.status == 0, result.err
        assert self.out.read_bytes() == self.whole

    def unstored(self) -> int:
        """Return how many questions the server answered whose replies the journal lacks.

        The journal is looked at as a copy: what a killed process left is for the next one.
        """
        wait_until(lambda: self.judge.stats()["in_flight"] == 0)
        stored, planned = set(), set()
        if self.journal.exists():
            copy = self.folder / "copy"
            copy.mkdir()
            for file in self.folder.glob(f"{self.journal.name}*"):
                shutil.copy(file, copy)
            with Journal.open(copy / self.journal.name, write=False) as journal:
                for row in journal.all_rows():
                    message = message_hash(row.request.body)
                    planned.add(message)
                    if row.reply is not None:
                        stored.add(message)
            shutil.rmtree(copy)
        # Beside what was planned, the probe asks.
        return len((self.judge.stats()["messages"].keys() & planned) - stored)

    def repeated(self) -> int:
        """Return how many answers the server gave to questions it had answered before."""
        with Journal.open(self.journal, write=False) as journal:
            mine = [message_hash(row.request.body) for row in journal.all_rows()]
        answered = Counter(self.judge.stats()["messages"])
        assert all(answered[message] for message in mine)
        return sum(answered[message] - 1 for message in mine)


# Where wanted, stops for good inside a function, at its n-th call, and says so.
CHILD = """
import importlib, sys, time
where, number = sys.argv[1], int(sys.argv[2])
sys.argv[1:] = sys.argv[3:]
if where:
    module, *path, name = where.split(":")
    owner = importlib.import_module(module)
    for part in path:
        owner = getattr(owner, part)
    function, calls = getattr(owner, name), 0
    def halting(*args, **more):
        global calls
        calls += 1
        if calls == number:
            print("here", flush=True)
            time.sleep(600)
        return function(*args, **more)
    setattr(owner, name, halting)
from margintool.cli import main
main()
"""


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], tuple[Path, bytes]]:
    """Make so many pairs; return their file, and the pair file of a run that nothing stopped."""

    @cache
    def score_once(number: int) -> tuple[Path, bytes]:
        folder = tmp_path_factory.mktemp("in one go")
        rows = folder / "input.jsonl"
        rows.write_text("".join(json.dumps(row) + "\n" for row in make_rows(number)))
        with serving_in_thread(MockOptions(port=0, faults=FAULTS, slow_seconds=0.3)) as url:
            summary = score(
                source="gpt4",
                input=[str(rows)],  # as the command line has it
                out=folder / "pairs.parquet",
                judge_model=("mock-judge",),
                base_url=url,
                concurrency=CONCURRENCY,
            )
        return rows, summary.out.read_bytes()

    return score_once


@pytest.fixture
def command(
    in_one_go: Callable[[int], tuple[Path, bytes]],
    start_mock: Callable[..., MockJudge],
    tmp_path: Path,
    cli: Callable[..., CliResult],
) -> Iterator[Callable[..., Command]]:
    """Make a command over so many pairs, with a stand-in and a folder of its own."""
    children: list[Child] = []

    def make(number: int = PAIRS, *, latency: float = 0.0) -> Command:
        judge = start_mock(faults=FAULTS, latency=latency, slow_seconds=0.3)
        return Command(judge, *in_one_go(number), tmp_path, cli, children)

    yield make
    for child in children:
        child.kill()
        child.communicate()


def wait_until(come: Callable[[], bool], child: Child | None = None) -> None:
    until = time.monotonic() + PATIENCE
    while not come():
        assert child is None or child.poll() is None, child.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def kill(child: Child) -> None:
    assert child.poll() is None, child.communicate()
    child.kill()
    assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("number", "kills"), [(PAIRS, 2), pytest.param(2000, 10, marks=pytest.mark.slow)]
)
def test_killed_at_random_moments_the_same_bytes_come_out(
    command: Callable[..., Command], number: int, kills: int
) -> None:
    """Moments are drawn over the requests of the run; one that has passed when the next process
    starts becomes a moment in its first seconds: imports, questions, the first requests."""
    one = command(number, latency=0.2)
    rng = random.Random(number)
    for moment in sorted(rng.randrange(10, 2 * number - CONCURRENCY) for _ in range(kills)):
        before, child = one.unstored(), one.start()
        if one.judge.stats()["received"] >= moment:
            time.sleep(4 * rng.random())
        wait_until(lambda least=moment: one.judge.stats()["received"] >= least, child)
        time.sleep(0.2 * rng.random())
        kill(child)
        assert not one.out.exists()
        # What had been lost before may have been answered again by now, or not yet.
        assert one.unstored() <= before + CONCURRENCY
    one.finish()
    assert one.repeated() <= kills * CONCURRENCY
    assert one.unstored() == 0


MOMENTS = {
    "questions are planned": ("margintool.judge.journal.journal:_want", 4),
    "replies are stored": ("margintool.judge.journal.journal:text:reply_row", 40),
    "verdicts are looked up": ("margintool.judge.margins:_look_up", 2),
    "pairs are written": ("margintool.pipeline:PairWriter:write", 1),
    "the pair file is put in its place": ("margintool.pipeline:publish", 1),
}
# One moment of asking and one of writing; the others are in the slow suite.
ALWAYS = ("replies are stored", "pairs are written")


@pytest.mark.parametrize(
    "moment",
    [pytest.param(one, marks=[] if one in ALWAYS else [pytest.mark.slow]) for one in MOMENTS],
)
def test_killed_inside_a_step_the_same_bytes_come_out(
    command: Callable[..., Command], moment: str
) -> None:
    one = command()
    child = one.start((), *MOMENTS[moment])
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n", child.communicate()
    kill(child)
    assert not one.out.exists()
    assert one.unstored() <= CONCURRENCY
    one.finish()
    assert one.repeated() <= CONCURRENCY
    left = {path.name for path in one.folder.iterdir()}
    assert left - {"pairs.journal.sqlite.lock"} == {
        "pairs.parquet",
        "pairs.rejects.parquet",
        "pairs.journal.sqlite",
    }


@pytest.mark.parametrize(
    ("number", "status", "given"),
    [(signal.SIGINT, 130, "args"), (signal.SIGTERM, 143, "ask_only")],
)
def test_interrupted_every_reply_is_stored_and_none_is_paid_again(
    command: Callable[..., Command], number: int, status: int, given: str
) -> None:
    one = command(latency=0.3)
    child = one.start(getattr(one, given))
    wait_until(lambda: one.judge.stats()["received"] >= 100, child)
    child.send_signal(number)
    _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == status, err
    assert "give the command again" in err
    assert "Traceback" not in err
    assert not one.out.exists()
    assert one.unstored() == 0
    one.finish()
    assert one.repeated() == 0


def test_a_second_process_on_a_journal_is_refused_and_the_first_unharmed(
    command: Callable[..., Command],
) -> None:
    one = command(latency=0.4)
    child = one.start()
    wait_until(lambda: one.judge.stats()["received"] >= 20, child)
    refused = one.cli(*one.args)
    assert (refused.status, refused.out) == (2, "")
    assert f"{one.journal}: process {child.pid} is writing this journal" in refused.err
    assert child.poll() is None
    _, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, err) == (0, "")
    assert one.out.read_bytes() == one.whole
    assert one.repeated() == 0
