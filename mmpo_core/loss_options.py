"""Which options belong to which loss: checked against LOSSES and REWARD_LOSSES, not by name here.

An option that the chosen loss would not read is refused, as it would look as if it had an effect.
Read by train_options.py, which imports this when options are checked: torch comes with it.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mmpo_core.errors import InputError, lookup
from mmpo_core.losses import OBJECTIVES, Loss

if TYPE_CHECKING:
    from mmpo_core.train_options import TrainOptions

# objective -> options that only it has; those of single losses stand in the losses' entries
_REFERENCE = ("reference", "reference_logps", "reference_cache")
_ONLY = {"policy": ("beta", *_REFERENCE, "sft_weight"), "reward": ("center_rewards",)}
_NAMES = {"policy": "policies", "reward": "reward models"}


def chosen_loss(options: "TrainOptions") -> Loss:
    """Return the entry of the loss that `options` ask for.

    Raises:
        InputError: if the objective has no loss of that name.
    """
    other = next(name for name in OBJECTIVES if name != options.objective)
    known = OBJECTIVES[options.objective]
    if options.loss not in known and options.loss in OBJECTIVES[other]:
        raise InputError(
            f"loss {options.loss!r} is for {_NAMES[other]}. Losses of {_NAMES[options.objective]}: "
            f"{', '.join(known)}"
        )
    return lookup("loss", options.loss, known)


def resolved_loss_options(options: "TrainOptions") -> "TrainOptions":
    """Return the options with the defaults of their loss filled in.

    Raises:
        InputError: for an option that the loss does not have, or a gamma it cannot work with.
    """
    loss = chosen_loss(options)
    _refuse_other_objective(options)
    _refuse_other_losses(options, loss)
    given = _given(options, _REFERENCE)
    if loss.reference_free and given:
        raise InputError(f"loss {options.loss} uses no reference model; leave {given[0]} out")
    for name in ("gamma", "eval_gamma"):
        if loss.reads == "target_gap" and getattr(options, name) == math.inf:
            raise InputError(
                f"loss {options.loss} wants a reward gap of gamma * margin, which {name} inf makes "
                f"infinite. Give a finite {name}, or a loss with hard labels"
            )
    defaults = dict(loss.options)
    if options.objective == "policy":
        defaults["beta"] = loss.beta
    missing: dict[str, Any] = {
        name: value for name, value in defaults.items() if getattr(options, name) is None
    }
    return dataclasses.replace(options, **missing)


def loss_keywords(options: "TrainOptions") -> dict[str, float]:
    """Return the keywords of the chosen loss, from options that have been resolved."""
    return {name: getattr(options, name) for name in chosen_loss(options).options}


def _refuse_other_objective(options: "TrainOptions") -> None:
    for objective, names in _ONLY.items():
        given = _given(options, names)
        if objective != options.objective and given:
            raise InputError(
                f"{given[0]} is for {_NAMES[objective]}; {_NAMES[options.objective]} have none. "
                "Leave it out"
            )


def _given(options: "TrainOptions", names: Iterable[str]) -> list[str]:
    """Return those of the named options that are not at their defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    return [name for name in names if getattr(options, name) != defaults[name]]


def _refuse_other_losses(options: "TrainOptions", loss: Loss) -> None:
    readers: dict[str, list[str]] = {}
    for losses in OBJECTIVES.values():
        for name, entry in losses.items():
            for option in entry.options:
                readers.setdefault(option, []).append(name)
    for option, names in readers.items():
        if option not in loss.options and getattr(options, option) is not None:
            raise InputError(
                f"{option} is for loss {' and '.join(names)}; loss is {options.loss}. Leave it out"
            )
