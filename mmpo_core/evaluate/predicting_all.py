"""Several models on the same pairs: predictions that are kept, and not computed again if they hold.

Read by running.py and by suites; predicting.py runs one model.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmpo_core.evaluate.encoding import Encoded, encode_all
from mmpo_core.evaluate.fingerprints import prediction_parts
from mmpo_core.evaluate.models import EvaluatedModel
from mmpo_core.evaluate.options import PredictOptions
from mmpo_core.evaluate.predicting import score_pairs, to_predictions
from mmpo_core.evaluate.predictions import Predictions, prediction_file
from mmpo_core.evaluate.stored import read_predictions, write_predictions
from mmpo_core.processes import refuse_several
from mmpo_core.train_progress import quiet_transformers

logger = logging.getLogger("mmpo_core.evaluate")


def predict_all(
    models: Sequence[EvaluatedModel],
    table: pa.Table,
    options: PredictOptions,
    *,
    out: Path,
    gamma: float | None,
) -> tuple[dict[str, Predictions], dict[str, Any]]:
    """Return what each model says of the pairs that all of them can use.

    Args:
        models: that are run, one after the other.
        table: see predict.
        options: of running them.
        out: folder where predictions are written, and read again by a later call.
        gamma: behind the targets, to be told in the predictions.

    Returns:
        label -> predictions, and label -> what was computed and how, ready for JSON.

    Raises:
        InputError: if a model cannot be loaded or used on these pairs, no pair is left, or this is
            one of several processes.
    """
    refuse_several("evaluate")
    predictions: dict[str, Predictions] = {}
    about: dict[str, Any] = {}
    with quiet_transformers():
        encoded = encode_all(models, table, options)
        for model in models:
            path = prediction_file(out, model.label, single=len(models) == 1)
            one = encoded[model.label]
            predictions[model.label], how = _predictions_of(model, one, table, options, path, gamma)
            about[model.label] = {
                **model.about(),
                "predictions": str(path.relative_to(out)),
                "encoding": one.pairs.report.to_dict(),
                **how,
            }
    return predictions, about


def _predictions_of(
    model: EvaluatedModel,
    encoded: Encoded,
    table: pa.Table,
    options: PredictOptions,
    path: Path,
    gamma: float | None,
) -> tuple[Predictions, dict[str, Any]]:
    """Return a model's predictions, and how they were computed; written unless they were there."""
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
    predictions = to_predictions(model, encoded.pairs, table, chosen, rejected, gamma)
    write_predictions(path, predictions, parts, about)
    return predictions, about
