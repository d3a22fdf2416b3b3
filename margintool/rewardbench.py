"""rewardbench(): models on RewardBench, from its datasets or a file to scores.

    from margintool.rewardbench import rewardbench
    rewardbench(models=("runs/tiny-reward",), data="examples.parquet")

`margintool evaluate MODEL --suite rewardbench` is the same from the command line. Reading is in
rewardbench_data.py, everything else in mmpo_core/evaluate/rewardbench.
"""

from margintool.progress import Bars, no_bars
from margintool.rewardbench_data import read_examples
from mmpo_core.evaluate.rewardbench.options import RewardBenchOptions
from mmpo_core.evaluate.rewardbench.running import RewardBenchResult, checked, run_models
from mmpo_core.options import takes_options


@takes_options(RewardBenchOptions)
def rewardbench(options: RewardBenchOptions) -> RewardBenchResult:
    """Score models on RewardBench.

    Takes the fields of RewardBenchOptions as keywords.

    Raises:
        InputError: for options, data, models and folders that cannot be used.
    """
    return run_rewardbench(options, no_bars)


def run_rewardbench(options: RewardBenchOptions, bars: Bars) -> RewardBenchResult:
    """Score models as rewardbench() does; `bars` gives what is told how far reading has come."""
    options = checked(options)
    return run_models(options, read_examples(options.data, bars, core_only=options.core_only))
