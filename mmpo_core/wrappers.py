"""Which wrapper trains a model on several processes: the one asked for, and the one that does.

accelerate 1.15 shards on accelerators only: asked for FSDP on a CPU, it trains plain DDP and says
nothing. So what was asked for is compared with the model as it was wrapped. Read by
training_args.py (before anything is loaded) and step_trainer.py (when the steps begin).
"""

import logging
import os
from pathlib import Path
from typing import Any

from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
from torch.nn.parallel import DistributedDataParallel
from transformers import TrainerCallback

from mmpo_core.checkpoint_layouts import DEEPSPEED, FSDP, PLAIN, layout_of
from mmpo_core.errors import InputError

logger = logging.getLogger("mmpo_core.train")

# what `accelerate launch` sets in the environment of each process
_VARIABLES = {DEEPSPEED: "ACCELERATE_USE_DEEPSPEED", FSDP: "ACCELERATE_USE_FSDP"}
_NOT_FSDP1 = "FSDP of version 1 is not supported. Set fsdp_version: 2"
_UNSHARDED = (DistributedType.NO, DistributedType.MULTI_CPU)


def wrapper_asked_for(arguments: Any) -> str | None:
    """Return FSDP or DEEPSPEED if `accelerate launch` or the arguments ask for it, or None.

    Args:
        arguments: transformers.TrainingArguments.
    """
    given = {DEEPSPEED: arguments.deepspeed, FSDP: arguments.fsdp}
    asked = [name for name, variable in _VARIABLES.items() if given[name] or _is_on(variable)]
    return asked[0] if asked else None


def active_wrapper(model: Any) -> str:
    """Return what a model is wrapped with, in words.

    Args:
        model: as Trainer.model_wrapped is once training has begun.
    """
    if isinstance(model, FSDPModule):
        return "FSDP2"
    if isinstance(model, FullyShardedDataParallel):
        return "FSDP1"
    if isinstance(model, DistributedDataParallel):
        return "DDP"
    if _is_engine(model):
        return f"DeepSpeed ZeRO-{model.zero_optimization_stage()}"
    return "none"


def _is_engine(model: Any) -> bool:
    """Whether a model is DeepSpeed's engine; the package is no dependency."""
    return any(one.__module__.startswith("deepspeed.") for one in type(model).__mro__)


def check_launch(arguments: Any, dtype: str) -> None:
    """Raise InputError for what the launcher asks for and training would do otherwise.

    Args:
        arguments: transformers.TrainingArguments.
        dtype: of the weights as they are loaded.
    """
    asked, kind = wrapper_asked_for(arguments), arguments.distributed_state.distributed_type
    if asked == FSDP and kind in _UNSHARDED:
        raise InputError(
            "FSDP was asked for, but accelerate shards on accelerators only, and in processes that "
            f"it has started; here it would train {_plainly(kind)}. Start with `accelerate "
            "launch` on GPUs, or take a configuration of DDP"
        )
    if asked == FSDP:
        _check_fsdp_variables()
    if asked == DEEPSPEED and _is_on("ACCELERATE_USE_CPU"):
        raise InputError(
            "DeepSpeed was asked for together with use_cpu, and accelerate would train plain DDP. "
            "Leave use_cpu out: DeepSpeed finds the CPU itself"
        )
    if asked == DEEPSPEED and arguments.bf16 and dtype != "bfloat16":
        raise InputError(
            f"DeepSpeed would round the policy's weights to bfloat16, and the reference's are in "
            f"{dtype}. Give --dtype bfloat16 beside --bf16: DeepSpeed updates copies in float32"
        )
    precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision not in ("no", "bf16" if arguments.bf16 else "no"):
        raise InputError(
            f"accelerate's mixed_precision is {precision}, and the reference would be computed "
            'without it. Set mixed_precision: "no" there, and give --bf16 here'
        )


