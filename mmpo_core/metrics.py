"""Per-pair metrics under TRL's names, and their averages over pairs.

Sums stay on the device until they are read, so that a training step does not wait for them.
Read by mean_trainer.py, trainer.py and reward.py.
"""

from collections.abc import Callable, Mapping

import torch

Tensor = torch.Tensor


def pair_metrics(
    chosen_rewards: Tensor, rejected_rewards: Tensor, target: Tensor
) -> dict[str, Tensor]:
    """Return metric name -> (B,) values, without gradient.

    Args:
        chosen_rewards: (B,) reward of the chosen answer: the reward model's output, or the
            implicit reward beta * (log pi - log ref) of a policy.
        rejected_rewards: (B,) the same for the rejected answer.
        target: (B,) P(chosen is better).
    """
    chosen, rejected = chosen_rewards.detach(), rejected_rewards.detach()
    return {
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "rewards/accuracies": (chosen > rejected).to(chosen.dtype),
        "rewards/margins": chosen - rejected,
        "targets/mean": target.detach(),
    }


class PairMeans:
    """Averages of per-pair values: every pair counts once, whatever batch it came in."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._pairs = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count a batch in. values: name -> (B,), the same names in every call; maybe none."""
        for name, value in values.items():
            total = value.sum()
            self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._pairs += len(next(iter(values.values()), ()))

    def take(self, reduce: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """Return name -> mean since the last call, and start over.

        Args:
            reduce: sums a tensor over the processes of a distributed run.
        """
        if not self._sums:
            return {}
        names = list(self._sums)
        sums = torch.stack([self._sums[name] for name in names])
        total = reduce(torch.cat([sums, sums.new_tensor([self._pairs])])).tolist()
        self._sums, self._pairs = {}, 0
        return {name: value / total[-1] for name, value in zip(names, total, strict=False)}
