"""`margintool sweep`: training runs over a grid. The work is in mmpo_core.sweep."""

from margintool.cli.from_options import Given, command_from
from margintool.cli.train import RECIPES
from mmpo_core.adapter_options import AdapterOptions
from mmpo_core.run_options import RunOptions
from mmpo_core.sweep.options import NOT_IN_SWEEP, SET_BY_SWEEP, SweepOptions
from mmpo_core.train_options import TrainOptions

HELP = """Train with every combination of gamma, beta, lr and loss, and compare on held-out pairs.

Example: margintool sweep pairs.parquet --model tiny --lr 1e-3 --gamma 0.3,1.1,2.2 --seeds 3

All other options are those of `margintool train` and go to every run. The runs are in OUT/runs,
one after another; the reference's log-probs are computed once for all of them. Started again, a
sweep skips finished runs and goes on with interrupted ones. The table is in OUT/sweep.csv, the
plot in OUT/sweep.png, everything in OUT/sweep.json. Only metrics are kept, unless --keep-models.
"""


def _run(given: Given) -> None:
    from margintool.cli.sweep_summary import print_plan, print_sweep, sweep_lines
    from mmpo_core.config_file import options_from
    from mmpo_core.errors import UnfinishedError
    from mmpo_core.presets import preset_options
    from mmpo_core.sweep.sweeping import plan_sweep, sweep

    config, preset = given.pop("config", None), dict(preset_options(given.pop("preset", None)))
    preset.pop("seed", None)
    options = options_from(SweepOptions, given, config=config, preset=preset, positional=("pairs",))
    with sweep_lines():
        if options.dry_run:
            print_plan(plan_sweep(**vars(options)))
            return
        result = sweep(**vars(options))
    print_sweep(result)
    if result.failed:
        raise UnfinishedError(
            f"{len(result.failed)} of {len(result.rows)} runs failed. The same command tries them "
            "again"
        )


sweep_command = command_from(
    SweepOptions,
    _run,
    help=HELP,
    positional=("pairs",),
    optional=("pairs", "model"),
    without=(*SET_BY_SWEEP, *NOT_IN_SWEEP),
    headings={
        SweepOptions: "What is swept, and what is kept",
        TrainOptions: "Options of every run",
        RunOptions: "More options of every run",
        AdapterOptions: "Adapters",
    },
    extra=RECIPES,
)
