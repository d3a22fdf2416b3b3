"""train(): a pair file to a trained model. READ THIS FIRST on the training side.

    from mmpo_core.train import train
    train(pairs="pairs.parquet", model="tiny", objective="reward", lr=1e-3)

`margintool train` is the same from the command line. Options, with their defaults, are in
train_options.py; the objective's mathematics in losses/; the steps that `sft` has too in
training_run.py.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from mmpo_core.options import takes_options
from mmpo_core.run_options import RunOptions
from mmpo_core.train_options import TrainOptions, checked_options
from mmpo_core.training_run import TrainResult, loaded, run_to_end


@takes_options(TrainOptions)
def train(options: TrainOptions) -> TrainResult:
    """Train a policy or a reward model on a pair file; return what came of it.

    Takes the fields of TrainOptions as keywords.

    Raises:
        InputError: for options, pairs, models and folders that cannot be used.
    """
    return train_run(options)


def train_run(
    options: TrainOptions,
    *,
    interrupted: Callable[[RunOptions], AbstractContextManager[None]] | None = None,
    keep_model: bool = True,
) -> TrainResult:
    """Train as train() does.

    Args:
        options: of the run.
        interrupted: surrounds the steps, to say how to go on if they are interrupted; the same
            command with --resume if not given.
        keep_model: whether model and tokenizer are written at the end; without them no checkpoint
            is left either.
    """
    from mmpo_core.run_folder import check_folder, earlier_record
    from mmpo_core.run_record import input_fingerprints, start_record, with_earlier
    from mmpo_core.train_batching import run_batching
    from mmpo_core.train_data import load_tables
    from mmpo_core.train_plan.out_of_memory import explained_by_plan
    from mmpo_core.train_progress import quiet_transformers
    from mmpo_core.train_reference import with_reference
    from mmpo_core.train_setup import build_trainer, encode_tables
    from mmpo_core.training_args import training_arguments

    started = time.monotonic()
    options = checked_options(options)
    checkpoint = check_folder(options, *input_fingerprints(options))
    tables = load_tables(options)
    arguments = training_arguments(options, evaluates=tables.evaluation is not None)
    with ExitStack() as stack:
        stack.enter_context(quiet_transformers())
        tokenizer, pairs = encode_tables(options, tables)
        stack.enter_context(explained_by_plan(options, tokenizer, pairs, arguments.device))
        model, weights = loaded(options, arguments.device, tokenizer, pairs)
        packing = run_batching(options, model, tokenizer, pairs)
        data = with_reference(options, arguments, model, tokenizer, pairs, packing.batching)
        trainer = build_trainer(options, arguments, model, tokenizer, data)
        record = start_record(options, tables, pairs)
        record["packing"] = packing.record()
        record["weights"] = {"model": weights, "reference": data.weights}
        record["reference"] = with_earlier(data.record(), earlier_record(options).get("reference"))
        return run_to_end(
            options,
            trainer,
            record,
            checkpoint,
            started=started,
            interrupted=interrupted,
            keep_model=keep_model,
        )
