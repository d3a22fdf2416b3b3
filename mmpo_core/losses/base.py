"""What a loss is: an entry of LOSSES (policies) or REWARD_LOSSES (reward models).

Read by policy.py and reward.py, which list the losses, and by the trainers, which call them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch

Tensor = torch.Tensor
Strength = Literal["target", "target_gap"]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss of pairs; every one is a function of the reward gap h (see functions.py).

    Attributes:
        function: (h, strength if `reads` names one, beta=beta if `reads_beta`, **options)
            -> losses; tensors are (B,).
        equation: the loss in h, p = target, m = margin and the options, as plain text.
        source: paper, and equation or section.
        reads: column through which the margin reaches the loss: target, p = sigma(gamma * m), or
            target_gap, gamma * m; None where it does not.
        hard_labels: whether the chosen answer of a tie is taken to be better; soft losses pull a
            tie's h to 0.
        reads_beta: whether beta does more than scale h.
        length_normalised: whether log-probs are means over an answer's tokens instead of sums.
        reference_free: whether h has no reference model in it.
        beta: default for policies: how much of h one nat of log-prob is.
        options: further keywords of the function with their defaults.
    """

    function: Callable[..., Tensor]
    equation: str
    source: str
    reads: Strength | None = None
    hard_labels: bool = True
    reads_beta: bool = False
    length_normalised: bool = False
    reference_free: bool = False
    beta: float = 0.1
    options: Mapping[str, float] = field(default_factory=dict)

    def __call__(
        self, h: Tensor, columns: Mapping[str, Tensor], *, beta: float = 1.0, **options: float
    ) -> Tensor:
        """Return one unreduced loss per pair.

        Args:
            h: (B,) reward of the chosen answer minus reward of the rejected one.
            columns: the batch; only the column that the loss reads is looked at, (B,).
            beta: as h was made with.
            options: further keywords; `self.options` where left out.

        Returns:
            (B,) losses.

        Raises:
            ValueError: if the shapes differ; (B, 1) against (B,) would broadcast to (B, B).
        """
        strength = [] if self.reads is None else [columns[self.reads]]
        same_shape(h=h, **{str(self.reads): tensor for tensor in strength})
        known = {"beta": beta} if self.reads_beta else {}
        return self.function(h, *strength, **known, **{**self.options, **options})


def same_shape(**tensors: Tensor) -> None:
    """Raise ValueError unless all tensors are of one shape (B,)."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"a loss takes tensors of one shape (B,), got {listed}")
