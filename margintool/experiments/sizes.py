"""How much the experiments simulate: the default and the quick size of each. docs/experiments.md
has the arithmetic behind them.
"""

from margintool.experiments.options import ExperimentOptions, OverfittingOptions
from margintool.simulate import SimulationOptions

# Three answers to a prompt make three pairs: 1,020 pairs to train on and 180 held out, and for
# many epochs 180 and 180.
PROMPTS, FEW_PROMPTS, HELD_OUT_PROMPTS = 340, 60, 60
QUICK_PROMPTS, QUICK_HELD_OUT_PROMPTS = 12, 8


def simulation(options: ExperimentOptions) -> SimulationOptions:
    """Return what an experiment simulates."""
    prompts = FEW_PROMPTS if isinstance(options, OverfittingOptions) else PROMPTS
    return SimulationOptions(
        train_prompts=QUICK_PROMPTS if options.quick else prompts,
        heldout_prompts=QUICK_HELD_OUT_PROMPTS if options.quick else HELD_OUT_PROMPTS,
        heldout_answers=3,
        seed=options.seed,
    )
