"""evaluate(): models and a pair file to predictions, numbers and pictures. READ THIS FIRST.

    from mmpo_core.evaluate.running import evaluate
    evaluate(models=("runs/tiny-policy",), data="pairs.parquet", held_out=True)

`margintool evaluate` is the same from the command line. Options, with their defaults, are in
options.py. predicting.py runs a model, evaluating.py turns predictions into numbers.
"""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpo_core.errors import InputError
from mmpo_core.evaluate.options import EvaluateOptions, checked_options
from mmpo_core.evaluate.predictions import FILE_NAME, Predictions
from mmpo_core.options import takes_options

logger = logging.getLogger("mmpo_core.evaluate")

EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class EvaluateResult:
    """What an evaluation came to.

    Attributes:
        folder: evaluation.json, predictions and pictures.
        predictions: label -> what the model says of the pairs.
        report: the content of evaluation.json.
    """

    folder: Path
    predictions: dict[str, Predictions]
    report: dict[str, Any]


@takes_options(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> EvaluateResult:
    """Measure models on pairs, and compare them if there are several.

    Takes the fields of EvaluateOptions as keywords. Predictions that are in the folder and still
    hold are not computed again.

    Raises:
        InputError: for options, models, pairs and folders that cannot be used.
    """
    from mmpo_core.evaluate.data import load_data
    from mmpo_core.evaluate.encoding import encode_all
    from mmpo_core.evaluate.models import find_models
    from mmpo_core.run_folder import check_writable, write_json
    from mmpo_core.train_progress import quiet_transformers

    options = checked_options(options)
    _refuse_processes()
    check_writable(options.out)
    models = find_models(options.models, options)
    data = load_data(options, models)
    predictions: dict[str, Predictions] = {}
    about: dict[str, Any] = {}
    with quiet_transformers():
        encoded = encode_all(models, data.table, options)
        for model in models:
            path = prediction_file(options.out, model.label, single=len(models) == 1)
            predictions[model.label], how = _predictions_of(
                model, encoded[model.label], data, options, path
            )
            about[model.label] = {**model.about(), "predictions": str(path), **how}
    report = _report(predictions, options)
    counts = {**data.record, "evaluated": len(next(iter(predictions.values())))}
    report = {"data": counts, "evaluated": about, **report}
    write_json(options.out / EVALUATION, report)
    return EvaluateResult(options.out, predictions, report)


def prediction_file(out: Path, label: str, *, single: bool) -> Path:
    """Return where a model's predictions are: in a folder of its own if there are several."""
    return out / FILE_NAME if single else out / label / FILE_NAME


def _predictions_of(
    model: Any, encoded: Any, data: Any, options: EvaluateOptions, path: Path
) -> tuple[Predictions, dict[str, Any]]:
    """Return a model's predictions, and how they were computed; written unless they were there."""
    from mmpo_core.evaluate.fingerprints import prediction_parts
    from mmpo_core.evaluate.predicting import score_pairs, to_predictions
    from mmpo_core.evaluate.stored import read_predictions, write_predictions

    parts = prediction_parts(model, encoded.pairs, options)
    stored = read_predictions(path, parts)
    if stored is not None:
        earlier, about = stored
        logger.info("%s: predictions of an earlier call, %s", model.label, path)
        chosen, rejected = earlier.chosen_score, earlier.rejected_score
    else:
        started = time.monotonic()
        scored = score_pairs(model, encoded, options)
        chosen, rejected, about = scored.chosen, scored.rejected, scored.about
        about = {**about, "seconds": round(time.monotonic() - started, 3)}
    # margins and targets are those of this call
    predictions = to_predictions(model, encoded.pairs, data.table, chosen, rejected, data.gamma)
    write_predictions(path, predictions, parts, about)
    return predictions, about


def _report(predictions: Mapping[str, Predictions], options: EvaluateOptions) -> dict[str, Any]:
    from mmpo_core.evaluation import by_margin, evaluation_metrics

    return {
        "models": {
            label: {
                **evaluation_metrics(one.h, one.target),
                "by_margin": by_margin(one.h, one.target, one.margin),
            }
            for label, one in predictions.items()
        }
    }


def _refuse_processes() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("evaluate runs in one process: start it without accelerate or torchrun")
