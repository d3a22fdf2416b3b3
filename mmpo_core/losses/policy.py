"""LOSSES: what `train --objective policy` can minimise, and what h is for a policy.

With s(y) = log pi(y|x) - log ref(y|x), summed over the answer's tokens,

    h = beta * [s(yw) - s(yl)]

Length-normalised losses take the mean over tokens instead of the sum; reference-free ones leave
log ref out. beta * s(y) is the answer's implicit reward, the `rewards/...` of the log.
"""

import torch

from mmpo_core.losses import functions
from mmpo_core.losses.base import Loss, same_shape

Tensor = torch.Tensor

_SOFT = "-p logsigmoid(h) - (1 - p) logsigmoid(-h)"

LOSSES: dict[str, Loss] = {
    "mmpo": Loss(
        function=functions.soft_bradley_terry,
        equation=_SOFT,
        source="MMPO, arXiv 2410.03145",
        reads="target",
        hard_labels=False,
    ),
    "mmpo-norm": Loss(
        function=functions.soft_bradley_terry,
        equation=_SOFT,
        source="MMPO with the length-normalised DPO of Tulu 3, arXiv 2411.15124",
        reads="target",
        hard_labels=False,
        length_normalised=True,
        beta=5.0,
    ),
    "dpo": Loss(
        function=functions.hard,
        equation="-logsigmoid(h)",
        source="DPO, arXiv 2305.18290, equation 7",
    ),
    "cdpo": Loss(
        function=functions.smoothed,
        equation="-(1 - e) logsigmoid(h) - e logsigmoid(-h), e = label_smoothing",
        source='cDPO, equation 3 of Mitchell 2023, "A note on DPO with noisy preferences"',
        options={"label_smoothing": 0.1},
    ),
    "robust": Loss(
        function=functions.robust,
        equation="[-(1 - e) logsigmoid(h) + e logsigmoid(-h)] / (1 - 2e), e = label_smoothing",
        source="rDPO, arXiv 2403.00409",
        options={"label_smoothing": 0.1},
    ),
    "ipo": Loss(
        function=functions.ipo,
        equation="(h / beta - 1 / (2 beta))^2",
        # The mean is TRL's reading, agreed with the authors: a square of sums grows with length.
        source="IPO, arXiv 2310.12036, equation 17",
        reads_beta=True,
        length_normalised=True,
    ),
    "hinge": Loss(
        function=functions.hinge,
        equation="max(0, 1 - h)",
        source="SLiC-HF, arXiv 2305.10425; on the log-ratio as in RSO, arXiv 2309.06657",
    ),
    "odpo": Loss(
        function=functions.offset,
        equation="-logsigmoid(h - gamma m)",
        # there the offset is alpha * f(score gap); gamma * m has alpha and f in it already
        source="ODPO, arXiv 2402.10571, with offset gamma m",
        reads="target_gap",
    ),
    "rpo": Loss(
        function=functions.squared,
        equation="(h - gamma m)^2",
        source="RPO, arXiv 2406.11704, with the squared distance of arXiv 2502.00203",
        reads="target_gap",
        hard_labels=False,
    ),
    "simpo": Loss(
        function=functions.simpo,
        equation="-logsigmoid(h - simpo_margin)",
        source="SimPO, arXiv 2405.14734 (simpo_margin is its gamma)",
        length_normalised=True,
        reference_free=True,
        beta=2.0,
        options={"simpo_margin": 0.5},
    ),
    "simpo-mm": Loss(
        function=functions.soft_bradley_terry,
        equation=_SOFT,
        source="MMPO's target with the reward of SimPO, arXiv 2405.14734",
        reads="target",
        hard_labels=False,
        length_normalised=True,
        reference_free=True,
        beta=2.0,
    ),
}


def answer_scores(
    loss: Loss, logps: Tensor, reference_logps: Tensor | None, tokens: Tensor
) -> Tensor:
    """Return s(y), what the loss compares answers by: beta * s(y) is the implicit reward.

    By hand: log pi = -6, log ref = -9 and 3 tokens give 3, 1 if length-normalised, -6 without
    reference, -2 with neither sum nor reference.

    Args:
        loss: an entry of LOSSES.
        logps: (N,) sums of log pi over each answer's tokens.
        reference_logps: (N,) the same under the reference; None for reference-free losses.
        tokens: (N,) number of those tokens, at least 1.

    Raises:
        ValueError: if the shapes differ.
    """
    same_shape(logps=logps, tokens=tokens)
    scores = logps
    if reference_logps is not None:
        same_shape(logps=logps, reference_logps=reference_logps)
        scores = logps - reference_logps
    return scores / tokens if loss.length_normalised else scores


def sft_loss(chosen_logps: Tensor, chosen_tokens: Tensor) -> Tensor:
    """Return each chosen answer's mean negative log-prob per token, (B,) from (B,).

    Added with a weight (`--sft-weight`) to any policy loss, it keeps the chosen answers likely.
    Each answer is divided by its own length, then pairs are averaged: Iterative RPO,
    arXiv 2404.19733. (arXiv 2405.16436 sums over tokens; TRL's loss type `sft` divides the batch's
    sum by the batch's tokens, so that long answers weigh more.)

    By hand: log pi = -6 over 3 tokens gives 2.
    """
    same_shape(chosen_logps=chosen_logps, chosen_tokens=chosen_tokens)
    return -chosen_logps / chosen_tokens
