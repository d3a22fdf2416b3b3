"""RunOptions as transformers.TrainingArguments, and `--set KEY=VALUE` for everything else.

Read by train.py.
"""

import dataclasses
import math
import sys
from collections.abc import Iterable
from typing import Any

from mmpo_core.checkpoints import last_checkpoint
from mmpo_core.errors import InputError, nearest
from mmpo_core.liger import require_liger
from mmpo_core.processes import launched
from mmpo_core.run_options import RunOptions

_ITSELF = "the run sets this itself"
_ROUNDS = "evaluation would round the weights, and they are saved rounded; use --bf16"
_NO_LENGTHS = "the pairs have no column of lengths"
# Trainer's own upload is of every checkpoint, with a card that knows nothing of pairs; and a token
# given here would stand in run.json
_HUB_FIELDS = (
    "push_to_hub hub_model_id hub_strategy hub_token hub_private_repo hub_always_push hub_revision"
).split()
# TrainingArguments field -> why --set does not take it. What has an option of its own would differ
# from what run.json and the preset say.
_REFUSED = {
    "output_dir": "use --out",
    "remove_unused_columns": _ITSELF,
    "resume_from_checkpoint": "use --resume",
    "learning_rate": "use --lr",
    "num_train_epochs": "use --epochs",
    "max_steps": "use --max-steps",
    "per_device_train_batch_size": "use --batch-size, and --tokens-per-batch for memory",
    "per_device_eval_batch_size": "use --tokens-per-batch",
    "gradient_accumulation_steps": "use --batch-size; --tokens-per-batch bounds a forward pass",
    "auto_find_batch_size": "use --tokens-per-batch; it changes memory and nothing else",
    "torch_compile": "use --compile",
    "lr_scheduler_type": "use --scheduler",
    "warmup_ratio": "use --warmup-ratio",
    "warmup_steps": "use --warmup-ratio",
    "weight_decay": "use --weight-decay",
    "max_grad_norm": "use --max-grad-norm",
    "optim": "use --optimizer",
    "bf16": "use --bf16",
    "seed": "use --seed",
    "data_seed": "use --seed",
    "logging_steps": "use --logging-steps",
    "eval_strategy": "use --eval-steps",
    "eval_steps": "use --eval-steps",
    "save_steps": "use --save-steps",
    "save_total_limit": "use --save-total-limit",
    "save_only_model": "a run could not be resumed without the optimizer's state",
    "report_to": "use --report-to",
    "use_cpu": "use --device cpu",
    "gradient_checkpointing": "use --gradient-checkpointing",
    "activation_checkpointing": "use --gradient-checkpointing",
    "bf16_full_eval": _ROUNDS,
    "fp16_full_eval": _ROUNDS,
    "fp16": "the reference is computed without it; use --bf16",
    "use_liger_kernel": "use --liger",
    "liger_kernel_config": "use --liger, which turns on the kernels that pairs can use",
    **dict.fromkeys(_HUB_FIELDS, "use --push-to-hub OWNER/NAME"),
    "label_smoothing_factor": "it has no effect on pairs; use --loss cdpo --label-smoothing",
    "neftune_noise_alpha": "its noise depends on what shares a row, and a policy would differ from "
    "its reference before the first step",
    "train_sampling_strategy": _NO_LENGTHS,
    "group_by_length": _NO_LENGTHS,
}


def training_arguments(options: RunOptions, *, evaluates: bool) -> Any:
    """Return the transformers.TrainingArguments of a run.

    Args:
        options: checked options.
        evaluates: whether anything is held out.

    Returns:
        All but warmup_steps, which build_trainer sets when it knows how much there is to train on.

    Raises:
        InputError: for batch sizes that do not divide, an unknown key, a value that transformers
            refuses, one that needs held-out pairs or a package that are not there, a launcher that
            asks for what would not be done, or a checkpoint of another wrapper.
    """
    from transformers import TrainingArguments

    from mmpo_core.wrappers import check_launch, check_resumable, load_whole

    fields = {
        "output_dir": str(options.folder),
        "remove_unused_columns": False,
        **_learning(options),
        **_bookkeeping(options),
        "eval_strategy": "steps" if evaluates and options.eval_steps else "no",
        **read_settings(options.set),
    }
    try:
        arguments = TrainingArguments(**fields)
    except (ValueError, TypeError, ImportError, OSError) as error:
        raise InputError(f"transformers refuses these options: {error}") from error
    _check_settings(arguments, evaluates=evaluates)
    check_launch(arguments, options.dtype)
    load_whole(arguments)
    if options.resume and (checkpoint := last_checkpoint(options.folder)):
        check_resumable(arguments, checkpoint)
    _check_kernels(options, on_cpu=runs_on_cpu(options))
    # Several GPUs in one process would mean DataParallel, which splits pairs apart: rows 0..B-1
    # are chosen, B..2B-1 rejected. `torchrun` or `accelerate launch` runs one process per GPU.
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def _check_kernels(options: RunOptions, *, on_cpu: bool) -> None:
    """Raise InputError for kernels that cannot train where the run is."""
    if options.liger:
        require_liger(on_cpu=on_cpu)
    if options.attn_implementation == "flex_attention" and on_cpu:
        raise InputError(
            "attn_implementation flex_attention needs a GPU: on a CPU it has no backward pass. "
            "Leave it out: sdpa does not compute there what packed rows mask either"
        )


