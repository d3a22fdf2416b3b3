"""evaluate(): models and a pair file to predictions, numbers and pictures. READ THIS FIRST.

    from mmpo_core.evaluate.running import evaluate
    evaluate(models=("runs/tiny-policy",), data="pairs.parquet", held_out=True)

`margintool evaluate` is the same from the command line. Options, with their defaults, are in
options.py. predicting.py runs a model, evaluating.py turns predictions into numbers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpo_core.evaluate.options import EvaluateOptions, checked_options
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.options import plain_values, takes_options

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
    from mmpo_core.evaluate.evaluating import evaluate_predictions
    from mmpo_core.evaluate.models import find_models
    from mmpo_core.evaluate.plots import plot_evaluation
    from mmpo_core.evaluate.predicting_all import predict_all
    from mmpo_core.run_folder import check_writable, write_json
    from mmpo_core.run_record import versions

    options = checked_options(options)
    check_writable(options.out)
    models = find_models(options.models, options)
    data = load_data(options, models)
    predictions, computed = predict_all(
        models, data.table, options, out=options.out, gamma=data.gamma
    )
    measured = evaluate_predictions(
        predictions,
        resamples=options.bootstrap,
        seed=options.seed,
        bins=options.bins,
        parts=options.parts,
    )
    report: dict[str, Any] = {
        "arguments": plain_values(options),
        "data": {**data.record, "evaluated": len(next(iter(predictions.values())))},
        "computed": computed,
        **measured,
        "versions": versions(),
    }
    plot_evaluation(report, predictions, options.out)
    write_json(options.out / EVALUATION, report)  # last: with it the folder is whole
    return EvaluateResult(options.out, predictions, report)
