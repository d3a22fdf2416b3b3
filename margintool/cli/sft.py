"""`margintool sft`: conversations to a model that answers. The work is in margintool.sft."""

from margintool.cli.from_options import Given, command_from
from margintool.cli.run_extras import CONFIG, PLAN
from mmpo_core.adapter_options import AdapterOptions
from mmpo_core.run_options import RunOptions
from mmpo_core.sft.options import SftOptions

HELP = """Train a language model on conversations: the supervised step before `train`.

Example: margintool sft --model tiny --data alpaca.jsonl.gz --out sft-model --lr 1e-3

Then: margintool train pairs.parquet --model sft-model

The loss is on the assistant's tokens, every turn of it. Without --data the UltraChat of the paper's
starting points is read from the hub. Options may also stand in a YAML file (--config).
"""


def _run(given: Given) -> None:
    from margintool.cli.progress import progress_bar
    from margintool.cli.train_summary import log_lines, print_plan, print_sft_summary
    from margintool.sft import plan_run, run_sft
    from mmpo_core.config_file import options_from

    config, only_plan = given.pop("config", None), given.pop("plan", False)
    options = options_from(SftOptions, given, config=config)
    with log_lines():
        if only_plan:
            print_plan(plan_run(options, progress_bar))
            return
        result = run_sft(options, progress_bar)
    print_sft_summary(result)


sft_command = command_from(
    SftOptions,
    _run,
    help=HELP,
    optional=("model",),
    headings={RunOptions: "Options that train has too", AdapterOptions: "Adapters"},
    extra={"config": CONFIG, "plan": PLAN},
)
