"""Pairs and trained models for the tests of `evaluate`: small, and made once."""

from pathlib import Path
from typing import Any

import numpy as np

from mmpo_core.pair_file import write_pairs
from mmpo_core.train import train
from tests.core.pair_tables import METADATA, pair_table

PAIRS, PROMPTS = 48, 24


def write_file(path: Path, seed: int = 0, pairs: int = PAIRS) -> Path:
    """Pairs with two to a prompt and margins from 0 (every eighth, a tie) to 3."""
    draw = np.random.default_rng(seed)
    margins = draw.uniform(0.2, 3, pairs)
    margins[::8] = 0
    prompts = [f"set {seed} question {i // 2}" for i in range(pairs)]
    table = pair_table(margins.tolist(), prompts)
    names = [f"{seed}-{i}" for i in range(pairs)]
    write_pairs(table.set_column(0, "pair_id", [names]), path, METADATA)
    return path


def run(pairs: Path, model: Path | str, out: Path, **options: Any) -> Path:
    """Train for a few steps, a third of the prompts held out; return the folder."""
    settings: dict[str, Any] = {
        "lr": 3e-3,
        "batch_size": 8,
        "max_length": 96,
        "eval_split": 0.34,
        "epochs": 2,
        "device": "cpu",
    }
    train(pairs=pairs, model=str(model), out=out, **{**settings, **options})
    return out
