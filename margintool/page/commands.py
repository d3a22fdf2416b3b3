"""The commands that made what a page shows, written again from what the folders record.

Options that are as they are by default are left out. Read by gathering.py.
"""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from margintool.best_of_n.results import RESULTS as BEST_OF_N
from margintool.card.command_line import score_command
from margintool.mt_bench.results import RESULTS as MT_BENCH
from margintool.page.experiment_file import EXPERIMENT_FILE
from margintool.page.folders import Folders, Result, Run, understood
from margintool.page.views import Block, Code, Paragraph, Section
from margintool.report.facts import PairReport
from mmpo_core.command_line import changed_words, option_words
from mmpo_core.evaluate.rewardbench.running import REPORT as REWARD_BENCH
from mmpo_core.evaluate.running import EVALUATION
from mmpo_core.sweep.files import SWEEP_FILE

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
    # An experiment's command made its parts.
    own = [one for one in folders.results if one.experiment is None]
    # fingerprint -> name and metadata
    known = {
        about["fingerprint"]: (str(about["path"]), about.get("metadata") or {})
        for run in folders.runs
        if (about := run.record.get("pairs"))
    }
    known |= {content: (report.path, report.metadata) for content, report in reports.items()}
    lines = [line for name, made in known.values() if (line := _scored(made, name))]
    lines += [_run(run) for run in single]
    for one in own:
        with understood(one):
            line = _COMMANDS[one.file.name](one)
        lines += [] if line is None else [line]
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


def _experiment(experiment: Result) -> str:
    """Return the command, with every setting where the file does not say what was given."""
    if "command" in experiment.content:
        return shlex.join(map(str, experiment.content["command"]))
    settings = experiment.content["settings"]
    words = [
        word
        for name, value in settings.items()
        if value is not None
        for word in option_words(name, value)
    ]
    name = str(experiment.content["experiment"])
    return shlex.join(["margintool", "experiment", name, "--out", str(experiment.folder), *words])


def _sweep(sweep: Result) -> str:
    from mmpo_core.sweep.options import SweepOptions

    arguments = dict(sweep.content["arguments"])
    for name in ("loss", "gamma", "beta", "lr"):
        if isinstance(arguments.get(name), list):
            arguments[name] = ",".join(map(str, arguments[name]))
    return _line(["sweep", str(arguments["pairs"])], SweepOptions, arguments, "pairs", "seed")


def _evaluate(evaluation: Result) -> str | None:
    from mmpo_core.evaluate.options import EvaluateOptions

    return _of_models(evaluation, EvaluateOptions)


def _reward_bench(bench: Result) -> str | None:
    from mmpo_core.evaluate.rewardbench.options import RewardBenchOptions

    return _of_models(bench, RewardBenchOptions, "--suite", "rewardbench")


def _of_models(found: Result, options_class: type, *suite: str) -> str | None:
    """Return an `evaluate` command; None where the file does not record its options."""
    arguments = found.content.get("arguments")
    if not isinstance(arguments, Mapping):
        return None
    names = [str(name) for name in arguments["models"]]
    return _line(["evaluate", *names, *suite], options_class, arguments, "models")


def _mt_bench(bench: Result) -> str | None:
    """Return the command; None for a file of a version that did not record its options."""
    from margintool.mt_bench.options import FIXED, MtBenchOptions

    arguments = bench.content.get("arguments")
    if not isinstance(arguments, Mapping):
        return None
    command = ["evaluate", str(arguments["model"]), "--suite", "mt-bench"]
    return _line(command, MtBenchOptions, arguments, "model", *FIXED)


def _best_of_n(found: Result) -> str:
    from margintool.best_of_n.options import BestOfNOptions

    return _line(["best-of-n"], BestOfNOptions, found.content["arguments"])


# file -> the command that wrote it
_COMMANDS: Mapping[str, Callable[[Result], str | None]] = {
    EXPERIMENT_FILE: _experiment,
    SWEEP_FILE: _sweep,
    EVALUATION: _evaluate,
    REWARD_BENCH: _reward_bench,
    MT_BENCH: _mt_bench,
    BEST_OF_N: _best_of_n,
}


def _line(
    command: list[str], options_class: type, arguments: Mapping[str, Any], *leave_out: str
) -> str:
    words = changed_words(options_class, arguments, {*leave_out, *_NOT_ABOUT_RUN})
    return shlex.join(["margintool", *command, *words])
