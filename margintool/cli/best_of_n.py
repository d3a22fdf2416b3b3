"""`margintool best-of-n`: the best of n answers. The work is in margintool.best_of_n."""

from typing import Annotated

import typer

from margintool.best_of_n.options import AnswerOptions, BestOfNOptions
from margintool.cli.from_options import Given, argument_help, command_from
from margintool.cli.json_output import print_json
from mmpo_core.evaluate.options import PredictOptions

HELP = """Pick the best of n answers to each prompt by a reward, and say what n is worth.

Example: margintool best-of-n --prompts prompts.jsonl --policy tiny --reward runs/reward -n 8

Answers are made by the policy or given with --candidates. Every candidate with its rewards is in
OUT/candidates.parquet; the expected reward of the best of 1, 2, 4, ... n is printed. With one
reward the pick is the answer of the highest reward, and the win probability beside it is no more
than a number for how clear that is. With several, the pick is by the mean of their win
probabilities. Interrupted, the same command goes on.
"""


def _run(given: Given) -> None:
    from margintool.best_of_n.run import run_best_of_n
    from margintool.best_of_n.text import print_best_of_n
    from margintool.cli.progress import progress_bar
    from margintool.cli.train_summary import log_lines
    from mmpo_core.config_file import options_from

    as_json = given.pop("json", False)
    options = options_from(BestOfNOptions, given)
    with log_lines():
        result = run_best_of_n(options, progress_bar)
    if as_json:
        print_json(result.report)
        return
    print_best_of_n(result.report)
    typer.echo(f"\nIn {result.folder}: candidates.parquet, best_of_n.json and best_of_n.png")


_N = typer.Option(
    "-n",
    help=f"{argument_help(BestOfNOptions)['n']} [default: {BestOfNOptions.n}]",
    show_default=False,
)
_JSON = Annotated[
    bool | None, typer.Option("--json", help="Print best_of_n.json, and nothing else.")
]

best_of_n_command = command_from(
    BestOfNOptions,
    _run,
    help=HELP,
    without=("n",),
    headings={AnswerOptions: "Candidates", PredictOptions: "How models are run"},
    extra={"n": Annotated[int | None, _N], "json": _JSON},
)
