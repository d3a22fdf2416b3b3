"""Pair files whose margins can be learnt from the texts: how many more cats chosen has."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmpo_core.pair_file import write_pairs
from mmpo_core.schema import PAIR_SCHEMA
from tests.similarity.small_models import WORDS

OTHERS = [word for word in WORDS if word not in ("cat", "dog")]


def cat_pairs(
    path: Path, *, prompts: int = 60, per_prompt: int = 4, words: int = 8, seed: int = 0
) -> Path:
    """Write pairs of `words` random words and some cats an answer."""
    rng = np.random.default_rng(seed)

    def answer(cats: int) -> str:
        return " ".join(rng.permutation([*rng.choice(OTHERS, words), *["cat"] * cats]))

    rows = []
    for prompt in range(prompts):
        for pair in range(per_prompt):
            margin, both = int(rng.integers(0, 5)), int(rng.integers(0, 2))
            texts = {"chosen": answer(both + margin), "rejected": answer(both)}
            rows.append(row(f"{prompt}-{pair}", f"sun {prompt}", float(margin), **texts))
    return write(path, rows)


def row(pair_id: str, prompt: str, margin: float, **more: Any) -> dict[str, Any]:
    """Return a pair of the contract."""
    pair = {
        "pair_id": pair_id,
        "prompt": prompt,
        "chosen": f"the cat sat {pair_id}",
        "rejected": f"a dog ran {pair_id}",
        "history": [],
        "score_chosen": None,
        "score_rejected": None,
        "margin_raw": margin,
        "margin": margin,
        "p_chosen": float(1 / (1 + np.exp(-margin))),
        "weight": 1.0,
        "source": "ratings",
        "origin": "made",
    }
    return pair | more


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a pair file; return its path."""
    table = pa.Table.from_pylist(rows, schema=PAIR_SCHEMA)
    write_pairs(table, path, {"schema_version": 1, "gamma": 1.0, "source": "ratings"})
    return path
