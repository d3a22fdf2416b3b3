"""`margintool evaluate MODEL --suite rewardbench`. The work is in margintool.rewardbench."""

import dataclasses

import typer

from margintool.cli.from_options import Given, options_of
from margintool.cli.json_output import print_json
from mmpo_core.evaluate.options import EvaluateOptions
from mmpo_core.evaluate.rewardbench.options import RewardBenchOptions

_FIELDS = {one.name for one in dataclasses.fields(RewardBenchOptions)}
# Options that `evaluate` has without a suite too.
READS = (*sorted(_FIELDS & {one.name for one in dataclasses.fields(EvaluateOptions)}), "json")
OPTIONS = options_of(RewardBenchOptions, without=READS)


def run(given: Given) -> None:
    """Run RewardBench with what was given on the command line.

    Raises:
        InputError: for options, data and models that cannot be used.
    """
    from margintool.cli.progress import progress_bar
    from margintool.cli.train_summary import log_lines
    from margintool.rewardbench import run_rewardbench
    from mmpo_core.config_file import options_from
    from mmpo_core.evaluate.rewardbench.text import lines

    as_json = given.pop("json", False)
    options = options_from(RewardBenchOptions, given)
    with log_lines():
        result = run_rewardbench(options, progress_bar)
    if as_json:
        print_json(result.report)
        return
    for line in lines(result.report):
        typer.echo(line)
    typer.echo(f"\nWritten to {result.folder}")
