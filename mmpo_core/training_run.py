"""A training run from its model to its folder: the steps that `train` and `sft` share.

train.py and sft/train.py read and encode what they train on, and call these.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpo_core.run_options import RunOptions

logger = logging.getLogger("mmpo_core.train")


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        folder: model, tokenizer, README.md (its card), run.json, log_history.jsonl, train.png.
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


def loaded(
    options: RunOptions, device: Any, tokenizer: Any, splits: Mapping[str, Any]
) -> tuple[Any, str]:
    """Return the model that a run starts from, on its device, and the digest of its weights.

    Args:
        options: checked options.
        device: where the run is.
        tokenizer: the model's.
        splits: split -> encoded pairs or conversations.

    Raises:
        InputError: if it cannot be loaded, has no positions for the longest conversation or, on
            resumption, other weights than the run began with.
    """
    from mmpo_core.hub_push import prepare_push
    from mmpo_core.start_weights import start_weights
    from mmpo_core.train_setup import check_positions, load_start

    prepare_push(options)
    model = load_start(options, tokenizer)
    weights = start_weights(options, "model", model)
    check_positions(model, splits)
    return model.to(device), weights


def run_to_end(
    options: RunOptions,
    trainer: Any,
    record: dict[str, Any],
    checkpoint: Path | None,
    *,
    started: float,
    interrupted: Callable[[RunOptions], AbstractContextManager[None]] | None = None,
    keep_model: bool = True,
) -> TrainResult:
    """Take a run's steps, evaluate, and save; return what came of it.

    Args:
        options: checked options.
        trainer: a MeanTrainer, ready to train.
        record: run.json's content as it is known before the first step.
        checkpoint: to go on from.
        started: time.monotonic() when the run began.
        interrupted: surrounds the steps, to say how to go on if they are interrupted;
            says_how_to_resume if not given.
        keep_model: as for train_run.

    Raises:
        InputError: if the run diverges.
    """
    record["resumed_from"] = checkpoint and checkpoint.name
    open_folder(options, trainer, record)
    with (interrupted or says_how_to_resume)(options):
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        if trainer.eval_dataset is not None:
            trainer.evaluate_at_end()
    trainer.check_weights()
    seconds = time.monotonic() - started
    return finish(options, trainer, record, seconds, keep_model=keep_model)


def open_folder(options: RunOptions, trainer: Any, record: dict[str, Any]) -> None:
    """Make the output folder ready: an earlier run cleared away, run.json says "unfinished"."""
    from mmpo_core.adapters import adapter_record
    from mmpo_core.model_card import drop_model_card
    from mmpo_core.run_folder import RUN_FILE, clear, earlier_record, write_json

    earlier = earlier_record(options).get("processes", [])
    record["processes"] = sorted({*earlier, trainer.args.world_size})
    record["adapter"] = adapter_record(trainer.model, options)
    # no process may look for an earlier run after this one has begun
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        if options.overwrite:
            clear(options.folder)  # check_folder has seen that a run made what is there
            drop_model_card(options.folder)
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
    """Write model, tokenizer, card, history and plot, and at last run.json as "finished"."""
    from mmpo_core.checkpoints import drop_checkpoints, drop_last_checkpoint
    from mmpo_core.hub_push import push
    from mmpo_core.model_card import write_model_card
    from mmpo_core.run_folder import RUN_FILE, publish, write_history, write_json
    from mmpo_core.run_record import device_name, final_metrics, finite
    from mmpo_core.train_plot import plot_history
    from mmpo_core.wrappers import active_wrapper

    history = trainer.state.log_history
    resumed = record["resumed_from"] is not None
    record |= {
        "status": "finished",
        "steps": trainer.state.global_step,
        "metrics": finite(final_metrics(history, resumed=resumed)),
        **trainer.record(),
        "device": device_name(trainer.args.device),
        "wrapper": active_wrapper(trainer.model_wrapped),
        # how long the earlier part took is not known after a kill
        "seconds_since_resume" if resumed else "seconds": round(seconds, 3),
        "model_kept": keep_model,
    }
    made: list[str] = []
    if keep_model:
        made = publish(options.folder, trainer.save_model, main=trainer.is_world_process_zero())
    if trainer.is_world_process_zero():
        write_history(options.folder, history)
        plot_history(history, options.folder / "train.png", options.title)
        if keep_model:
            write_model_card(options, record)
        write_json(options.folder / RUN_FILE, record)
        if keep_model:
            drop_last_checkpoint(options.folder, record["steps"])
            push(options, made)
        else:
            drop_checkpoints(options.folder)
    return TrainResult(
        options.folder, trainer.state.global_step, record["metrics"], history, record
    )
