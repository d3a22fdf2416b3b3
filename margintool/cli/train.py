"""`margintool train`: a pair file to a trained model. The work is in mmpo_core.train."""

from typing import Annotated

import typer

from margintool.cli.from_options import Given, command_from
from margintool.cli.run_extras import CONFIG, PLAN
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
    "config": CONFIG,
    "preset": Annotated[
        str | None, typer.Option(help="Published recipe (see `margintool presets`).")
    ],
}


def _run(given: Given) -> None:
    from margintool.cli.train_summary import log_lines, print_plan, print_train_summary
    from mmpo_core.config_file import options_from
    from mmpo_core.presets import preset_options

    config, preset = given.pop("config", None), preset_options(given.pop("preset", None))
    only_plan = given.pop("plan", False)
    options = options_from(TrainOptions, given, config=config, preset=preset, positional=("pairs",))
    with log_lines():
        if only_plan:
            from mmpo_core.train_plan.plan import plan

            print_plan(plan(options))
            return
        from mmpo_core.train import train

        result = train(**vars(options))
    print_train_summary(result)


train_command = command_from(
    TrainOptions,
    _run,
    help=HELP,
    positional=("pairs",),
    optional=("pairs", "model"),
    headings={RunOptions: "Options that sft has too", AdapterOptions: "Adapters"},
    extra={**RECIPES, "plan": PLAN},
)
