"""The drawn bar: what is said beside it; the lines that are written without a terminal."""

import io

from rich.console import Console
from rich.progress import Progress, TextColumn

from margintool.cli.progress import _Drawn, _Written


def test_a_note_stands_beside_its_own_stage() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    bars = Progress(
        TextColumn("{task.description}"), TextColumn("{task.fields[note]}"), console=console
    )
    drawn = _Drawn(bars)
    drawn.start("reading", 3)
    drawn.start("judging", 10)
    drawn.note("3.1/s  $0.10  0 failed")
    drawn.note("3.2/s  $0.20  1 failed")
    shown = {task.description: task.fields["note"] for task in bars.tasks}
    assert shown["judging"] == "3.2/s  $0.20  1 failed"
    assert shown["reading"] == ""


def test_without_a_terminal_a_line_is_written_now_and_then() -> None:
    lines: list[str] = []
    now = 0.0
    written = _Written(lines.append, seconds=30, clock=lambda: now)
    written.start("judging", 200)
    written.advance(10)
    assert lines == []  # short work says nothing
    now = 31.0
    written.note("3.1/s  2 failed")
    now = 45.0
    written.advance(90)
    now = 70.0
    written.advance(50)
    assert lines == ["judging: 10 (5%)  3.1/s  2 failed", "judging: 150 (75%)  3.1/s  2 failed"]
