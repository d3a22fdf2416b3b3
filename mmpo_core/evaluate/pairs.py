"""The columns that metrics read, derived once from predictions: probabilities, labels, prompts.

Margins and targets may be of either orientation here, chosen first or not: what is measured
should not depend on it (calibration.py says where it would).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mmpo_core.calibration import hits
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.evaluation import probability_of

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Pairs:
    """N pairs to be measured; arrays are (N,).

    Attributes:
        h: the model's log-odds of the pair's first answer.
        target: soft truth: the probability that it is better.
        label: hard truth: 1 where it won, 0 where it lost, 0.5 for a tie.
        margin: signed: above 0 where it is better.
        prompt: number of the pair's prompt, from 0.
        prompts: G, how many prompts there are.
    """

    h: Floats
    target: Floats
    label: Floats
    margin: Floats
    prompt: Rows
    prompts: int

    def __len__(self) -> int:
        return len(self.h)

    @property
    def predicted(self) -> Floats:
        """sigma(h): the model's probability, (N,); of -h exactly 1 less it.

        Rounded on both sides for itself, a pair turned round could land in another bin.
        """
        likely = probability_of(np.abs(self.h))
        return np.where(self.h >= 0, likely, 1.0 - likely)

    @property
    def hits(self) -> Floats:
        """What each pair adds to accuracy, (N,): 1 or 0, and 0.5 where either names no winner."""
        return hits(0.5 + 0.5 * np.sign(self.h), self.label)

    def take(self, rows: npt.ArrayLike) -> "Pairs":
        """Return some pairs, with their prompts numbered anew. rows: numbers, or a (N,) mask."""
        at = np.asarray(rows)
        _, prompt = np.unique(self.prompt[at], return_inverse=True)
        return Pairs(
            self.h[at],
            self.target[at],
            self.label[at],
            self.margin[at],
            prompt,
            int(prompt.max(initial=-1)) + 1,
        )

    def tempered(self, temperature: float) -> "Pairs":
        """Return the same pairs with log-odds h / temperature."""
        return replace(self, h=self.h / temperature)


def pairs_of(predictions: Predictions) -> Pairs:
    """Return the columns of predictions, chosen first: every label is 1, and 0.5 for ties."""
    _, prompt = np.unique(predictions.prompt_id, return_inverse=True)
    return Pairs(
        h=predictions.h,
        target=predictions.target,
        label=np.where(predictions.tie, 0.5, 1.0),
        margin=predictions.margin,
        prompt=prompt,
        prompts=int(prompt.max(initial=-1)) + 1,
    )


def by_prompt(columns: Floats, prompt: Rows, prompts: int) -> Floats:
    """Return sums over each prompt's rows. columns: (N, K) -> (G, K)."""
    table = np.empty((prompts, columns.shape[1]))
    for k, column in enumerate(columns.T):
        table[:, k] = np.bincount(prompt, weights=column, minlength=prompts)
    return table
