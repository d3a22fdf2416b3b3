"""`margintool train`: a pair file to a trained model. The work is in mmpo_core.train."""

from pathlib import Path
from typing import Annotated

import typer

from margintool.cli.from_options import Given, command_from
from mmpo_core.adapter_options import AdapterOptions
from mmpo_core.run_options import RunOptions
from mmpo_core.train_options import TrainOptions

HELP = """Train a policy or a reward model on a pair file with MMPO.

Example: margintool train pairs.parquet --model tiny --objective reward --lr 1e-3

Options may also stand in a YAML file (--config) and come from a published recipe (--preset). The
command line wins over the file, the file over the recipe. `margintool models` and `margintool
losses` list what --model and --loss take.
"""

RECIPES = {
    "config": Annotated[
        Path | None, typer.Option(help="YAML file with option names as keys (lr: 1e-5)")
    ],
    "preset": Annotated[
        str | None, typer.Option(help="published recipe (see `margintool presets`)")
    ],
}


def _run(given: Given) -> None:
    from margintool.cli.train_summary import log_lines, print_train_summary
    from mmpo_core.config_file import options_from
    from mmpo_core.presets import preset_options
    from mmpo_core.train import train

    config, preset = given.pop("config", None), preset_options(given.pop("preset", None))
    only_plan = given.pop("plan", False)
    options = options_from(TrainOptions, given, config=config, preset=preset)
    if only_plan:
        _print_plan(options)
        return
    with log_lines():
        result = train(**vars(options))
    print_train_summary(result)


def _print_plan(options: TrainOptions) -> None:
    from margintool.cli.summary import print_rows
    from margintool.cli.train_summary import log_lines
    from mmpo_core.train_plan.plan import plan
    from mmpo_core.train_plan.words import plan_rows

    with log_lines():
        planned = plan(options)
    print_rows(plan_rows(planned))


_PLAN = Annotated[
    bool | None,
    typer.Option(
        "--plan",
        help="say what the run would take, before weights are loaded, and stop: memory, tokens, "
        "steps, pairs that would be dropped",
    ),
]

train_command = command_from(
    TrainOptions,
    _run,
    help=HELP,
    positional=("pairs",),
    optional=("pairs", "model"),
    headings={RunOptions: "Options that sft has too", AdapterOptions: "Adapters"},
    extra={**RECIPES, "plan": _PLAN},
)
