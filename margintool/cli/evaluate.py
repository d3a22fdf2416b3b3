"""`margintool evaluate`: is a model good, and may its numbers be believed?

The work is in mmpo_core.evaluate; suites bring theirs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from margintool.cli import evaluate_mt_bench, evaluate_rewardbench
from margintool.cli.from_options import Given, command_from
from margintool.cli.json_output import print_json
from margintool.judge.options import JudgeOptions, ServerOptions
from margintool.mt_bench.options import MtBenchOptions
from mmpo_core.command_line import flag
from mmpo_core.errors import InputError, lookup
from mmpo_core.evaluate.options import EvaluateOptions, PredictOptions
from mmpo_core.evaluate.rewardbench.options import RewardBenchOptions

HELP = """Measure how well models tell the better answer, and how well they are calibrated.

Example: margintool evaluate runs/tiny-policy --data pairs.parquet --held-out

RewardBench: margintool evaluate runs/reward --suite rewardbench --out scores

MT-bench: margintool evaluate runs/tiny-policy --suite mt-bench --references gpt-4.jsonl
--judge-model gpt-4o --out bench

A policy is measured by its implicit reward against its reference model, a reward model by its
rewards. Several models are measured on the same pairs and compared. The table is printed, and in
OUT are evaluation.json, predictions.parquet and the pictures. Called again, models and pairs that
have not changed are not computed again.
"""


@dataclass(frozen=True)
class Suite:
    """A known set of tasks that `evaluate --suite NAME` runs instead of --data.

    Attributes:
        run: called with what was given on the command line, `models` among it.
        reads: fields of EvaluateOptions that it takes; others are refused.
        options: its own further options, as command_from's `extra`.
    """

    run: Callable[[Given], None]
    reads: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


# name -> what runs it
SUITES: dict[str, Suite] = {
    "mt-bench": Suite(evaluate_mt_bench.run, evaluate_mt_bench.READS, evaluate_mt_bench.OPTIONS),
    "rewardbench": Suite(
        evaluate_rewardbench.run, evaluate_rewardbench.READS, evaluate_rewardbench.OPTIONS
    ),
}


def _run(given: Given) -> None:
    suite = given.pop("suite", None)
    if suite is not None:
        _run_suite(suite, given)
        return
    own = {name for one in SUITES.values() for name in one.options} & given.keys()
    if own - {"json"}:
        raise InputError(f"{flag(min(own))} is for suites: give --suite, or leave it out")
    _evaluate(given)


def _run_suite(name: str, given: Given) -> None:
    suite = lookup("suite", name, SUITES)
    known = {"models", *suite.reads, *suite.options}
    unknown = [one for one in given if one not in known]
    if unknown:
        raise InputError(f"suite {name} does not take {flag(unknown[0])}: leave it out")
    suite.run(given)


def _evaluate(given: Given) -> None:
    from margintool.cli.evaluate_tables import print_evaluation
    from margintool.cli.train_summary import log_lines
    from mmpo_core.config_file import options_from
    from mmpo_core.evaluate.running import evaluate

    as_json = given.pop("json", False)
    options = options_from(EvaluateOptions, given)
    with log_lines():
        result = evaluate(**vars(options))
    if as_json:
        print_json(result.report)
        return
    print_evaluation(result.report)
    typer.echo(f"\nIn {result.folder}: evaluation.json, predictions and pictures")


_JSON = Annotated[
    bool | None, typer.Option("--json", help="Print evaluation.json, and nothing else.")
]
_SUITE = Annotated[
    str | None, typer.Option(help=f"A known set of tasks instead of --data: {', '.join(SUITES)}.")
]

evaluate_command = command_from(
    EvaluateOptions,
    _run,
    help=HELP,
    positional=("models",),
    optional=("data",),
    headings={
        EvaluateOptions: "What is measured",
        PredictOptions: "How models are run",
        RewardBenchOptions: "Options of --suite rewardbench",
        MtBenchOptions: "Options of --suite mt-bench",
        JudgeOptions: "Judges of --suite mt-bench",
        ServerOptions: "Judges of --suite mt-bench",
    },
    extra={
        **({"suite": _SUITE} if SUITES else {}),
        "json": _JSON,
        **{name: kind for suite in SUITES.values() for name, kind in suite.options.items()},
    },
)
