"""sft(): any file of conversations to a model that answers; the step before `train`.

    from margintool.sft import sft
    sft(model="tiny", data="alpaca.jsonl", lr=1e-3)

`margintool sft` is the same from the command line. The training is in mmpo_core/sft/train.py, the
reading in sft_data.py.
"""

from typing import TYPE_CHECKING

from margintool.progress import Bars, no_bars
from margintool.sft_data import conversation_sources
from mmpo_core.options import takes_options
from mmpo_core.sft.options import SftOptions, checked_options
from mmpo_core.sft.train import train_sft
from mmpo_core.training_run import TrainResult

if TYPE_CHECKING:
    from mmpo_core.train_plan.plan import TrainPlan


@takes_options(SftOptions)
def sft(options: SftOptions) -> TrainResult:
    """Train a language model on the assistant's tokens of conversations.

    Takes the fields of SftOptions as keywords.

    Raises:
        InputError: for options, data, models and folders that cannot be used.
    """
    return run_sft(options, no_bars)


def run_sft(options: SftOptions, bars: Bars) -> TrainResult:
    """Train as sft() does; `bars` gives what is told how far reading has come."""
    options = checked_options(options)
    return train_sft(options, conversation_sources(options, bars))


def plan_run(options: SftOptions, bars: Bars) -> "TrainPlan":
    """Return what such a run would take and do, before weights are loaded; nothing is written.

    Raises:
        InputError: for options, data and models that cannot be used.
    """
    from mmpo_core.sft.planning import plan_sft

    options = checked_options(options)
    return plan_sft(options, conversation_sources(options, bars))
