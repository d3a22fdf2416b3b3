"""The commands that made what a page shows, written again from what the folders record.

Options that are as they are by default are left out. Read by gathering.py.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from margintool.card.command_line import score_command
from margintool.page.folders import Evaluation, Folders, Run, Sweep
from margintool.page.views import Block, Code, Paragraph, Section
from margintool.report.facts import PairReport
from mmpo_core.command_line import changed_words

# They say where a run stood, not what it was.
_NOT_ABOUT_RUN = ("resume", "overwrite", "dry_run")


def commands_section(folders: Folders, reports: Mapping[str, PairReport]) -> Section:
    """Return the commands, in the order in which they can be run, each once.

    Args:
        folders: what was given.
        reports: fingerprint -> report of a pair file; of one that is not there, a run's record
            tells.
    """
    single = [run for run in folders.runs if run.group == run.name]
    # fingerprint -> name and metadata
    known = {
        about["fingerprint"]: (str(about["path"]), about.get("metadata") or {})
        for run in folders.runs
        if (about := run.record.get("pairs"))
    }
    known |= {content: (report.path, report.metadata) for content, report in reports.items()}
    lines = [line for name, made in known.values() if (line := _scored(made, name))]
    lines += [_run(run) for run in single]
    lines += [_sweep(sweep) for sweep in folders.sweeps]
    evaluations = [*folders.evaluations, *folders.reward_benches]
    lines += [line for one in evaluations if (line := _evaluate(one))]
    remark = Paragraph("Written from what the folders record; paths are as they were given then.")
    blocks: list[Block] = [remark, Code(list(dict.fromkeys(lines)))]
    return Section("commands", "The commands that made it", blocks)


def _scored(metadata: Mapping[str, Any], name: str) -> str | None:
    """Return the `score` command of a pair file; None if its metadata does not tell."""
    options = metadata.get("options")
    if not isinstance(options, Mapping) or "source" not in options:
        return None
    return score_command(options, name)


def _run(run: Run) -> str:
    if not run.on_pairs:
        from mmpo_core.sft.options import SftOptions

        return _line(["sft"], SftOptions, run.arguments)
    from mmpo_core.train_options import TrainOptions

    return _line(["train", str(run.arguments["pairs"])], TrainOptions, run.arguments, "pairs")


def _sweep(sweep: Sweep) -> str:
    from mmpo_core.sweep.options import SweepOptions

    arguments = dict(sweep.content["arguments"])
    for name in ("loss", "gamma", "beta", "lr"):
        if isinstance(arguments.get(name), list):
            arguments[name] = ",".join(map(str, arguments[name]))
    return _line(["sweep", str(arguments["pairs"])], SweepOptions, arguments, "pairs", "seed")


def _evaluate(evaluation: Evaluation) -> str | None:
    """Return the `evaluate` command; None where the file does not record its options."""
    from mmpo_core.evaluate.options import EvaluateOptions
    from mmpo_core.evaluate.rewardbench.options import RewardBenchOptions

    arguments = evaluation.content.get("arguments")
    if not isinstance(arguments, Mapping):
        return None
    names = [str(name) for name in arguments["models"]]
    suite = evaluation.content.get("suite")
    if suite is None:
        return _line(["evaluate", *names], EvaluateOptions, arguments, "models")
    return _line(["evaluate", *names, "--suite", suite], RewardBenchOptions, arguments, "models")


def _line(
    command: list[str], options_class: type, arguments: Mapping[str, Any], *leave_out: str
) -> str:
    words = changed_words(options_class, arguments, {*leave_out, *_NOT_ABOUT_RUN})
    return shlex.join(["margintool", *command, *words])
