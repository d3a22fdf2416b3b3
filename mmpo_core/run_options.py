"""Options that `train` and `sft` share: how a model is loaded, trained, saved and reported.

train_options.py and sft/options.py add what each trains on. No torch here.
"""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

from mmpo_core.adapter_options import AdapterOptions, check_adapter_options
from mmpo_core.errors import InputError
from mmpo_core.options import plain_values
from mmpo_core.typed_values import typed

Options = TypeVar("Options", bound="RunOptions")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(AdapterOptions):
    """Options of every training run, beside those of adapters.

    Args:
        model: Name from `margintool models`, hub id, or folder of the model to start from.
        out: Folder for the trained model; runs/MODEL-TASK if not given (policy, reward or sft).
        lr: Peak learning rate; tiny wants 3e-4 to 1e-3.
        epochs: Passes over the data.
        max_steps: Stop after this many optimizer steps, whatever the epochs.
        batch_size: Pairs, or conversations for `sft`, per optimizer step.
        micro_batch_size: Most of them in a forward pass; only tokens_per_batch bounds it if not
            given.
        tokens_per_batch: Most tokens in a forward pass, padding included; less takes less memory
            and changes nothing else; 1024 on a CPU and 8192 on an accelerator if not given.
        packing: How texts lie in rows: shared puts several texts in a row, and computes a pair's
            prompt once for both answers; padded computes each conversation in a row of its own;
            auto shares if the model gives the same log-probs both ways.
        max_length: Most tokens of a conversation: prompt and answer together.
        overlong: What to do with a pair or conversation over the limit.
        seed: Seed of shuffling, of the split, and of a reward model's new head.
        eval_split: Share held out for evaluation: of prompts, with all their pairs, or of
            conversations; 0 for none.
        warmup_ratio: Share of the steps in which the learning rate rises, rounded down.
        scheduler: Course of the learning rate after warm-up; constant has no warm-up.
        weight_decay: Decoupled weight decay.
        max_grad_norm: Largest gradient norm; larger ones are scaled down.
        optimizer: A transformers optimizer name, such as adamw_torch or adafactor.
        bf16: Compute in bfloat16 (autocast).
        dtype: Type the weights are loaded, trained and saved in; bfloat16 halves the memory and
            rounds small updates away.
        gradient_checkpointing: Recompute activations in the backward pass to save memory.
        attn_implementation: Attention kernel: sdpa, eager, or on a GPU flex_attention, which skips
            what packed rows mask; others, such as flash_attention_2, take padded rows only.
        compile: Compile the model with torch.compile; pays in long runs.
        liger: Compute norms, rotary positions and feed-forward layers by Liger's fused kernels, for
            architectures that they know; needs a GPU and margintool[liger].
        logging_steps: Optimizer steps between log entries.
        eval_steps: Optimizer steps between evaluations; only at the end if not given.
        save_steps: Optimizer steps between checkpoints.
        save_total_limit: Number of checkpoints kept.
        report_to: Where metrics go as well, such as tensorboard or wandb.
        push_to_hub: Repository on the Hugging Face hub that the finished model and its card are
            uploaded to, OWNER/NAME; made if it is not there.
        hub_private: Make that repository private if it is new.
        resume: Go on from the last complete checkpoint in the output folder.
        trust_remote_code: Run code that comes with a hub model.
        revision: Branch, tag or commit of a hub model.
        limit: Read only the first pairs or rows.
        overwrite: Replace an earlier run in the output folder.
        device: Where to compute: auto takes a GPU where there is one.
        set: A field of transformers.TrainingArguments that has no option here, as KEY=VALUE.
    """

    model: str
    out: Path | None = None
    lr: float = 1e-6
    epochs: float = 1.0
    max_steps: int | None = None
    batch_size: int = 64
    micro_batch_size: int | None = None
    tokens_per_batch: int | None = None
    packing: Literal["auto", "shared", "padded"] = "auto"
    max_length: int = 1024
    overlong: Literal["truncate", "drop", "error"] = "truncate"
    seed: int = 42
    eval_split: float = 0.05
    warmup_ratio: float = 0.1
    scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    optimizer: str = "adamw_torch"
    bf16: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    attn_implementation: str | None = None
    compile: bool = False
    liger: bool = False
    logging_steps: int = 5
    eval_steps: int | None = None
    save_steps: int = 200
    save_total_limit: int = 2
    report_to: str = "none"
    push_to_hub: str | None = None
    hub_private: bool = False
    resume: bool = False
    trust_remote_code: bool = False
    revision: str | None = None
    limit: int | None = None
    overwrite: bool = False
    device: Literal["auto", "cpu"] = "auto"
    set: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """What is made of the model, in a word: policy, reward or sft."""
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        """The output folder: `out`, or runs/MODEL-TASK."""
        if self.out is not None:
            return Path(self.out)
        return Path("runs") / f"{Path(self.model).name}-{self.task}"

    @property
    def title(self) -> str:
        """The run in a few words, for its plot."""
        return f"{self.model}, {self.task}"

    @property
    def models_read(self) -> dict[str, str | None]:
        """Role -> name of each model that the run starts from."""
        return {"model": self.model}

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain values that JSON and YAML hold."""
        return plain_values(self)


def checked_run(options: Options) -> Options:
    """Return the options with every value in its field's type.

    Raises:
        InputError: for a wrong type, a shared value out of range, a combination that makes no
            sense.
    """
    hints = get_type_hints(type(options))
    names = [field.name for field in dataclasses.fields(options)]
    values = {name: typed(getattr(options, name), hints[name], name) for name in names}
    options = dataclasses.replace(options, **values)
    check_ranges(options, _RANGES)
    check_adapter_options(options)
    # a ratio that was left at its default is no contradiction: there is no warm-up then
    if options.scheduler == "constant" and options.warmup_ratio not in (
        0,
        type(options).warmup_ratio,
    ):
        raise InputError(
            f"warmup_ratio {options.warmup_ratio}: scheduler constant has no warm-up. Give "
            "scheduler constant_with_warmup, or warmup_ratio 0"
        )
    if options.hub_private and options.push_to_hub is None:
        raise InputError("hub_private is for push_to_hub, which is not given")
    if options.resume and options.overwrite:
        raise InputError("resume goes on with a run and overwrite replaces it: give one of them")
    return options


def check_evaluation(options: RunOptions, given_by: str, wanting: Iterable[str]) -> None:
    """Raise InputError if options disagree on what to evaluate on.

    Args:
        options: of the run.
        given_by: the option that names what to evaluate on.
        wanting: options that want something to evaluate on.
    """
    given = getattr(options, given_by) is not None
    if given and options.eval_split != type(options).eval_split:
        raise InputError(
            f"{given_by} and eval_split both say what to evaluate on: give one of them"
        )
    for name in wanting:
        if not given and options.eval_split == 0 and getattr(options, name) is not None:
            raise InputError(f"{name}: nothing is held out to evaluate on. Give an eval_split")


# field -> (test, what it must be); checked where a value is given
Ranges = dict[str, tuple[Any, str]]
_RANGES: Ranges = {
    "lr": (lambda v: 0 <= v <= 1e30, "a number from 0 to 1e30"),
    "epochs": (lambda v: 0 < v < math.inf, "a number > 0"),
    "eval_split": (lambda v: 0 <= v < 1, "a share >= 0 and < 1"),
    "warmup_ratio": (lambda v: 0 <= v < 1, "a share >= 0 and < 1"),
    "weight_decay": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "max_grad_norm": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "seed": (lambda v: 0 <= v < 2**32, "a whole number >= 0 and < 2^32"),
    **{
        name: (lambda v: v >= 1, "a whole number >= 1")
        for name in (
            "max_steps batch_size micro_batch_size tokens_per_batch logging_steps eval_steps "
            "save_steps save_total_limit limit"
        ).split()
    },
    "max_length": (lambda v: v >= 2, "a whole number >= 2"),
}


def check_ranges(options: Any, ranges: Ranges) -> None:
    """Raise InputError for the first value given that is out of its range."""
    for name, (good, wanted) in ranges.items():
        value = getattr(options, name)
        if value is not None and not good(value):
            raise InputError(f"{name} must be {wanted}, got {value}")
