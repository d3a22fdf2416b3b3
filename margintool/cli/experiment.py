"""`margintool experiment ...`: the paper's claims, tried. The work is in margintool.experiments."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from margintool.cli.from_options import Given, command_from
from margintool.experiments.registry import EXPERIMENTS, Experiment

HELP = """{help}

Example: margintool experiment {name} --out {name}

Needs no network and at most 15 minutes on two CPU cores. Started again, it goes on with what is
left. Tables, differences and verdicts are in OUT/experiment.json, beside the pictures, and
OUT/report.html is a page. Every trained model is kept: 12 MB a run.
"""


def _command(name: str, experiment: Experiment) -> Callable[..., None]:
    def run(given: Given) -> None:
        from margintool.cli.sweep_summary import sweep_lines
        from margintool.experiments.table import print_experiment

        options = experiment.options(**given)
        with sweep_lines(), _quiet_evaluations():
            content = experiment.run(options, typer.echo)
        print_experiment(content, options.out)

    text = HELP.format(name=name, help=experiment.help)
    return command_from(experiment.options, run, help=text)


@contextmanager
def _quiet_evaluations() -> Iterator[None]:
    """Of evaluations, one for each seed, show warnings alone."""
    logger = logging.getLogger("mmpo_core.evaluate")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


# name -> (command, its line in `margintool experiment --help`)
EXPERIMENT_COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    name: (_command(name, one), one.about) for name, one in EXPERIMENTS.items()
}
