"""The options of `margintool similarity fit`: name, default and help text, once."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from mmpo_core.errors import InputError
from mmpo_core.typed_values import typed

DEVICES = ("cpu", "cuda", "cuda:0", "mps")


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What is fitted, to which margins, and how.

    Args:
        pairs: Pair file with known margins, made by `margintool score`.
        out: Folder for the fitted model.
        base_model: Model to start from, hub id or folder: of sentence-transformers, or a plain
            transformers encoder. If not given sentence-transformers/all-MiniLM-L6-v2, and with
            --cross-encoder cross-encoder/stsb-distilroberta-base.
        cross_encoder: Fit a cross-encoder, which reads prompt, chosen and rejected at once:
            slower, and finer.
        with_prompt: Embed prompt and answer together, as `score --with-prompt` does with the
            model; a cross-encoder reads the prompt in any case.
        epochs: Passes over the training pairs.
        batch_size: Pairs per optimizer step.
        learning_rate: Peak learning rate.
        warmup: Share of the steps in which the learning rate rises.
        max_length: Most tokens that the model reads at once, also once it is fitted; fewer are
            faster. The base model's own limit if not given.
        eval_fraction: Share of prompts held out to choose the best checkpoint.
        test_fraction: Share of prompts held out for the figures that are reported.
        checkpoints: How often in a run the model is measured on the held-out pairs and kept, as
            a place from which --resume goes on.
        max_pairs: Use at most so many pairs of the file, a seeded sample; 0 uses all.
        seed: Of the split, of shuffling and of a new head.
        device: Where the model runs: cpu, cuda or mps; the fastest there is if not given. Another
            GPU than the first is picked with CUDA_VISIBLE_DEVICES.
        dtype: What training computes in; weights stay float32.
        resume: Go on with an interrupted fit from its last checkpoint.
        overwrite: Replace an earlier fit in the folder, once the new one is finished.
    """

    pairs: Path
    out: Path
    base_model: str | None = None
    cross_encoder: bool = False
    with_prompt: bool = False
    epochs: float = 3.0
    batch_size: int = 16
    learning_rate: float = 2e-5
    warmup: float = 0.1
    max_length: int | None = None
    eval_fraction: float = 0.1
    test_fraction: float = 0.2
    checkpoints: int = 10
    max_pairs: int = 0
    seed: int = 0
    device: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    resume: bool = False
    overwrite: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the options as plain values that JSON holds."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


# field -> (test, what it must be)
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda v: 0 < v <= 1e6, "a number > 0, at most 1e6"),
    "batch_size": (lambda v: v >= 1, "at least 1"),
    "learning_rate": (lambda v: 0 < v <= 1, "a number > 0 and <= 1"),
    "warmup": (lambda v: 0 <= v < 1, "a share >= 0 and < 1"),
    "max_length": (lambda v: v is None or v >= 8, "at least 8"),
    "eval_fraction": (lambda v: 0 < v < 1, "a share > 0 and < 1"),
    "test_fraction": (lambda v: 0 < v < 1, "a share > 0 and < 1"),
    "checkpoints": (lambda v: v >= 1, "at least 1"),
    "max_pairs": (lambda v: v >= 0, "0 or more"),
    "seed": (lambda v: 0 <= v < 2**32, "a whole number >= 0 and < 2^32"),
    "device": (lambda v: v is None or v in DEVICES, f"one of {', '.join(DEVICES)}"),
}


def checked_fit_options(options: FitOptions) -> FitOptions:
    """Return the options with every value in its field's type.

    Raises:
        InputError: for a wrong type, a value out of range, or options that exclude one another.
    """
    hints = get_type_hints(FitOptions)
    options = FitOptions(
        **{name: typed(getattr(options, name), hint, _shown(name)) for name, hint in hints.items()}
    )
    for name, (good, wanted) in _RANGES.items():
        if not good(getattr(options, name)):
            raise InputError(f"{_shown(name)} must be {wanted}, got {getattr(options, name)}")
    if options.eval_fraction + options.test_fraction >= 1:
        raise InputError("--eval-fraction and --test-fraction leave no prompts to train on")
    if options.resume and options.overwrite:
        raise InputError(
            "--resume goes on with a fit and --overwrite replaces it: give one of them"
        )
    if options.cross_encoder and options.with_prompt:
        raise InputError(
            "--with-prompt: a cross-encoder reads the prompt in any case. Leave it out"
        )
    if options.base_model is not None and not options.base_model.strip():
        raise InputError("--base-model: name a model, a hub id or a folder")
    return options


def _shown(name: str) -> str:
    return f"--{name.replace('_', '-')}"
