"""The command line: a skin over the library. Each command is a file here, registered below.

`run` is the one place that turns errors into messages and exit statuses.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import typer

from margintool.cli.best_of_n import best_of_n_command
from margintool.cli.card import card_command
from margintool.cli.compare import compare_command
from margintool.cli.demo import demo_command
from margintool.cli.evaluate import evaluate_command
from margintool.cli.experiment import EXPERIMENT_COMMANDS
from margintool.cli.grouped_help import grouped
from margintool.cli.inspect import inspect_command
from margintool.cli.judge import JUDGE_COMMANDS
from margintool.cli.layouts import layouts_command
from margintool.cli.losses import losses_command
from margintool.cli.merge import merge_command
from margintool.cli.models import models_command
from margintool.cli.presets import presets_command
from margintool.cli.report import report_command
from margintool.cli.score import score_command
from margintool.cli.sft import sft_command
from margintool.cli.similarity import SIMILARITY_COMMANDS
from margintool.cli.sweep import sweep_command
from margintool.cli.train import train_command
from margintool.cli.usage_errors import ParserError, usage_message
from mmpo_core.errors import InputError, UnfinishedError

app = typer.Typer(
    name="margintool",
    no_args_is_help=True,
    rich_markup_mode=None,  # boxes cut long option names, and swallow [default: ...]
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 92},
    help="Turn graded preferences into margins, and train on them with MMPO.",
    epilog="From raw data to a page of results: score, inspect, train, evaluate, report. The "
    "--help of each has an example, and `margintool demo` does the job offline in a few minutes. "
    "Add --debug to any command to see the traceback of an error.",
)
# name -> (command, its line in `margintool --help`)
COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "score": (score_command, "Raw feedback to a pair file with margins"),
    "inspect": (inspect_command, "What is in a pair file"),
    "compare": (compare_command, "How well the margins of pair files agree"),
    "sft": (sft_command, "A model that answers, from conversations"),
    "train": (train_command, "A policy or a reward model from a pair file"),
    "sweep": (sweep_command, "Training runs over a grid, compared on held-out pairs"),
    "evaluate": (evaluate_command, "How good and how well calibrated models are on pairs"),
    "best-of-n": (best_of_n_command, "The best of n answers by a reward, and what n is worth"),
    "report": (report_command, "One HTML page on runs and evaluations"),
    "merge": (merge_command, "A model folder from an adapter and its base"),
    "demo": (demo_command, "The whole job offline, on simulated votes"),
    "card": (card_command, "A dataset card for a pair file"),
    "layouts": (layouts_command, "Dataset layouts that score reads"),
    "losses": (losses_command, "Losses that train offers, with equations"),
    "models": (models_command, "Model names that train knows"),
    "presets": (presets_command, "Published recipes that train knows"),
}
# name -> (the line of the group, its commands)
GROUPS: dict[str, tuple[str, dict[str, tuple[Callable[..., None], str]]]] = {
    "experiment": ("The paper's claims, tried at a small size", EXPERIMENT_COMMANDS),
    "judge": ("LLM judges and the journal of their replies", JUDGE_COMMANDS),
    "similarity": ("Models of how alike two answers are", SIMILARITY_COMMANDS),
}


def _register(into: typer.Typer, commands: dict[str, tuple[Callable[..., None], str]]) -> None:
    for name, (command, line) in commands.items():
        into.command(name, cls=grouped(command), short_help=line)(command)


_register(app, COMMANDS)
for _name, (_line, _commands) in GROUPS.items():
    _group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=_line)
    # A callback keeps the command's name even where it is the group's only one.
    _group.callback()(lambda: None)
    _register(_group, _commands)
    app.add_typer(_group, name=_name, help=_line)


def _version(wanted: bool) -> None:
    if wanted:
        from margintool import __version__

        typer.echo(f"margintool {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Turn graded preferences into margins, and train on them with MMPO."""


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit status.

    0 done, 2 bad usage or input, 1 any other failure, 130 interrupted, 143 terminated.
    """
    debug = "--debug" in argv
    try:
        words = [arg for arg in argv if arg != "--debug"]
        status = app(args=words, prog_name="margintool", standalone_mode=False) or 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except ParserError as error:
        _complain(usage_message(error))
        return 2
    except InputError as error:
        if debug:
            raise
        _complain(f"error: {error}")
        return 2
    except UnfinishedError as error:
        if debug:
            raise
        _complain(f"stopped: {error}")
        return error.status
    except Exception as error:
        if debug:
            raise
        _complain(f"failed: {type(error).__name__}: {error}\nAdd --debug to see the traceback.")
        return 1
    if status == 130:
        _complain("interrupted; no file was left half-written")
    return status


def _complain(message: str) -> None:
    typer.echo(message, err=True)


def _terminate(_signal: int, _frame: object) -> NoReturn:
    # An exception, so that temporary files are removed on the way out.
    raise SystemExit(143)


def main() -> None:
    """Entry point of the `margintool` script."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))
