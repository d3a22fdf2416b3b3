"""What options of TRL, transformers and other commands are called, to tell of unknown ones.

Read by config_file.py and the command line.
"""

from collections.abc import Collection

_DATA = ("pairs", "data", "input", "prompts")
_MODEL = ("model", "models", "policy")
# name elsewhere -> names here, of which a command has some
_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "learning_rate": ("lr",),
    "num_train_epochs": ("epochs",),
    "num_epochs": ("epochs",),
    "per_device_train_batch_size": ("batch_size", "tokens_per_batch"),
    "train_batch_size": ("batch_size",),
    "gradient_accumulation_steps": ("batch_size", "tokens_per_batch"),
    "output_dir": ("out",),
    "model_name_or_path": _MODEL,
    "model_name": _MODEL,
    "ref_model": ("reference",),
    "dataset": _DATA,
    "dataset_name": _DATA,
    "train_file": _DATA,
    "max_seq_length": ("max_length",),
    "max_completion_length": ("max_new_tokens", "max_length"),
    "lr_scheduler_type": ("scheduler",),
    "optim": ("optimizer",),
    "loss_type": ("loss",),
    "lora_r": ("lora_rank",),
    "lora_target_modules": ("lora_targets",),
    "load_in_4bit": ("quantize",),
    "torch_compile": ("compile",),
    "use_liger_kernel": ("liger",),
    "resume_from_checkpoint": ("resume",),
    "overwrite_output_dir": ("overwrite",),
    # of other commands here
    "lr": ("learning_rate",),
    "model": ("base_model", "models", "policy"),
}


def names_here(name: str, known: Collection[str]) -> list[str]:
    """Return what an option `name` of elsewhere is called among the `known` ones, if anything."""
    return [one for one in _OTHER_NAMES.get(name, ()) if one in known]
