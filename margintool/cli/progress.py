"""Progress bars on stderr, drawn only on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from margintool.progress import Progress, no_progress


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a Progress that draws bars while work goes on, or one that is silent when piped."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield no_progress
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
