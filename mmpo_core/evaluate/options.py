"""What `evaluate` can be asked for: every option, its meaning and its default, said once.

The command line (margintool/cli/evaluate.py) is made from these classes. PredictOptions is what it
takes to run a model over pairs, whatever is measured on them: suites build on it. No torch here.
Read next: running.py.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

from mmpo_core.bradley_terry import check_gamma
from mmpo_core.calibration import BINS
from mmpo_core.errors import InputError
from mmpo_core.evaluate.breakdown import PARTS
from mmpo_core.evaluate.intervals import RESAMPLES, SEED
from mmpo_core.run_options import Ranges, check_ranges
from mmpo_core.typed_values import typed

Options = TypeVar("Options", bound="PredictOptions")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of running a model over pairs.

    What a run's run.json records is taken from there if not given; `train`'s own defaults stand in
    for a model without one.

    Args:
        reference: Reference model of policies; the one that the run had if not given.
        reference_free: Leave the reference model out of a policy's h, as SimPO does.
        loss: Policy loss whose h is measured (see `margintool losses`); the run's if not given, for
            a model without a run mmpo, or simpo-mm with reference_free.
        beta: How much of h one nat of log-prob is; the run's, or the loss's own default if not
            given.
        max_length: Most tokens of a conversation; as in the runs if not given, else 1024.
        max_prompt_length: Most tokens of a prompt; as in the runs if not given, else no limit.
        overlong: What to do with a pair over the limit; as in the runs if not given, else truncate.
        packing: How pairs lie in rows: shared computes a pair's prompt once for both answers;
            padded computes each conversation in a row of its own; auto shares if the model gives
            the same values both ways.
        tokens_per_batch: Most tokens in a forward pass, padding included; 1024 on a CPU and 8192 on
            an accelerator if not given.
        micro_batch_size: Most pairs in a forward pass; only tokens_per_batch bounds it if not
            given.
        bf16: Compute in bfloat16 (autocast); on a GPU if not given.
        dtype: Type the weights are loaded in; bfloat16 halves the memory.
        attn_implementation: Attention kernel, such as sdpa, eager or flex_attention.
        device: Where to compute: auto takes a GPU where there is one.
        reference_cache: Folder where log-probs and rewards are kept, by what the model computes;
            none keeps nothing; margintool/reference in the user's cache folder if not given.
        trust_remote_code: Run code that comes with a hub model.
        revision: Branch, tag or commit of a model on the hub, not of its reference.
    """

    reference: str | None = None
    reference_free: bool = False
    loss: str | None = None
    beta: float | None = None
    max_length: int | None = None
    max_prompt_length: int | None = None
    overlong: Literal["truncate", "drop", "error"] | None = None
    packing: Literal["auto", "shared", "padded"] = "auto"
    tokens_per_batch: int | None = None
    micro_batch_size: int | None = None
    bf16: bool | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    attn_implementation: str | None = None
    device: Literal["auto", "cpu"] = "auto"
    reference_cache: str | None = None
    trust_remote_code: bool = False
    revision: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(PredictOptions):
    """Options of `evaluate`, beside those of running a model.

    Args:
        models: Models to evaluate, each a run's folder, a model's or an adapter's folder, a hub id,
            or a name from `margintool models`; several are compared on the same pairs.
        data: Pair file to evaluate on, as `margintool score` writes it.
        out: Folder for evaluation.json, predictions and pictures.
        held_out: Take just the pairs that the models' runs held out; data is then the file that
            they were trained on.
        limit: Evaluate on the pairs of so many prompts, drawn by the seed.
        gamma: Targets are sigma(gamma * margin); inf for hard labels, or `file` for the file's own
            p_chosen; as on the held-out pairs of the runs if not given.
        margin_column: The margin that gamma multiplies; as in the runs if not given, else margin.
        bootstrap: Resamples of prompts behind the 95% intervals; 0 for none.
        bins: Bins of the calibration errors and the reliability diagram from 0 to 1, an even
            number.
        parts: Parts of the tables by margin and by difference in length.
        seed: Seed of the resamples, of the halves behind the temperature, and of limit.
    """

    models: tuple[str, ...]
    data: Path
    out: Path = Path("evaluation")
    held_out: bool = False
    limit: int | None = None
    gamma: float | Literal["file"] | None = None
    margin_column: Literal["margin", "margin_raw"] | None = None
    bootstrap: int = RESAMPLES
    bins: int = BINS
    parts: int = PARTS
    seed: int = SEED


def checked_options(options: Options) -> Options:
    """Return the options with every value in its field's type.

    Raises:
        InputError: for a wrong type, a value out of range, a combination that makes no sense.
    """
    hints = get_type_hints(type(options))
    names = [field.name for field in dataclasses.fields(options)]
    values: dict[str, Any] = {
        name: typed(getattr(options, name), hints[name], name) for name in names
    }
    options = dataclasses.replace(options, **values)
    check_ranges(options, {name: one for name, one in _RANGES.items() if name in values})
    if options.reference is not None and options.reference_free:
        raise InputError("reference and reference_free contradict each other: give one of them")
    if isinstance(options, EvaluateOptions):
        _check_evaluation(options)
    return options


def check_models(models: Sequence[str]) -> None:
    """Raise InputError unless there is a model, and each is given once."""
    if not models:
        raise InputError("models: name at least one model")
    twice = {name for name in models if models.count(name) > 1}
    if twice:
        raise InputError(f"model {min(twice)} is given twice")


def _check_evaluation(options: EvaluateOptions) -> None:
    check_models(options.models)
    if isinstance(options.gamma, float):
        check_gamma(options.gamma)
    elif options.margin_column == "margin_raw":
        raise InputError(
            "margin_column margin_raw needs a gamma: the file's own targets come from margin"
        )


_RANGES: Ranges = {
    "beta": (lambda v: 0 < v < math.inf, "a number > 0"),
    "seed": (lambda v: 0 <= v < 2**32, "a whole number >= 0 and < 2^32"),
    "bootstrap": (lambda v: v >= 0, "a whole number >= 0"),
    "bins": (lambda v: v >= 2 and v % 2 == 0, "an even number >= 2, for pairs count both ways"),
    "max_length": (lambda v: v >= 2, "a whole number >= 2"),
    **{
        name: (lambda v: v >= 1, "a whole number >= 1")
        for name in "max_prompt_length tokens_per_batch micro_batch_size limit parts".split()
    },
}
