"""What `train` can be asked for: every option, its meaning and its default, said once.

Those that `sft` has too are in run_options.py.

The command line (margintool/cli/train.py), configuration files and presets are all made from this
class. No torch here: `margintool train --help` stays quick. Read next: train.py.
"""

import dataclasses
import math
from pathlib import Path
from typing import Literal

from mmpo_core.bradley_terry import check_gamma
from mmpo_core.errors import InputError
from mmpo_core.run_options import Ranges, RunOptions, check_evaluation, check_ranges, checked_run


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(RunOptions):
    """Options of `train`, beside those of RunOptions.

    Args:
        pairs: Pair file to train on, as `margintool score` writes it.
        objective: Train a policy (language model), or a reward model.
        loss: What is minimised (see `margintool losses`); hard and offset are for reward models,
            mmpo for both.
        beta: Strength of the pull to the reference model; the loss's own default if not given, 0.1
            for most.
        gamma: Recompute targets as sigma(gamma * margin); 0 gives 0.5, inf hard labels; the file's
            own p_chosen if not given.
        margin_column: The margin that gamma multiplies; margin_raw is in the source's own unit.
        label_smoothing: Share of labels taken to be wrong, for losses cdpo and robust; 0.1 if not
            given.
        simpo_margin: Reward gap that loss simpo wants of every pair, its paper's gamma; 0.5 if not
            given.
        sft_weight: How much of the chosen answers' mean negative log-prob per token is added to a
            policy's loss.
        center_rewards: How much of the squared sum of a pair's two rewards is added to a reward
            model's loss; 0.01 keeps rewards around zero.
        use_weights: Weigh pairs by the file's weight over its mean.
        reference: Reference model; the model before training if not given.
        reference_logps: When they are computed: precomputed once before training, with one model in
            memory at a time, or online at every step, with the reference model kept in memory.
        reference_cache: Folder where the reference's log-probs are kept for other runs; none keeps
            nothing; margintool/reference in the user's cache folder if not given.
        max_prompt_length: Most tokens of a prompt; the end of a longer one is kept.
        split_seed: Seed of the split; seed if not given.
        eval_pairs: Pair file to evaluate on, instead of a split.
        eval_gamma: Targets of the held-out pairs are sigma(eval_gamma * margin), or with `file` the
            file's own p_chosen; like those of the training pairs if not given.
    """

    pairs: Path
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
    max_prompt_length: int | None = None
    split_seed: int | None = None
    eval_pairs: Path | None = None
    eval_gamma: float | Literal["file"] | None = None

    @property
    def task(self) -> str:
        """What is made of the model: policy or reward."""
        return self.objective

    @property
    def title(self) -> str:
        """The run in a few words, for its plot."""
        return f"{self.model}, {self.objective}, {self.loss}"

    @property
    def models_read(self) -> dict[str, str | None]:
        """Role -> name of each model that the run starts from."""
        return {"model": self.model, "reference": self.reference}


def checked_options(options: TrainOptions) -> TrainOptions:
    """Return the options with every value in its field's type, and the loss's own defaults.

    Raises:
        InputError: for a wrong type, a value out of range, a combination that makes no sense.
    """
    options = checked_run(options)
    check_ranges(options, _RANGES)
    if options.gamma is not None:
        check_gamma(options.gamma)
    elif options.margin_column == "margin_raw":
        raise InputError(
            "margin_column margin_raw needs a gamma: the file's own targets come from margin"
        )
    if options.reference_logps == "online" and options.reference_cache is not None:
        raise InputError("reference_logps online keeps no log-probs: leave reference_cache out")
    if options.max_prompt_length is not None and options.max_prompt_length >= options.max_length:
        raise InputError(
            f"max_prompt_length ({options.max_prompt_length}) must be below max_length "
            f"({options.max_length}), or no answer fits"
        )
    check_evaluation(options, "eval_pairs", ("eval_steps", "eval_gamma"))
    if isinstance(options.eval_gamma, float):
        check_gamma(options.eval_gamma, "eval_gamma")
    from mmpo_core.loss_options import resolved_loss_options  # which imports torch

    return resolved_loss_options(options)


_RANGES: Ranges = {
    "beta": (lambda v: 0 < v < math.inf, "a number > 0"),
    "split_seed": (lambda v: 0 <= v < 2**32, "a whole number >= 0 and < 2^32"),
    "label_smoothing": (lambda v: 0 <= v < 0.5, "a number >= 0 and < 0.5"),
    "simpo_margin": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "sft_weight": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "center_rewards": (lambda v: 0 <= v < math.inf, "a number >= 0"),
    "max_prompt_length": (lambda v: v >= 1, "a whole number >= 1"),
}
