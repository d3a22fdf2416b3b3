"""Predictions whose truth is known, for the tests of mmpo_core/evaluate."""

import numpy as np

from mmpo_core.evaluate.pairs import Pairs
from mmpo_core.evaluate.predictions import Predictions


def pairs(n, prompts, seed=0, noise=1.0, scale=1.0, ties=0.1):
    """Clustered pairs: h = scale * (margin + noise * (a prompt's part + a pair's part))."""
    rng = np.random.default_rng(seed)
    prompt = np.sort(np.concatenate([np.arange(prompts), rng.integers(prompts, size=n - prompts)]))
    margin = np.where(rng.uniform(size=n) < ties, 0.0, rng.exponential(1.5, n))
    shared = rng.normal(size=prompts)[prompt]
    return Pairs(
        h=scale * (margin + noise * (rng.normal(size=n) + shared)),
        target=1 / (1 + np.exp(-margin)),
        label=np.where(margin == 0, 0.5, 1.0),
        margin=margin,
        prompt=prompt,
        prompts=prompts,
    )


def predictions(n=40, prompts=20, seed=0, scale=1.0, **changed):
    """The same pairs and targets for every seed and scale, other log-odds."""
    truth, model = pairs(n, prompts, 0), pairs(n, prompts, 0, scale=scale)
    h = model.h + np.random.default_rng(seed).normal(size=n) * (seed > 0)
    columns = {
        "pair_id": [f"pair {i}" for i in range(n)],
        "prompt_id": truth.prompt,
        "source": np.where(np.arange(n) % 3 == 0, "shp", "ratings"),
        "margin": truth.margin,
        "target": truth.target,
        "h": h,
        "chosen_score": h / 2,
        "rejected_score": -h / 2,
        "chosen_tokens": np.arange(n) * 7 % 31,
        "rejected_tokens": np.arange(n) * 5 % 29,
        "tie": truth.margin == 0,
        "model": "runs/tiny",
        "gamma": 1.0,
        "beta": 0.1,
    }
    return Predictions(**{**columns, **changed})
