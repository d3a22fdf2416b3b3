"""Preference losses: LOSSES for policies, REWARD_LOSSES for reward models, by name.

Read policy.py FIRST: what h is and which losses there are; functions.py has the mathematics,
base.py what an entry says about itself. A new loss is a function, an entry, and its value by hand
in the tests. Read by the trainers, the options (loss_options.py) and `margintool losses`.
"""

from mmpo_core.losses.base import Loss
from mmpo_core.losses.policy import LOSSES, answer_scores, sft_loss
from mmpo_core.losses.reward import REWARD_LOSSES, centring

OBJECTIVES = {"policy": LOSSES, "reward": REWARD_LOSSES}

__all__ = [
    "LOSSES",
    "OBJECTIVES",
    "REWARD_LOSSES",
    "Loss",
    "answer_scores",
    "centring",
    "sft_loss",
]
