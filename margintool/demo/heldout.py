"""Held-out pairs with known probabilities, and what a trained reward model predicts for them.

A and B stay where the simulation drew them: the orientation was fixed before any vote, which
calibration needs (see mmpo_core/calibration.py). Read by run.py.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from margintool.simulate import Row

if TYPE_CHECKING:
    from mmpo_core.encoded_pairs import EncodedPairs

Floats = npt.NDArray[np.float64]
Text = tuple[int, ...]  # token ids
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Heldout:
    """N held-out pairs.

    Args:
        table: what mmpo_core.encode reads, with A as `chosen` and B as `rejected`.
        p_true: (N,) probability that a voter prefers A.
        majority: (N,) 1 if most of the pair's voters preferred A, else 0.
        prompt: N prompts: pairs of one prompt share answers.
    """

    table: pa.Table
    p_true: Floats
    majority: Floats
    prompt: list[str]


def read_heldout(path: Path) -> Heldout:
    """Read a file that margintool.simulate wrote."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows: list[Row] = [json.loads(line) for line in file]
    prompts = [row["history"] for row in rows]
    columns = {
        "pair_id": [f"heldout-{number}" for number in range(len(rows))],
        "history": [[] for _ in rows],
        "prompt": prompts,
        "chosen": [row["human_ref_A"] for row in rows],
        "rejected": [row["human_ref_B"] for row in rows],
        "margin": [0.0] * len(rows),  # encode_pairs carries it along; predictions do not use it
        "weight": [1.0] * len(rows),
    }
    return Heldout(
        table=pa.table(columns),
        p_true=np.array([row["p_true_A"] for row in rows]),
        majority=np.array([float(row["score_A"] > row["score_B"]) for row in rows]),
        prompt=prompts,
    )


def predict(model_folder: Path, heldout: Heldout) -> Floats:
    """Return (N,) reward gaps h = r(x, A) - r(x, B): the model's log-odds that A wins.

    An answer that stands in several pairs is read once.
    """
    from mmpo_core.encode import encode_pairs
    from mmpo_core.models import load_reward_model, load_tokenizer

    tokenizer = load_tokenizer(str(model_folder))
    model = load_reward_model(str(model_folder), tokenizer)
    pairs = encode_pairs(heldout.table, tokenizer, overlong="error")
    sides = [_texts(pairs, side) for side in ("chosen_ids", "rejected_ids")]
    texts = sorted({*sides[0], *sides[1]}, key=lambda ids: (len(ids), ids))
    reward = dict(zip(texts, _rewards(model, texts, tokenizer.pad_token_id), strict=True))
    return np.array([reward[a] - reward[b] for a, b in zip(*sides, strict=True)])


def _texts(pairs: "EncodedPairs", side: str) -> list[Text]:
    """Return the N whole conversations that end in that side's answer."""
    items = map(pairs.__getitem__, range(len(pairs)))
    return [tuple(pair["prompt_ids"].tolist() + pair[side].tolist()) for pair in items]


def _rewards(model: Any, texts: list[Text], pad: int) -> list[float]:
    """Return one reward per token sequence, read at its last token."""
    import torch

    rewards: list[float] = []
    model.eval()
    for first in range(0, len(texts), ROWS_AT_ONCE):
        some = texts[first : first + ROWS_AT_ONCE]
        longest = max(map(len, some))
        ids = torch.tensor([text + (pad,) * (longest - len(text)) for text in some])
        lengths = torch.tensor([len(text) for text in some])
        mask = torch.arange(longest) < lengths[:, None]
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask.long()).logits
        rewards += logits[:, 0].double().tolist()
    return rewards


def sigmoid(gap: Floats) -> Floats:
    """Return the probability that A wins, (N,), from (N,) log-odds; never overflows."""
    small = np.exp(-np.abs(gap))
    return np.where(gap >= 0, 1.0, small) / (1.0 + small)
