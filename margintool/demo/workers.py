"""Trains several models at a time, each in a process of its own with one thread.

Two processes with one thread each do more than one process with two: a model this small has too
little to share out. And a model's numbers do not depend on how many cores there are. Read by
run.py; `python -m margintool.demo.workers` is what a process runs.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from margintool.demo.model_run import ModelRun, is_finished, train_and_predict

MOST_WORKERS = 3  # each takes about 0.8 GB
POLL_SECONDS = 0.2


def train_all(runs: Sequence[ModelRun], log_folder: Path, say: Callable[[str], None]) -> None:
    """Train the models that are not finished yet, as many at a time as there are cores.

    Args:
        runs: the models; each leaves its predictions in its own folder.
        log_folder: where what a process prints goes.
        say: told of every model that is finished.

    Raises:
        RuntimeError: if a process fails; tells what it printed last.
    """
    left = [run for run in runs if not is_finished(run)]
    for run in runs:
        if run not in left:
            say(f"{run.title}: kept from an earlier run")
    for run in left:
        run.predictions.unlink(missing_ok=True)
    count = min(MOST_WORKERS, len(left), _cores())
    if left:
        say(f"Training {len(left)} reward models, {count} at a time; allow a minute for each")
    workers = [
        _Worker(left[first::count], log_folder / f"training-{first + 1}.log")
        for first in range(count)
    ]
    try:
        _wait(workers, left, say)
    except (KeyboardInterrupt, SystemExit):
        say("Stopped. The same command goes on from here: finished models are kept.")
        raise
    finally:
        for worker in workers:
            worker.stop()


def _wait(workers: list["_Worker"], left: list[ModelRun], say: Callable[[str], None]) -> None:
    """Report models as they are finished, until all are."""
    started = time.monotonic()
    waiting = list(left)
    while waiting:
        ended = [worker for worker in workers if worker.status() is not None]
        for run in [run for run in waiting if run.predictions.is_file()]:
            waiting.remove(run)
            done = len(left) - len(waiting)
            seconds = time.monotonic() - started
            say(f"{run.title}: trained ({done} of {len(left)}, after {seconds:.0f} s)")
        failed = [worker for worker in ended if worker.status() != 0]
        if failed or (waiting and ended == workers):
            raise RuntimeError((failed or ended)[0].complaint())
        time.sleep(POLL_SECONDS)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A process that trains some models one after another. It ends when this one does."""

    def __init__(self, runs: Sequence[ModelRun], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "margintool.demo.workers"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            )
        assert self._process.stdin is not None
        line = json.dumps([asdict(run) for run in runs]) + "\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()

    def status(self) -> int | None:
        """Return the exit status, None while it works."""
        return self._process.poll()

    def complaint(self) -> str:
        """Say that it failed, with the last lines it printed."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return f"training failed; the end of {self._log}:\n" + "\n".join(lines[-5:])

    def stop(self) -> None:
        """End it, if it has not ended."""
        self._process.terminate()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


def _end_with_parent() -> None:
    """Leave when the pipe is closed: the process at its other end is gone."""
    sys.stdin.read()
    os._exit(1)


def work() -> None:
    """Train the models that the first line of standard input lists."""
    runs = [ModelRun(**fields) for fields in json.loads(sys.stdin.readline())]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for run in runs:
        train_and_predict(run)


if __name__ == "__main__":
    work()
