"""Which pairs models are evaluated on, and against which targets. Read by running.py.

What the models' runs held out is taken again by the same split as in training (train_data.py).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmpo_core.errors import InputError
from mmpo_core.evaluate.models import EvaluatedModel
from mmpo_core.evaluate.options import EvaluateOptions
from mmpo_core.evaluate.trained_on import Candidate, trained_on, trained_on_file
from mmpo_core.file_metadata import recorded_gamma
from mmpo_core.pair_file import read_metadata, read_table
from mmpo_core.run_record import fingerprint
from mmpo_core.train_data import eval_gamma, held_out_by, rows_of_some, with_targets
from mmpo_core.train_options import TrainOptions

logger = logging.getLogger("mmpo_core.evaluate")


@dataclass(frozen=True)
class EvaluationData:
    """The pairs of an evaluation.

    Attributes:
        table: contract columns; p_chosen is the target.
        gamma: behind the targets; None where they are the file's own and it records none.
        record: what evaluation.json says about them.
    """

    table: pa.Table
    gamma: float | None
    record: dict[str, Any]


def load_data(options: EvaluateOptions, models: Sequence[EvaluatedModel]) -> EvaluationData:
    """Read the pair file, take the pairs that were asked for, and set their targets.

    Raises:
        InputError: for a file that breaks the contract, or if no pair is left; with held_out also
            if a model was trained on another file, or its run held nothing out.
    """
    table, content = read_table(options.data), fingerprint(options.data)
    read = table.num_rows
    if options.held_out:
        table = _held_out(options.data, content, table, models)
    if table.num_rows == 0:
        raise InputError(f"{options.data}: holds no pairs to evaluate on")
    if options.limit is not None:
        table = table.filter(rows_of_some(table["prompt"], options.limit, options.seed))
    seen = trained_on(models, table, Candidate(options.data, content))
    gamma, column = _target(options, models)
    record = {
        "path": str(options.data),
        "fingerprint": content,
        "held_out": options.held_out,
        "read": read,
        "taken": table.num_rows,
        "trained_on": seen,
        "margin_column": column,
        "gamma_from_file": gamma is None,
    }
    behind = recorded_gamma(read_metadata(options.data)) if gamma is None else gamma
    return EvaluationData(with_targets(table, gamma, column), behind, record)


def _held_out(
    path: Path, content: str, table: pa.Table, models: Sequence[EvaluatedModel]
) -> pa.Table:
    """Return the pairs that all runs held out; a model that no run made held out everything."""
    runs = [(model, model.run) for model in models if model.run is not None]
    if not runs:
        raise InputError("held_out: none of the models has a run.json that says what was held out")
    kept = pa.array([True] * table.num_rows)
    for model, run in runs:
        mask = _held_out_by(path, content, table, model, run)
        kept = pc.and_(kept, mask)
        logger.info("%s: its run held out %d of %d pairs", model.label, _count(mask), len(mask))
    left = table.filter(kept)
    if left.num_rows == 0:
        raise InputError(
            "held_out: no pair was held out by the runs of all models. Evaluate them one by one, "
            "or train them with the same --split-seed"
        )
    if len(runs) > 1:
        logger.info("%d pairs were held out by all of them", left.num_rows)
    return left


def _held_out_by(
    path: Path, content: str, table: pa.Table, model: EvaluatedModel, run: TrainOptions
) -> pa.Array:
    if trained_on_file(model) != content:
        raise InputError(
            f"{model.name}: was not trained on {path}: its run.json names {run.pairs}, or another "
            "content of it. Leave --held-out out, or give that file"
        )
    if run.eval_pairs is not None:
        raise InputError(
            f"{model.name}: its run held nothing out of {path}: it was evaluated on "
            f"{run.eval_pairs}. Give that file as --data, without --held-out"
        )
    if run.eval_split == 0:
        raise InputError(f"{model.name}: its run held nothing out (eval_split 0)")
    return held_out_by(table["prompt"], run)


def _target(options: EvaluateOptions, models: Sequence[EvaluatedModel]) -> tuple[float | None, str]:
    """Return the gamma behind the targets, None for the file's own p_chosen, and its margin."""
    recorded = {
        (eval_gamma(model.run), model.run.margin_column)
        for model in models
        if model.run is not None
    }
    agreed = next(iter(recorded)) if len(recorded) == 1 else (None, "margin")
    if options.gamma == "file":
        return None, "margin"
    if options.gamma is not None:
        return options.gamma, options.margin_column or agreed[1]
    if len(recorded) > 1:
        logger.warning(
            "the runs measured against different targets; these are the file's own p_chosen. "
            "--gamma sets others"
        )
    if options.margin_column not in (None, agreed[1]) and agreed[0] is not None:
        raise InputError(
            f"margin_column {options.margin_column}: the runs multiplied {agreed[1]} by gamma "
            f"{agreed[0]:g}. Give --gamma too"
        )
    return agreed


def _count(mask: pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)
