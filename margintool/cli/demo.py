"""`margintool demo`: the main job offline, on simulated votes. The work is in margintool.demo."""

import typer

from margintool.cli.from_options import Given, command_from
from margintool.demo.settings import DemoOptions

HELP = """Simulate votes, score them, train reward models with MMPO and with hard labels, compare.

Example: margintool demo --out demo

Needs no network and a few minutes on two CPU cores. The same command goes on where it stopped.
"""


def _run(given: Given) -> None:
    from margintool.demo.run import run_demo
    from margintool.demo.table import print_results

    print_results(run_demo(DemoOptions(**given), typer.echo))


demo_command = command_from(DemoOptions, _run, help=HELP)