def _check_settings(arguments: Any, *, evaluates: bool) -> None:
    """Raise InputError for what Trainer would find out about after the model is loaded."""
    if arguments.eval_on_start and not evaluates:
        raise InputError(
            "set eval_on_start: nothing is held out to evaluate on. Give an eval_split"
        )


def _learning(options: RunOptions) -> dict[str, Any]:
    """Return the fields that decide what is learnt."""
    on_cpu = runs_on_cpu(options)
    share = pairs_per_device(options, launched())
    return {
        # a batch is an optimizer step; StepTrainer cuts it into micro-batches
        "per_device_train_batch_size": share,
        "per_device_eval_batch_size": share,
        "gradient_accumulation_steps": 1,
        "learning_rate": options.lr,
        "num_train_epochs": options.epochs,
        "max_steps": options.max_steps or -1,
        "lr_scheduler_type": options.scheduler,
        "weight_decay": options.weight_decay,
        "max_grad_norm": options.max_grad_norm,
        "optim": options.optimizer,
        "bf16": options.bf16,
        _checkpointing_field(): options.gradient_checkpointing,
        # as Trainer chooses for a model without adapters; None leaves it to Trainer
        "ddp_find_unused_parameters": not options.gradient_checkpointing
        if options.lora_rank
        else None,
        "seed": options.seed,
        "data_seed": options.seed,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
    }


def runs_on_cpu(options: Any) -> bool:
    """Whether a run uses no GPU: its option `device` says so, or torch finds none."""
    import torch

    return options.device == "cpu" or not torch.accelerator.is_available()


def _bookkeeping(options: RunOptions) -> dict[str, Any]:
    """Return the fields that decide what is shown and kept."""
    return {
        "logging_steps": options.logging_steps,
        "logging_first_step": True,
        # a NaN loss must show, not be replaced by the mean of earlier ones
        "logging_nan_inf_filter": False,
        "eval_steps": options.eval_steps,
        "save_steps": options.save_steps,
        "save_total_limit": options.save_total_limit,
        "report_to": reporting(options.report_to),
        "disable_tqdm": not sys.stderr.isatty(),
    }


def _checkpointing_field() -> str:
    """Return the field's name: gradient_checkpointing was renamed within transformers 5."""
    from transformers import TrainingArguments

    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    new = "activation_checkpointing"
    return new if new in names else "gradient_checkpointing"


def warmup_steps(options: RunOptions, pairs: int) -> int:
    """Return the optimizer steps in which the learning rate rises, for a number of train pairs.

    Rounded down: Trainer rounds a ratio up, and a run of one step would train at lr 0.
    """
    # 9 places: 0.29 * 100 is 28.999999999999996
    return math.floor(round(options.warmup_ratio * optimizer_steps(options, pairs), 9))


def optimizer_steps(options: RunOptions, pairs: int) -> int:
    """Return the optimizer steps of a run on a number of train pairs."""
    return options.max_steps or math.ceil(options.epochs * math.ceil(pairs / options.batch_size))


def pairs_per_device(options: RunOptions, devices: int = 1) -> int:
    """Return the pairs of an optimizer step over the number of devices.

    Raises:
        InputError: if the batch size is not divisible by it.
    """
    share, rest = divmod(options.batch_size, devices)
    if rest:
        raise InputError(f"batch_size {options.batch_size} is not divisible by {devices} devices")
    return share


def read_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return TrainingArguments fields from KEY=VALUE texts; values are read as YAML.

    Raises:
        InputError: for a text without `=`, an unknown or refused key, or a value that is not
            YAML.
    """
    import yaml
    from transformers import TrainingArguments

    known = {f.name: f for f in dataclasses.fields(TrainingArguments) if f.init}
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"set {setting!r}: expected KEY=VALUE, such as adam_beta2=0.98")
        if key in _REFUSED:
            raise InputError(f"set {key}: {_REFUSED[key]}")
        if key not in known:
            raise InputError(
                f"set {key}: transformers.TrainingArguments has no such field.{nearest(key, known)}"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"set {key}: {text!r} is not a value in YAML") from error
        if value is False and key.endswith("_strategy"):
            value = "no"  # which YAML reads as false
        values[key] = _number_or_same(value)
    return values


def _number_or_same(value: Any) -> Any:
    """Return 1e-5, which YAML reads as text, as a number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def reporting(name: str) -> str:
    """Return `name` if metrics can be reported there.

    Raises:
        InputError: if transformers does not know it, or its package is not installed.
    """
    from transformers.integrations import get_available_reporting_integrations

    available = get_available_reporting_integrations()
    if name != "none" and name not in available:
        raise InputError(
            f"report_to {name!r}: unknown, or its package is not installed. Usable here: "
            f"{', '.join(['none', *available])}. `pip install margintool[tracking]` adds "
            "tensorboard and wandb"
        )
    return name
