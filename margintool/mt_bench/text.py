"""MT-bench's table in the terminal. Read by margintool/cli/evaluate_mt_bench.py.

Names of categories come from files: control characters are replaced, nothing is read as markup.
"""

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from margintool.mt_bench.facts import PUBLISHED, PUBLISHED_SOURCE
from margintool.mt_bench.results import ANSWERS, RESULTS, ROWS, MtBench
from margintool.mt_bench.table import COLUMNS, Line, Mean, Table
from margintool.report.words import count, visible
from mmpo_core.interval_words import with_interval


def print_mt_bench(found: MtBench, console: Console | None = None) -> None:
    """Print ratings, what has none, and the published numbers.

    Args:
        found: of a run.
        console: where to; standard output if None.
    """
    console = console or Console(highlight=False)
    for title, body in _sections(found):
        console.print(Text(f"\n{title}", style="bold"))
        console.print(Padding.indent(body, 2))


def _sections(found: MtBench) -> Iterator[tuple[str, RenderableType]]:
    if found.table is None or found.report is None:
        yield "Answers", Text(f"{found.folder / ANSWERS}\nName a judge with --judge-model")
        return
    yield f"Ratings of {visible(str(found.report['model']))}, 1 to 10", _ratings(found.table)
    both = found.table.overall["both"]
    lines = [f"{count(both.rated)} answers rated, {count(both.unrated)} without a rating"]
    lines += [f"  {why}: {count(n)}" for why, n in found.report["without_verdict"].items()]
    cut = found.report["answers"].get("ended_by_max_new_tokens")
    if cut:
        lines.append(f"{count(cut)} answers were ended by --max-new-tokens")
    lines += [f"{label}: {text}" if label else f"  {text}" for label, text in found.lines]
    lines.append(f"in {found.folder}: {RESULTS}, {ROWS}")
    yield "Judged", Text("\n".join(lines))
    yield (
        f"Published, for orientation ({PUBLISHED_SOURCE}; other runs and another prompt)",
        _published(),
    )


def _ratings(table: Table) -> Grid:
    """Return the table; what has no rating is a column where anything has none, for its width."""
    missing = table.overall["both"].unrated > 0
    titles = [*(name.replace("_", " ") for name in COLUMNS), *(["without"] if missing else [])]
    grid = _grid("", *titles)
    for category, line in table.by_category.items():
        grid.add_row(Text(visible(category)), *_cells(line)[: len(titles)])
    grid.add_row(Text("all", style="bold"), *_cells(table.overall)[: len(titles)])
    return grid


def _published() -> Grid:
    grid = _grid("", "trained on", "DPO", "MMPO")
    for (model, data), (dpo, mmpo) in PUBLISHED.items():
        grid.add_row(model, data, f"{dpo:.2f}", f"{mmpo:.2f}")
    return grid


def _grid(*titles: str) -> Grid:
    grid = Grid(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for at, title in enumerate(titles):
        # on a narrow terminal numbers are broken, and never cut
        grid.add_column(title, justify="right" if at else "left", overflow="fold")
    return grid


def _cells(line: Line) -> list[str]:
    return [*(_cell(mean) for mean in line.values()), count(line["both"].unrated)]


def _cell(mean: Mean) -> str:
    return with_interval(mean.value, mean.low, mean.high, "{:.2f}".format)
