"""The pairs on which a model and its target are furthest apart, with their texts.

Predictions are joined to the pair file by pair_id. Read by gathering.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from margintool.page.data import pair_facts
from margintool.page.folders import Result
from margintool.page.texts import begins, said
from margintool.page.views import Block, Example, Part
from margintool.page.words import estimate
from margintool.report.words import number
from mmpo_core.evaluate.predictions import Predictions, prediction_file
from mmpo_core.evaluation import probability_of
from mmpo_core.pair_file import damage_named, open_parquet


def example_blocks(evaluation: Result, pairs: Path, most: int) -> tuple[list[Block], list[str]]:
    """Return the examples of each model, and whose are missing, in words.

    Args:
        evaluation: its folder holds predictions.
        pairs: the pair file that was evaluated on.
        most: how many are shown of a model.
    """
    blocks: list[Block] = []
    missing = []
    models = list(evaluation.content["models"])
    for model in models:
        path = prediction_file(evaluation.folder, model, single=len(models) == 1)
        if not path.is_file():
            missing.append(f"{evaluation.name}: {path.name} of {model} is not there")
            continue
        found = Predictions.read(path)
        rows = largest_disagreements(found, most)
        texts = _pairs_by_id(pairs, [str(found.pair_id[row]) for row in rows])
        examples = [
            _example(found, row, texts[str(found.pair_id[row])])
            for row in rows
            if str(found.pair_id[row]) in texts
        ]
        if examples:
            blocks.append(Part(model, examples))
        else:
            missing.append(f"{evaluation.name}: {pairs.name} has none of the pairs of {model}")
    return blocks, missing


def largest_disagreements(predictions: Predictions, most: int) -> list[int]:
    """Return the rows with the largest |sigma(h) - target|, largest first, equal ones in order."""
    apart = np.abs(probability_of(predictions.h) - predictions.target)
    return [int(row) for row in np.argsort(-apart, kind="stable")[:most]]


def _pairs_by_id(path: Path, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return pair_id -> row of the pair file, batch by batch: the file may be large."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.array(wanted, pa.string())
    found = {}
    with open_parquet(path) as file, damage_named(path):
        for batch in file.iter_batches(batch_size=4096):
            for row in batch.filter(pc.is_in(batch["pair_id"], ids)).to_pylist():
                found[row["pair_id"]] = row
    return found


def _example(predictions: Predictions, row: int, pair: dict[str, Any]) -> Example:
    h, target = float(predictions.h[row]), float(predictions.target[row])
    says = float(probability_of(h))
    title = f"Model {says:.3f}, target {target:.3f}: {begins(pair.get('prompt'))}"
    own = [
        ("model's P(chosen is better)", estimate(says)),
        ("target", estimate(target)),
        ("reward margin h", number(h)),
        ("score of chosen", number(float(predictions.chosen_score[row]))),
        ("score of rejected", number(float(predictions.rejected_score[row]))),
    ]
    return Example(title, [*own, *pair_facts(pair)], said(pair))
