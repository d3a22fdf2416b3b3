"""The drawn bar: what is said beside it."""

import io

from rich.console import Console
from rich.progress import Progress, TextColumn

from margintool.cli.progress import _Drawn


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
