"""Preference losses as pure functions on (B,) tensors; LOSSES lists them by name.

A loss takes the summed completion log-probs of the two answers under policy and reference model
and returns one unreduced loss per pair. With

    h = beta * [(log pi(yw|x) - log ref(yw|x)) - (log pi(yl|x) - log ref(yl|x))]

every loss but IPO is a function of h. A reward model has h = r(x, yw) - r(x, yl) and uses
`soft_bradley_terry` itself. Read next: logprobs.py (where log-probs come from), trainer.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch.nn.functional import logsigmoid

from mmpo_core.errors import InputError

Tensor = torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Loss:
    """An entry of LOSSES.

    Attributes:
        function: (policy_chosen_logps, policy_rejected_logps, reference_chosen_logps,
            reference_rejected_logps, target, *, beta, **options) -> losses, all (B,) tensors.
        equation: the loss in h, p = target and beta, as plain text.
        source: paper and equation.
        reads_target: whether the margin reaches the loss through the target.
        length_normalised: whether log-probs are means over tokens instead of sums.
        options: further keywords of the function with their defaults.
    """

    function: Callable[..., Tensor]
    equation: str
    source: str
    reads_target: bool = False
    length_normalised: bool = False
    options: Mapping[str, float] = field(default_factory=dict)


def soft_bradley_terry(h: Tensor, target: Tensor | float) -> Tensor:
    """Return -p logsigmoid(h) - (1 - p) logsigmoid(-h), the cross-entropy against p = target.

    The minimum over h lies where sigma(h) = p, that is at h = gamma * margin for a target
    p = sigma(gamma * margin). Finite for any finite h: logsigmoid does not overflow.

    By hand: h = 0 gives ln 2 = 0.6931 for every p; h = ln 3, p = 3/4 gives the entropy of
    (3/4, 1/4), 3/4 ln(4/3) + 1/4 ln 4 = 0.5623.

    Args:
        h: (B,) log-odds that the chosen answer is better, by the model.
        target: (B,), or one number for all pairs; in [0, 1].

    Returns:
        (B,) losses.

    Raises:
        ValueError: if the shapes differ; (B, 1) against (B,) would broadcast to (B, B).
    """
    if isinstance(target, Tensor):
        same_shape(h=h, target=target)
    return -target * logsigmoid(h) - (1 - target) * logsigmoid(-h)


def log_ratio_gap(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
) -> Tensor:
    """Return h / beta: chosen minus rejected log-ratio of policy to reference, (B,) from (B,)."""
    same_shape(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        reference_chosen_logps=reference_chosen_logps,
        reference_rejected_logps=reference_rejected_logps,
    )
    chosen_ratio = policy_chosen_logps - reference_chosen_logps
    return chosen_ratio - (policy_rejected_logps - reference_rejected_logps)


def same_shape(**tensors: Tensor) -> None:
    """Raise ValueError unless all tensors are of one shape (B,)."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"a loss takes tensors of one shape (B,), got {listed}")


def mmpo(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    target: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Margin Matching Preference Optimization: -p logsigmoid(h) - (1 - p) logsigmoid(-h).

    Source: arXiv 2410.03145, section 3. p = 1 is DPO; p = 1/2 is symmetric in h.
    """
    gap = log_ratio_gap(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    return soft_bradley_terry(beta * gap, target)


def dpo(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    target: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Direct Preference Optimization: -logsigmoid(h). The target's strength is not read.

    Source: arXiv 2305.18290, equation 7.
    """
    gap = log_ratio_gap(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    same_shape(gap=gap, target=target)
    return -logsigmoid(beta * gap)


def ipo(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    target: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Identity Preference Optimization: (h / beta - 1 / (2 beta))^2. The target is not read.

    Source: arXiv 2310.12036, equation 17, with beta for the paper's tau. Log-probs are means over
    completion tokens, as in TRL: sums would make the square grow with the answers' length.
    By hand: h / beta = 0 and beta = 0.1 give (0 - 5)^2 = 25.
    """
    gap = log_ratio_gap(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    same_shape(gap=gap, target=target)
    return (gap - 1 / (2 * beta)) ** 2


def hinge(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    target: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Hinge loss on the same h: max(0, 1 - h). The target is not read.

    Source: SLiC-HF, arXiv 2305.10425, with the log-ratio to the reference model as in
    arXiv 2309.06657. By hand: h = 0.25 gives 0.75, h >= 1 gives 0.
    """
    gap = log_ratio_gap(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    same_shape(gap=gap, target=target)
    return torch.relu(1 - beta * gap)


def cdpo(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    target: Tensor,
    *,
    beta: float,
    label_smoothing: float,
) -> Tensor:
    """Conservative DPO: the MMPO loss with one p = 1 - label_smoothing for every pair.

    Source: Mitchell, "A note on DPO with noisy preferences & relationship to IPO" (2023).
    label_smoothing in [0, 0.5) is the share of labels taken to be wrong.
    """
    gap = log_ratio_gap(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    same_shape(gap=gap, target=target)
    if not 0 <= label_smoothing < 0.5:
        raise InputError(f"label_smoothing must lie in [0, 0.5), got {label_smoothing}")
    return soft_bradley_terry(beta * gap, 1 - label_smoothing)


LOSSES: dict[str, Loss] = {
    "mmpo": Loss(
        function=mmpo,
        equation="-p logsigmoid(h) - (1 - p) logsigmoid(-h)",
        source="MMPO, arXiv 2410.03145, section 3",
        reads_target=True,
    ),
    "dpo": Loss(
        function=dpo,
        equation="-logsigmoid(h)",
        source="DPO, arXiv 2305.18290, equation 7",
    ),
    "ipo": Loss(
        function=ipo,
        equation="(h / beta - 1 / (2 beta))^2, log-probs averaged over tokens",
        source="IPO, arXiv 2310.12036, equation 17",
        length_normalised=True,
    ),
    "hinge": Loss(
        function=hinge,
        equation="max(0, 1 - h)",
        source="SLiC-HF, arXiv 2305.10425",
    ),
    "cdpo": Loss(
        function=cdpo,
        equation="-(1 - e) logsigmoid(h) - e logsigmoid(-h), e = label_smoothing",
        source="conservative DPO, Mitchell 2023",
        options={"label_smoothing": 0.1},
    ),
}
