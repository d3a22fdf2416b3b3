"""What the command prints of best_of_n.json's content."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mmpo_core.best_of_n.expected import TOGETHER
from mmpo_core.interval_words import Write, with_interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PLAIN: Write = "{:.4g}".format


def print_best_of_n(report: Mapping[str, Any], console: "Console | None" = None) -> None:
    """Print the expected rewards by n, and how sure the picks are.

    Args:
        report: the content of best_of_n.json.
        console: where to; standard output if not given.
    """
    from rich.console import Console
    from rich.text import Text

    console = console or Console(highlight=False)
    for title, table in _tables(report):
        console.print(Text(title, style="bold"))
        console.print(table)
        console.print()
    for line in _lines(report):
        console.print(Text(line), soft_wrap=True)


def _tables(report: Mapping[str, Any]) -> Iterator[tuple[str, "Table"]]:
    """Yield a title and a table for each reward: a column for each way of picking.

    Several are without intervals, which would make them too wide to be read; one is beside what it
    gains over one answer.
    """
    from rich.table import Table
    from rich.text import Text

    from margintool.report.words import visible

    for label in report["rewards"]:
        lines = [row for row in report["expected"] if row["reward"] == label]
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("n", justify="right")
        for row in lines:
            by = row["picked_by"]
            together = "picked together" if by == TOGETHER else f"picked by {visible(by)}"
            title = "expected (95% interval)" if len(lines) == 1 else together
            table.add_column(Text(title), justify="right")
        if len(lines) == 1:
            table.add_column("gain over one answer", justify="right")
        for at, first in enumerate(lines[0]["by_n"]):
            if len(lines) == 1:
                gain = _with_interval(first["gain"], "{:+.3g}".format) if first["n"] > 1 else ""
                table.add_row(str(first["n"]), _with_interval(first, _PLAIN), gain)
                continue
            cells = [_PLAIN(row["by_n"][at]["value"]) for row in lines]
            table.add_row(str(first["n"]), *cells)
        yield f"Expected reward of the best of n, by {visible(label)}", table


def _with_interval(one: Mapping[str, Any], write: Write) -> str:
    return with_interval(one["value"], one["low"], one["high"], write)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    from margintool.report.words import counted, visible

    picked, candidates = report["picked"], report["candidates"]
    yield f"{counted(candidates['number'], 'candidate')} to {counted(picked['prompts'], 'prompt')}"
    if picked["mean_win_probability"] is not None:
        yield (
            "The pick beats another candidate with a mean probability of "
            f"{picked['mean_win_probability']:.3f}, if the rewards are calibrated"
        )
    if len(report["rewards"]) > 1:
        for label, share in picked["same_as_highest_reward"].items():
            yield f"{share:.1%} of the picks have the highest reward by {visible(label)}"
    ended = candidates.get("ended_by_max_new_tokens")
    if ended:
        yield f"{counted(ended, 'candidate')} ended by --max-new-tokens"
