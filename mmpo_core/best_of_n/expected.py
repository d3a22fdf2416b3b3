"""The table of best-of-n: the expected reward of the pick by n, with intervals over prompts.

Read by margintool/best_of_n/. The estimator is in estimators.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmpo_core.best_of_n.estimators import Floats, by_prompt, mean_over_prompts
from mmpo_core.errors import InputError
from mmpo_core.evaluate.intervals import RESAMPLES, SEED, Estimate

TOGETHER = "together"
"""The pick by the mean win probability of several models."""


def numbers_up_to(most: int) -> list[int]:
    """Return 1, 2, 4, ... and `most` itself."""
    powers = [1 << bit for bit in range(most.bit_length())]
    return powers if powers[-1] == most else [*powers, most]


def check_labels(labels: Iterable[str]) -> None:
    """Raise InputError for a reward's label that stands for the pick by all of them."""
    if TOGETHER in labels:
        raise InputError(f"a reward model cannot have the label {TOGETHER!r}: rename its folder")


def expected_rewards(
    rewards: Mapping[str, Sequence[Floats]],
    together: Sequence[Floats] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[dict[str, Any]]:
    """Return what the best of n is worth, by every way of picking and every reward.

    Args:
        rewards: label -> of each prompt, (N,) rewards.
        together: of each prompt, (N,) win probabilities by all models; None where there is one.
        resamples: of prompts, behind the intervals; 0 for none.
        seed: of the resamples.

    Returns:
        picked_by (a label, or TOGETHER), reward (a label), and by_n: n, value, low, high, and
        gain, the same three of how much more that is than one answer's: from the same resamples,
        so that what makes prompts differ cancels out. n goes up to the number of candidates that
        every prompt has.

    Raises:
        InputError: if there is no prompt, or a label is TOGETHER.
    """
    check_labels(rewards)
    picks = {**rewards, **({} if together is None else {TOGETHER: together})}
    ns = numbers_up_to(min(len(one) for one in next(iter(rewards.values()))))
    found = []
    for pick, scores in picks.items():
        for reward, values in rewards.items():
            table = by_prompt(scores, ns, values)
            estimates = mean_over_prompts(table, resamples=resamples, seed=seed)
            rows = [
                {"n": n, **one.to_dict(), "gain": _less(one, estimates[0])}
                for n, one in zip(ns, estimates, strict=True)
            ]
            found.append({"picked_by": pick, "reward": reward, "by_n": rows})
    return found


def _less(a: Estimate, b: Estimate) -> dict[str, float | None]:
    return Estimate(a.value - b.value, a.draws - b.draws).to_dict()
