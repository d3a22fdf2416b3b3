"""Progress on stderr: bars on a terminal, elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from margintool.progress import Progress

QUIET_SECONDS = 30.0  # where there is no terminal, a line is written this often


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a Progress that draws bars while work goes on, or writes lines when piped."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Written(lambda line: print(line, file=sys.stderr, flush=True))
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
    )
    with bars:
        yield _Drawn(bars)


class _Written:
    """Writes a line about long work, so that the log of a job shows that it goes on.

    Args:
        write: takes a line.
        seconds: at least so long between two lines, and before the first.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        seconds: float = QUIET_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._seconds, self._clock = write, seconds, clock
        self._last = clock()
        self.start("", None)

    def start(self, stage: str, total: int | None) -> None:
        """Begin a stage."""
        self._stage, self._total, self._done, self._note = stage, total, 0, ""

    def advance(self, amount: int) -> None:
        """Count, and write a line if the last one was long ago."""
        self._done += amount
        self._tell()

    def note(self, text: str) -> None:
        """Keep what is said beside the stage for the next line."""
        self._note = text
        self._tell()

    def _tell(self) -> None:
        now = self._clock()
        if now - self._last < self._seconds:
            return
        self._last = now
        share = f" ({self._done / self._total:.0%})" if self._total else ""
        self._write(f"{self._stage}: {self._done:,}{share}  {self._note}".rstrip())


class _Drawn:
    """Draws each stage as a bar of its own."""

    def __init__(self, bars: object) -> None:
        from rich.progress import Progress as Bars

        assert isinstance(bars, Bars)
        self._bars = bars
        self._task = bars.add_task("", visible=False, note="")

    def start(self, stage: str, total: int | None) -> None:
        """Begin a bar."""
        self._task = self._bars.add_task(stage, total=total, note="")

    def advance(self, amount: int) -> None:
        """Move the bar of the current stage."""
        self._bars.advance(self._task, amount)

    def note(self, text: str) -> None:
        """Write beside the bar of the current stage."""
        self._bars.update(self._task, note=text)
