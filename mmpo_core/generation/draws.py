"""Drawing tokens so that an answer does not depend on its neighbours in the batch.

`generate` draws a whole batch from one global state: another batch, another answer. Here each row
has random numbers of its own and its draw is made before `generate` takes the likeliest token,
so that greedy decoding returns the sample. Read by local.py.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

from mmpo_core.generation.asked import Sampling


class DrawByRow(LogitsProcessor):  # type: ignore[misc]
    """Leaves one token in each row, drawn by that row's own random numbers.

    With u uniform in [0, 1) it is the first token whose cumulative probability exceeds u.

    Args:
        generators: one for each row of the batch.
    """

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self._generators = generators

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return (B, V) scores, -inf but for the drawn token of each row; scores: (B, V)."""
        uniform = torch.tensor(
            [[generator.random()] for generator in self._generators],
            dtype=torch.float64,
            device=scores.device,
        )
        cumulative = scores.double().softmax(dim=-1).cumsum(dim=-1)
        # Rounding may leave the sum off 1, and the product at the sum: then no token exceeds it.
        whole = cumulative[:, -1:]
        target = torch.minimum(uniform * whole, torch.nextafter(whole, torch.zeros_like(whole)))
        drawn = torch.searchsorted(cumulative, target, right=True)
        return torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)


def drawing(sampling: Sampling, generators: Sequence[np.random.Generator]) -> "LogitsProcessorList":
    """Return what turns logits into the draw of each row; nothing at temperature 0."""
    if sampling.temperature == 0:
        return LogitsProcessorList()
    steps = [TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(sampling.top_p))
    return LogitsProcessorList([*steps, DrawByRow(generators)])
