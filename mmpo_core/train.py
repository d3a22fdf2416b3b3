"""train(): a pair file to a trained model. READ THIS FIRST on the training side.

    from mmpo_core.train import train
    train(pairs="pairs.parquet", model="tiny", objective="reward", lr=1e-3)

`margintool train` is the same from the command line. Options, with their defaults, are in
train_options.py; the objective's mathematics in losses.py.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpo_core.options import takes_options
from mmpo_core.run_options import RunOptions
from mmpo_core.train_options import TrainOptions, checked_options

logger = logging.getLogger("mmpo_core.train")


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        folder: model, tokenizer, run.json, log_history.jsonl and train.png.
        steps: optimizer steps, with those before a resumption.
        metrics: last training entry, and `eval_` metrics where pairs were held out.
        history: all log entries.
        record: the content of run.json.
    """

    folder: Path
    steps: int
    metrics: dict[str, float]
    history: list[dict[str, Any]]
    record: dict[str, Any]


@takes_options(TrainOptions)
def train(options: TrainOptions) -> TrainResult:
    """Train a policy or a reward model on a pair file; return what came of it.

    Takes the fields of TrainOptions as keywords.

    Raises:
        InputError: for options, pairs, models and folders that cannot be used.
    """
    return train_run(options, interrupted=says_how_to_resume)


def train_run(
    options: TrainOptions,
    *,
    interrupted: Callable[[RunOptions], AbstractContextManager[None]],
    keep_model: bool = True,
) -> TrainResult:
    """Train as train() does.

    Args:
        options: of the run.
        interrupted: surrounds the steps, to say how to go on if they are interrupted.
        keep_model: whether model and tokenizer are written at the end; without them no checkpoint
            is left either.
    """
    from mmpo_core.run_folder import check_folder, earlier_record
    from mmpo_core.run_record import input_fingerprints, start_record, with_earlier
    from mmpo_core.start_weights import start_weights
    from mmpo_core.train_batching import run_batching
    from mmpo_core.train_data import load_tables
    from mmpo_core.train_plan.out_of_memory import explained_out_of_memory
    from mmpo_core.train_progress import quiet_transformers
    from mmpo_core.train_reference import with_reference
    from mmpo_core.train_setup import build_trainer, check_positions, encode_tables, load_start
    from mmpo_core.training_args import training_arguments

    started = time.monotonic()
    options = checked_options(options)
    checkpoint = check_folder(options, *input_fingerprints(options))
    tables = load_tables(options)
    arguments = training_arguments(options, evaluates=tables.evaluation is not None)
    with ExitStack() as stack:
        stack.enter_context(quiet_transformers())
        tokenizer, pairs = encode_tables(options, tables)
        stack.enter_context(explained_out_of_memory(options, tokenizer, pairs, arguments.device))
        model = load_start(options, tokenizer)
        weights = start_weights(options, "model", model)
        check_positions(model, pairs)
        packing = run_batching(options, model.to(arguments.device), tokenizer, pairs)
        data = with_reference(options, arguments, model, tokenizer, pairs, packing.batching)
        trainer = build_trainer(options, arguments, model, tokenizer, data)
        record = start_record(options, tables, pairs)
        record["packing"] = packing.record()
        record["weights"] = {"model": weights, "reference": data.weights}
        record["reference"] = with_earlier(data.record(), earlier_record(options).get("reference"))
        record["resumed_from"] = checkpoint and checkpoint.name
        open_folder(options, trainer, record)
        with interrupted(options):
            trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
            if "eval" in pairs:
                trainer.evaluate_at_end()
        trainer.check_weights()
        seconds = time.monotonic() - started
        return finish(options, trainer, record, seconds, keep_model=keep_model)


def open_folder(options: RunOptions, trainer: Any, record: dict[str, Any]) -> None:
    """Make the output folder ready: an earlier run cleared away, run.json says "unfinished"."""
    from mmpo_core.adapters import adapter_record
    from mmpo_core.run_folder import RUN_FILE, clear, earlier_record, write_json

    earlier = earlier_record(options).get("processes", [])
    record["processes"] = sorted({*earlier, trainer.args.world_size})
    record["adapter"] = adapter_record(trainer.model, options)
    # no process may look for an earlier run after this one has begun
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        if options.overwrite:
            clear(options.folder)  # check_folder has seen that a run made what is there
        write_json(options.folder / RUN_FILE, record)


@contextmanager
def says_how_to_resume(options: RunOptions) -> Iterator[None]:
    """On Ctrl-C or a termination, say from where the run can go on. Nothing half is kept."""
    from mmpo_core.checkpoints import last_checkpoint

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        checkpoint = last_checkpoint(options.folder)
        if checkpoint:
            logger.warning("interrupted. The same command with --resume goes on: %s", checkpoint)
        else:
            logger.warning(
                "interrupted before the first checkpoint (--save-steps %d). The same command with "
                "--overwrite starts again",
                options.save_steps,
            )
        raise


def finish(
    options: RunOptions,
    trainer: Any,
    record: dict[str, Any],
    seconds: float,
    *,
    keep_model: bool = True,
) -> TrainResult:
    """Write model, tokenizer, history and plot, and at last run.json as "finished"."""
    from mmpo_core.checkpoints import drop_checkpoints, drop_last_checkpoint
    from mmpo_core.run_folder import RUN_FILE, publish, write_history, write_json
    from mmpo_core.run_record import device_name, final_metrics, finite
    from mmpo_core.train_plot import plot_history

    history = trainer.state.log_history
    resumed = record["resumed_from"] is not None
    record |= {
        "status": "finished",
        "steps": trainer.state.global_step,
        "metrics": finite(final_metrics(history, resumed=resumed)),
        "eval_by_margin": trainer.margin_table,
        "device": device_name(trainer.args.device),
        # how long the earlier part took is not known after a kill
        "seconds_since_resume" if resumed else "seconds": round(seconds, 3),
        "model_kept": keep_model,
    }
    if keep_model:
        publish(options.folder, trainer.save_model, main=trainer.is_world_process_zero())
    if trainer.is_world_process_zero():
        write_history(options.folder, history)
        plot_history(history, options.folder / "train.png", options.title)
        write_json(options.folder / RUN_FILE, record)
        if keep_model:
            drop_last_checkpoint(options.folder, record["steps"])
        else:
            drop_checkpoints(options.folder)
    return TrainResult(
        options.folder, trainer.state.global_step, record["metrics"], history, record
    )
