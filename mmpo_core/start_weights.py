"""The weights a run starts from: told apart in run.json, and the same when it is resumed.

Read by train.py and train_reference.py.
"""

from typing import Any

from mmpo_core.errors import InputError
from mmpo_core.processes import from_main
from mmpo_core.reference_model import weights_digest
from mmpo_core.run_folder import earlier_record
from mmpo_core.run_options import RunOptions


def start_weights(options: RunOptions, role: str, model: Any) -> str:
    """Return the digest of a model's weights before training; all processes must call it.

    Args:
        options: of the run.
        role: of the model in options.models_read.
        model: as loaded. What adapters start from is decided by the seed, and not looked at.

    Raises:
        InputError: if the run is resumed and had begun with others.
    """
    # the first process alone may have read them
    digest = from_main(lambda: weights_digest(model))
    before = earlier_record(options).get("weights", {}).get(role)
    if before not in (None, digest):
        raise InputError(
            f"{options.folder}: the {role} {options.models_read[role]} has other weights than when "
            "the run began. Resume with those, or start again with --overwrite"
        )
    return digest