def _check_fsdp_variables() -> None:
    """Raise InputError for settings of FSDP under which a run would be wrong."""
    if _is_on("FSDP_CPU_RAM_EFFICIENT_LOADING"):
        raise InputError(
            "fsdp_cpu_ram_efficient_loading would leave the weights of all processes but the first "
            "empty, and each computes log-probs before training. Set it to false"
        )
    if _is_on("ACCELERATE_USE_FSDP") and os.environ.get("FSDP_VERSION", "1") == "1":
        raise InputError(_NOT_FSDP1)


def load_whole(arguments: Any) -> None:
    """Have every process load whole weights, as long as no trainer is built.

    Asked for ZeRO-3, transformers would load shards, of which a pass over the reference and the
    check on the first batch could compute nothing. accelerate shards them when training begins.

    Args:
        arguments: transformers.TrainingArguments.
    """
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    if wrapper_asked_for(arguments) == DEEPSPEED:
        unset_hf_deepspeed_config()


def _plainly(kind: DistributedType) -> str:
    return "in one process" if kind == DistributedType.NO else "plain DDP"


def check_resumable(arguments: Any, checkpoint: Path) -> None:
    """Raise InputError if a checkpoint was saved by another wrapper than is asked for now.

    Args:
        arguments: transformers.TrainingArguments.
        checkpoint: to go on from.
    """
    now, then = wrapper_asked_for(arguments) or PLAIN, layout_of(checkpoint)
    if now != then:
        raise InputError(
            f"{checkpoint}: was saved by {then}, and this is {now}. Resume with the configuration "
            "of accelerate that the run began with"
        )


def check_wrapped(asked: str | None, model: Any) -> None:
    """Raise InputError unless a model is wrapped as was asked for, and can be saved so.

    Args:
        asked: as wrapper_asked_for gives it.
        model: as Trainer.model_wrapped is once training has begun.
    """
    active = active_wrapper(model)
    if asked is not None and not active.startswith(asked):
        raise InputError(
            f"{asked} was asked for, and accelerate wrapped the model otherwise ({active}). Start "
            "with `accelerate launch` on GPUs, or take a configuration of DDP"
        )
    if active == "FSDP1":
        raise InputError(_NOT_FSDP1)
    if active == "DeepSpeed ZeRO-3" and not model.zero_gather_16bit_weights_on_model_save():
        raise InputError(
            "ZeRO-3 would save no model at the end. Set zero3_save_16bit_model: true in the "
            "configuration"
        )


def follow_wrapping(trainer: Any) -> None:
    """Have a trainer check and log its wrapper, compute as one process does, and save whole models.

    accelerate's policy for bf16 has FSDP round what the model returns to bfloat16: log-probs, by
    whole nats. Without one, products are in bfloat16 by autocast alone, as in one process.

    Args:
        trainer: just built; its model is wrapped when training begins.
    """
    plugin = _fsdp_plugin(trainer)
    if plugin is not None and plugin.fsdp_version == 2:
        plugin.mixed_precision_policy = None
    trainer.add_callback(Wrapping(trainer))


def _fsdp_plugin(trainer: Any) -> Any:
    return getattr(trainer.accelerator.state, "fsdp_plugin", None)


class Wrapping(TrainerCallback):  # type: ignore[misc]
    """Checks and logs the wrapper when steps begin; lets the final model be saved whole.

    Args:
        trainer: whose model is wrapped.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Check that the model is wrapped as was asked for."""
        model = self._trainer.model_wrapped
        check_wrapped(wrapper_asked_for(args), model)
        if args.world_size > 1 and state.is_world_process_zero:
            logger.info("%d processes, wrapper %s", args.world_size, active_wrapper(model))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Have FSDP gather the weights: Trainer saves no model as SHARDED_STATE_DICT."""
        plugin = _fsdp_plugin(self._trainer)
        if plugin is not None:
            plugin.set_state_dict_type("FULL_STATE_DICT")


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")
