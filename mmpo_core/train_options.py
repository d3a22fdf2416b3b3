"""What `train` can be asked for: every option, its meaning and its default, said once.

The command line (margintool/cli/train.py), configuration files and presets are all made from this
class. No torch here: `margintool train --help` stays quick. Read next: train.py.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal, get_type_hints

from mmpo_core.bradley_terry import check_gamma
from mmpo_core.errors import InputError
from mmpo_core.typed_values import typed


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of `train`.

    Args:
        pairs: pair file to train on, as `margintool score` writes it
        model: name from `margintool models`, hub id, or folder of the model to start from
        out: folder for the trained model; runs/MODEL-OBJECTIVE if not given
        objective: train a policy (language model), or a reward model
        loss: what is minimised (see `margintool losses`); hard and offset are for reward models,
            mmpo for both
        beta: strength of the pull to the reference model; the loss's own default if not given, 0.1
            for most
        gamma: recompute targets as sigma(gamma * margin); 0 gives 0.5, inf hard labels; the file's
            own p_chosen if not given
        margin_column: the margin that gamma multiplies; margin_raw is in the source's own unit
        label_smoothing: share of labels taken to be wrong, for losses cdpo and robust; 0.1 if not
            given
        simpo_margin: reward gap that loss simpo wants of every pair, its paper's gamma; 0.5 if not
            given
        sft_weight: how much of the chosen answers' mean negative log-prob per token is added to a
            policy's loss
        center_rewards: how much of the squared sum of a pair's two rewards is added to a reward
            model's loss; 0.01 keeps rewards around zero
        use_weights: weigh pairs by the file's weight over its mean
        reference: reference model; the model before training if not given
        reference_logps: precomputed once before training, with one model in memory at a time, or
            online at every step, with the reference model kept in memory
        reference_cache: folder where the reference's log-probs are kept for other runs; none keeps
            nothing; margintool/reference in the user's cache folder if not given
        lr: peak learning rate; tiny wants 3e-4 to 1e-3
        epochs: passes over the pairs
        max_steps: stop after this many optimizer steps, whatever the epochs
        batch_size: pairs per optimizer step
        micro_batch_size: most pairs in a forward pass; only tokens_per_batch bounds it if not given
        tokens_per_batch: most tokens in a forward pass, padding included; less takes less memory
            and changes nothing else; 1024 on a CPU and 8192 on an accelerator if not given
        packing: shared computes a pair's prompt once for both answers, several pairs in a row;
            padded computes each conversation apart; auto shares if the model gives the same
            log-probs both ways
        max_length: most tokens of prompt and answer together
        max_prompt_length: most tokens of a prompt; the end of a longer one is kept
        overlong: what to do with a pair over the limit
        seed: seed of shuffling, of the split, and of a reward model's new head
        eval_split: share of prompts held out for evaluation, with all their pairs; 0 for none
        eval_pairs: pair file to evaluate on, instead of a split
        warmup_ratio: share of the steps in which the learning rate rises, rounded down
        scheduler: course of the learning rate after warm-up
        weight_decay: decoupled weight decay
        max_grad_norm: largest gradient norm; larger ones are scaled down
        optimizer: a transformers optimizer name, such as adamw_torch or adafactor
        bf16: compute in bfloat16 (autocast)
        dtype: type the weights are loaded, trained and saved in; bfloat16 halves the memory and
            rounds small updates away
        gradient_checkpointing: recompute activations in the backward pass to save memory
        attn_implementation: attention kernel: sdpa, eager, or on a GPU flex_attention, which skips
            what packed rows mask; others, such as flash_attention_2, take padded rows only
        compile: compile the model with torch.compile; pays in long runs
        logging_steps: optimizer steps between log entries
        eval_steps: optimizer steps between evaluations; only at the end if not given
        save_steps: optimizer steps between checkpoints
        save_total_limit: number of checkpoints kept
        report_to: where metrics go as well, such as tensorboard or wandb
        resume: go on from the last complete checkpoint in the output folder
        trust_remote_code: run code that comes with a hub model
        revision: branch, tag or commit of a hub model
        limit: read only the first pairs
        overwrite: replace an earlier run in the output folder
        device: auto takes a GPU where there is one
        set: a field of transformers.TrainingArguments that has no option here, as KEY=VALUE
    """

    pairs: Path
    model: str
    out: Path | None = None
    objective: Literal["policy", "reward"] = "policy"
    loss: Literal[
        "mmpo",
        "mmpo-norm",
        "dpo",
        "cdpo",
        "robust",
        "ipo",
        "hinge",
        "odpo",
        "rpo",
        "simpo",
        "simpo-mm",
        "hard",
        "offset",
    ] = "mmpo"
    beta: float | None = None
    gamma: float | None = None
    margin_column: Literal["margin", "margin_raw"] = "margin"
    label_smoothing: float | None = None
    simpo_margin: float | None = None
    sft_weight: float = 0.0
    center_rewards: float = 0.0
    use_weights: bool = False
    reference: str | None = None
    reference_logps: Literal["precomputed", "online"] = "precomputed"
    reference_cache: str | None = None
    lr: float = 1e-6
    epochs: float = 1.0
    max_steps: int | None = None
    batch_size: int = 64
    micro_batch_size: int | None = None
    tokens_per_batch: int | None = None
    packing: Literal["auto", "shared", "padded"] = "auto"
    max_length: int = 1024
    max_prompt_length: int | None = None
    overlong: Literal["truncate", "drop", "error"] = "truncate"
    seed: int = 42
    eval_split: float = 0.05
    eval_pairs: Path | None = None
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
    logging_steps: int = 5
    eval_steps: int | None = None
    save_steps: int = 200
    save_total_limit: int = 2
    report_to: str = "none"
    resume: bool = False
    trust_remote_code: bool = False
    revision: str | None = None
    limit: int | None = None
    overwrite: bool = False
    device: Literal["auto", "cpu"] = "auto"
    set: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The output folder: `out`, or runs/MODEL-OBJECTIVE."""
        if self.out is not None:
            return Path(self.out)
        return Path("runs") / f"{Path(self.model).name}-{self.objective}"

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain values that JSON and YAML hold."""
        return {
            name: str(value) if isinstance(value, Path) or value == math.inf else value
            for name, value in dataclasses.asdict(self).items()
        }


