"""The training side: the pair-file contract, MMPO targets and losses, and the trainers.

Importing this package imports neither torch nor transformers; names load on first use.
Read next: schema.py (the contract), losses/policy.py, trainer.py.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "ContractError": "mmpo_core.checks",
    "InputError": "mmpo_core.errors",
    "LOSSES": "mmpo_core.losses",
    "MMPOTrainer": "mmpo_core.trainer",
    "PairCollator": "mmpo_core.collate",
    "REWARD_LOSSES": "mmpo_core.losses",
    "RewardTrainer": "mmpo_core.reward",
    "encode_pairs": "mmpo_core.encode",
    "load_policy": "mmpo_core.models",
    "load_reward_model": "mmpo_core.models",
    "load_tokenizer": "mmpo_core.models",
    "pair_to_messages": "mmpo_core.schema",
    "probability": "mmpo_core.bradley_terry",
    "read_metadata": "mmpo_core.pair_file",
    "read_pairs": "mmpo_core.pair_file",
    "solve_gamma": "mmpo_core.bradley_terry",
    "write_pairs": "mmpo_core.pair_file",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module 'mmpo_core' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
