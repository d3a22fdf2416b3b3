"""Models over RewardBench's examples: predictions, scores, files. Read by margintool.rewardbench.

OUT holds rewardbench.json (every score, with its interval), rewardbench.parquet (one row for each
example and model) and the predictions that `evaluate` keeps, which are not computed again while
they hold.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmpo_core.errors import InputError
from mmpo_core.evaluate.options import check_models, checked_options
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.evaluate.rewardbench.examples import to_pairs
from mmpo_core.evaluate.rewardbench.options import RewardBenchOptions
from mmpo_core.evaluate.rewardbench.published import published
from mmpo_core.evaluate.rewardbench.results import results_of
from mmpo_core.evaluate.rewardbench.scoring import correct
from mmpo_core.evaluate.rewardbench.sections import SUBSETS, section_of
from mmpo_core.options import plain_values
from mmpo_core.pair_file import COMPRESSION, whole_file

REPORT, TABLE = "rewardbench.json", "rewardbench.parquet"


@dataclass(frozen=True)
class RewardBenchResult:
    """What a run of the suite came to.

    Attributes:
        folder: rewardbench.json, rewardbench.parquet and predictions.
        report: the content of rewardbench.json.
    """

    folder: Path
    report: dict[str, Any]


def checked(options: RewardBenchOptions) -> RewardBenchOptions:
    """Return the options with every value in its field's type.

    Raises:
        InputError: for a wrong type, a value out of range, no model, or one that is given twice.
    """
    options = checked_options(options)
    check_models(options.models)
    return options


def run_models(options: RewardBenchOptions, examples: pa.Table) -> RewardBenchResult:
    """Score models on examples.

    Args:
        options: checked.
        examples: of EXAMPLES.

    Raises:
        InputError: for models and folders that cannot be used, or if there is no example.
    """
    from mmpo_core.evaluate.models import find_models
    from mmpo_core.evaluate.predicting_all import predict_all
    from mmpo_core.evaluate.trained_on import trained_on
    from mmpo_core.run_folder import check_writable, write_json
    from mmpo_core.run_record import versions

    if not examples.num_rows:
        raise InputError("there are no examples to score")
    check_writable(options.out)
    found = find_models(options.models, options)
    pairs = to_pairs(examples)
    seen = trained_on(found, pairs)
    predictions, computed = predict_all(found, pairs, options, out=options.out, gamma=math.inf)
    settings = {"resamples": options.bootstrap, "bins": options.bins, "seed": options.seed}
    models = {label: results_of(one, **settings) for label, one in predictions.items()}
    report = {
        "suite": "rewardbench",
        "arguments": plain_values(options),
        "data": _counts(examples, next(iter(predictions.values()))) | {"trained_on": seen},
        "computed": computed,
        "models": models,
        "settings": settings,
        "published": published(),
        "versions": versions(),
    }
    with whole_file(options.out / TABLE) as temporary:
        pq.write_table(example_table(examples, predictions), temporary, compression=COMPRESSION)
    write_json(options.out / REPORT, report)
    return RewardBenchResult(options.out, report)


def example_table(examples: pa.Table, predictions: Mapping[str, Predictions]) -> pa.Table:
    """Return one row for each model and example that it scored, in their order.

    Columns: model, subset, section (null if it counts in none), id, origin, chosen_score,
    rejected_score, h, correct (1 or 0, a tie is 0), tie.
    """
    return pa.concat_tables(_rows(examples, label, one) for label, one in predictions.items())


def _rows(examples: pa.Table, label: str, predictions: Predictions) -> pa.Table:
    taken = examples.take(_scored(predictions))
    subsets = taken["subset"].to_pylist()
    return pa.table(
        {
            "model": pa.array([label] * len(subsets), pa.string()),
            "subset": taken["subset"],
            "section": pa.array([section_of(subset) for subset in subsets], pa.string()),
            "id": taken["id"],
            "origin": taken["origin"],
            "chosen_score": predictions.chosen_score,
            "rejected_score": predictions.rejected_score,
            "h": predictions.h,
            "correct": correct(predictions.chosen_score, predictions.rejected_score),
            "tie": predictions.h == 0,
        }
    )


def _scored(predictions: Predictions) -> pa.Array:
    """Return the rows of the examples that were scored: their pair_id, see to_pairs."""
    return pa.array([int(row) for row in predictions.pair_id], pa.int64())


def _counts(examples: pa.Table, predictions: Predictions) -> dict[str, Any]:
    """Return how many examples were read, and of which subsets some were left out."""
    read = np.array(examples["subset"].to_pylist(), dtype=object)
    counts = {one: int((read == one).sum() - (predictions.source == one).sum()) for one in SUBSETS}
    return {
        "read": len(read),
        "scored": len(predictions),
        "left_out": {subset: count for subset, count in counts.items() if count},
    }
