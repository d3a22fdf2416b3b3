"""plan_sft(): what a supervised run would take and do, before weights are loaded.

`margintool sft --plan` prints it; the counts are those of train_plan/. Read train.py first.
"""

from mmpo_core.sft.options import SftOptions, checked_options
from mmpo_core.sft.source import RunSources, encode_sources
from mmpo_core.train_plan.plan import TrainPlan, plan_of
from mmpo_core.train_progress import quiet_transformers
from mmpo_core.training_args import training_arguments


def plan_sft(options: SftOptions, sources: RunSources) -> TrainPlan:
    """Return what a run with these options would take and do. Nothing is written.

    Raises:
        InputError: for options, data and models that cannot be used.
    """
    options = checked_options(options)
    arguments = training_arguments(options, evaluates=sources.evaluates(options))
    with quiet_transformers():
        tokenizer, splits = encode_sources(options, sources)
        data = {name: report.to_dict() for name, report in sources.reports().items()}
        return plan_of(options, tokenizer, splits, arguments.device, data)