def checked_options(options: TrainOptions) -> TrainOptions:
    """Return the options with every value in its field's type, and the loss's own defaults.

    Raises:
        InputError: for a wrong type, a value out of range, a combination that makes no sense.
    """
    hints = get_type_hints(TrainOptions)
    values = {name: typed(getattr(options, name), hints[name], name) for name in hints}
    options = TrainOptions(**values)
    _check_ranges(options)
    if options.gamma is not None:
        check_gamma(options.gamma)
    elif options.margin_column == "margin_raw":
        raise InputError(
            "margin_column margin_raw needs a gamma: the file's own targets come from margin"
        )
    if options.reference_logps == "online" and options.reference_cache is not None:
        raise InputError("reference_logps online keeps no log-probs: leave reference_cache out")
    if options.resume and options.overwrite:
        raise InputError("resume goes on with a run and overwrite replaces it: give one of them")
    if options.max_prompt_length is not None and options.max_prompt_length >= options.max_length:
        raise InputError(
            f"max_prompt_length ({options.max_prompt_length}) must be below max_length "
            f"({options.max_length}), or no answer fits"
        )
    if options.eval_steps and options.eval_pairs is None and options.eval_split == 0:
        raise InputError("eval_steps: nothing is held out to evaluate on. Give an eval_split")
    if options.eval_pairs is not None and options.eval_split != _DEFAULTS["eval_split"]:
        raise InputError("eval_pairs and eval_split both say what to evaluate on: give one of them")
    from mmpo_core.loss_options import resolved_loss_options  # which imports torch

    return resolved_loss_options(options)


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainOptions)}

# field -> (test, what it must be); checked where a value is given
_RANGES: dict[str, tuple[Any, str]] = {
    "beta": (lambda v: 0 < v < math.inf, "a number > 0"),
    "lr": (lambda v: 0 <= v <= 1e30, "a number from 0 to 1e30"),
    "epochs": (lambda v: 0 < v < math.inf, "a number > 0"),
    "label_smoothing": (lambda v: 0 <= v < 0.5, "a number >= 0 and < 0.5"),
    "simpo_margin": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "sft_weight": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "center_rewards": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "eval_split": (lambda v: 0 <= v < 1, "a share >= 0 and < 1"),
    "warmup_ratio": (lambda v: 0 <= v < 1, "a share >= 0 and < 1"),
    "weight_decay": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "max_grad_norm": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "seed": (lambda v: 0 <= v < 2**32, "a whole number >= 0 and < 2^32"),
    **{
        name: (lambda v: v >= 1, "a whole number >= 1")
        for name in (
            "max_steps batch_size micro_batch_size tokens_per_batch max_prompt_length "
            "logging_steps eval_steps "
            "save_steps save_total_limit limit"
        ).split()
    },
    "max_length": (lambda v: v >= 2, "a whole number >= 2"),
}


def _check_ranges(options: TrainOptions) -> None:
    for name, (good, wanted) in _RANGES.items():
        value = getattr(options, name)
        if value is not None and not good(value):
            raise InputError(f"{name} must be {wanted}, got {value}")
