"""Folders to sections, and what there was nothing to show of. Read by writing.py."""

from collections.abc import Callable, Sequence
from pathlib import Path

from margintool.page.best_of_n import best_of_n_section
from margintool.page.commands import commands_section
from margintool.page.data import summary_blocks, target_blocks
from margintool.page.evaluations import breakdown_blocks, metric_blocks, reliability_blocks
from margintool.page.examples import example_blocks
from margintool.page.experiments import experiment_section
from margintool.page.folders import Folders, Result, understood
from margintool.page.held_out import by_margin_part, held_out_part
from margintool.page.mt_bench import mt_bench_section
from margintool.page.pair_files import PairFile, find_pair_files, some
from margintool.page.reward_bench import reward_bench_section
from margintool.page.runs import (
    overfitting_section,
    runs_section,
    training_section,
)
from margintool.page.sweeps import sweep_section
from margintool.page.views import Block, Paragraph, Part, Section
from margintool.progress import Progress
from margintool.report.facts import PairReport
from margintool.report.inspecting import report_and_scan
from margintool.report.scan import Scan

# Reasons for what is left out.
_NO_EVALUATION = "no folder of margintool evaluate was given"
_NOTHING_MEASURED = "nothing was held out, and nothing evaluated"
_ONE_LOOK = "no run was evaluated more than once on its way (--eval-steps)"


def gather(
    folders: Folders, pairs: Sequence[Path], examples: int, progress: Progress
) -> tuple[list[Section], list[str]]:
    """Return the sections of a page, and what is left out, each with the reason.

    Args:
        folders: what was given.
        pairs: pair files that the user names, for paths that are no longer right.
        examples: how many pairs are shown of each model.
        progress: told of the rows read.
    """
    files, missing = find_pair_files(folders, pairs)
    left_out = [f"Data: {line}" for line in missing]
    runs = folders.runs
    sections = _each(folders.experiments, experiment_section)
    sections += [runs_section(runs)] if runs else []
    sections += _each(folders.sweeps, sweep_section)
    # Results first: data and commands are for those who go on to ask where they come from.
    measured = bool(runs or folders.evaluations)
    for section, title, reason, asked in (
        (_held_out(folders), "Held-out metrics", _NOTHING_MEASURED, measured),
        (_reliability(folders), "Reliability diagrams", _NO_EVALUATION, measured),
        (_by_margin(folders), "By margin", _NOTHING_MEASURED, measured),
        (overfitting_section(runs), "Overfitting", _ONE_LOOK, bool(runs)),
        (training_section(runs), "Training curves", "no run has logged a step", bool(runs)),
    ):
        if section is not None:
            sections.append(section)
        elif asked:
            left_out.append(f"{title}: {reason}")
    sections += _each(folders.reward_benches, reward_bench_section)
    for found in (
        mt_bench_section(folders.mt_benches, examples),
        best_of_n_section(folders.best_of_ns, examples),
    ):
        sections += [] if found is None else [found]
    sections += _examples(folders, files, examples, left_out)
    read = [report_and_scan(file.path, progress=progress) for file in files]
    sections += _data(files, read, left_out)
    reports = {file.fingerprint: report for file, (report, _) in zip(files, read, strict=True)}
    return [*sections, commands_section(folders, reports)], left_out


def _each(results: Sequence[Result], make: Callable[[Result, int], Section]) -> list[Section]:
    """Return a section of each result; they are numbered from 1."""
    sections = []
    for at, result in enumerate(results, start=1):
        with understood(result):
            sections.append(make(result, at))
    return sections


def _data(
    files: Sequence[PairFile], read: Sequence[tuple[PairReport, Scan]], left_out: list[str]
) -> list[Section]:
    """Return the sections on pair files: what is in them, and their targets."""
    summaries: list[Block] = []
    targets: list[Block] = []
    for file, (report, found) in zip(files, read, strict=True):
        uses = Paragraph(f"Read for: {some(file.uses)}.", quiet=True)
        summaries.append(Part(file.path.name, [uses, *summary_blocks(report)]))
        blocks = target_blocks(report, found)
        if blocks:
            targets.append(Part(file.path.name, blocks))
        else:
            left_out.append(f"Margins and targets: {file.path} has no finite margin")
    sections = [Section("data", "Data", summaries)] if summaries else []
    if targets:
        note = (
            "Margins and targets as the files have them; a run with a gamma of its own makes its "
            "targets from the margins anew."
        )
        sections.append(Section("targets", "Margins and targets", [Paragraph(note), *targets]))
    return sections


def _held_out(folders: Folders) -> Section | None:
    return _section("held-out", "Held-out metrics", folders, metric_blocks, held_out_part)


def _by_margin(folders: Folders) -> Section | None:
    return _section("by-margin", "By margin", folders, breakdown_blocks, by_margin_part)


def _reliability(folders: Folders) -> Section | None:
    return _section("reliability", "Reliability diagrams", folders, reliability_blocks)


def _section(
    key: str,
    title: str,
    folders: Folders,
    of_evaluation: Callable[[Result], list[Block]],
    of_runs: Callable[..., list[Block]] | None = None,
) -> Section | None:
    """Return what evaluations and runs say of one thing; None if that is nothing."""
    blocks: list[Block] = []
    for evaluation in folders.evaluations:
        with understood(evaluation):
            found = of_evaluation(evaluation)
        if found:
            folded = evaluation.experiment is not None
            blocks.append(Part(_title(evaluation, folders), found, folded=folded))
    recorded = of_runs(folders.runs) if of_runs is not None else []
    if recorded:
        blocks.append(Part("As the runs recorded it", recorded))
    return Section(key, title, blocks) if blocks else None


def _title(evaluation: Result, folders: Folders) -> str:
    alone = len(folders.evaluations) == 1
    return "Evaluation" if alone else f"Evaluation {evaluation.name}"


def _examples(
    folders: Folders, files: Sequence[PairFile], most: int, left_out: list[str]
) -> list[Section]:
    """Return the section of pairs with the largest disagreement, if there are evaluations."""
    if folders.runs and not folders.evaluations:
        left_out.append(f"Examples: {_NO_EVALUATION}")
    by_content = {file.fingerprint: file.path for file in files}
    blocks: list[Block] = []
    for evaluation in folders.evaluations if most else ():
        path = by_content.get(str((evaluation.content.get("data") or {}).get("fingerprint")))
        if path is None:
            left_out.append(f"Examples: the pairs of {evaluation.name} are not there")
            continue
        number = most if evaluation.experiment is None else 1
        with understood(evaluation):
            found, missing = example_blocks(evaluation, path, number)
        left_out.extend(f"Examples: {line}" for line in missing)
        if found:
            folded = evaluation.experiment is not None
            blocks.append(Part(_title(evaluation, folders), found, folded=folded))
    lead = (
        "Pairs where the model's probability that the chosen answer is better is furthest from the "
        "target. The texts are as they stand in the data."
    )
    title = "Examples: largest disagreement"
    return [Section("examples", title, [Paragraph(lead), *blocks])] if blocks else []
