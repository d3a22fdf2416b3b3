"""Writes pages: `report_page` for folders of runs and evaluations, `inspect_page` for a pair file.

The command line calls these and nothing else here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from margintool.page.data import data_sections
from margintool.page.folders import Folders, read_folders
from margintool.page.gathering import gather
from margintool.page.opening import opening_blocks
from margintool.page.render import check_html, write_page
from margintool.page.views import Page
from margintool.progress import Progress, no_progress
from margintool.report.facts import PairReport
from margintool.report.inspecting import report_and_scan
from margintool.report.words import counted
from mmpo_core.pair_file import PathLike

EXAMPLES = 5


def inspect_page(
    path: PathLike,
    out: PathLike,
    *,
    plot: PathLike | None = None,
    sample: int = 0,
    seed: int = 42,
    progress: Progress = no_progress,
) -> PairReport:
    """Write what is in a pair file as one HTML page; return the facts, as inspect_pairs does.

    Args:
        path: a Parquet file, which may break the contract.
        out: where the page goes; ends in .html.
        plot: write the picture of inspect_pairs there too.
        sample: show so many pairs, drawn at random.
        seed: seed of the draw.
        progress: told of the rows read.

    Raises:
        InputError: if the file cannot be read, or the page not be written.
    """
    check_html(Path(out))
    report, found = report_and_scan(path, sample=sample, seed=seed, progress=progress)
    if plot is not None:
        from margintool.report.plot import plot_report

        plot_report(report, found, Path(plot))
    sections, left_out = data_sections(report, found)
    name = Path(path).name
    lead = f"What is in this pair file: {counted(report.pairs, 'pair')}."
    write_page(Page(name, lead, sections, left_out), Path(out))
    return report


@dataclass(frozen=True)
class WrittenPage:
    """A page that was written.

    Attributes:
        path: where it is.
        sections: titles of what is in it.
        left_out: what there was nothing to show of, each with the reason.
    """

    path: Path
    sections: list[str]
    left_out: list[str]


def report_page(
    folders: Iterable[PathLike],
    out: PathLike = "report.html",
    *,
    pairs: Iterable[PathLike] = (),
    title: str | None = None,
    examples: int = EXAMPLES,
    progress: Progress = no_progress,
) -> WrittenPage:
    """Write what came of runs, sweeps and evaluations as one HTML page.

    Args:
        folders: of `train`, `sft`, `sweep`, `evaluate`, `best-of-n` and `experiment`.
        out: where the page goes; ends in .html.
        pairs: pair files that were read and are no longer where the folders say, or are no longer
            found from here; known by their content.
        title: heading of the page; the folders' names if not given.
        examples: how many pairs with the largest disagreement are shown of each evaluated model.
        progress: told of the rows read.

    Raises:
        InputError: if a folder or file cannot be read, or the page not be written.
    """
    check_html(Path(out))
    found = read_folders([Path(folder) for folder in folders])
    sections, left_out = gather(found, [Path(path) for path in pairs], examples, progress)
    opening = opening_blocks(found)
    page = Page(title or _title(found), _lead(found), sections, left_out, opening)
    write_page(page, Path(out))
    return WrittenPage(Path(out), [section.title for section in sections], left_out)


def _title(found: Folders) -> str:
    single = [run.name for run in found.runs if run.group == run.name]
    names = [*single, *(one.name for one in found.results if one.experiment is None)]
    names = list(dict.fromkeys(names))
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _lead(found: Folders) -> str:
    counts = {
        "experiment": len(found.experiments),
        "run": len(found.runs),
        "sweep": len(found.sweeps),
        "evaluation": len(found.evaluations) + len(found.reward_benches) + len(found.mt_benches),
        "best-of-n": len(found.best_of_ns),
    }
    parts = [counted(some, noun) for noun, some in counts.items() if some]
    return f"What came of {', '.join(parts)}."
