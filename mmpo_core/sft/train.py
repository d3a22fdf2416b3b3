"""train_sft(): conversations to a model that answers. READ THIS FIRST of the supervised step.

`margintool sft` reads any file into conversations (margintool/sft.py) and calls this. Folder,
checkpoints, log and run.json are as `train` makes them, and `train --model FOLDER` goes on from
there.
"""

import time
from contextlib import ExitStack
from typing import Any

from mmpo_core.sft.conversations import Conversations
from mmpo_core.sft.options import SftOptions, checked_options
from mmpo_core.sft.source import RunSources, also_trained_on, encode_sources
from mmpo_core.training_run import TrainResult, loaded, run_to_end


def train_sft(options: SftOptions, sources: RunSources) -> TrainResult:
    """Train a language model on the assistant's tokens; return what came of it.

    Raises:
        InputError: for options, data, models and folders that cannot be used.
    """
    from mmpo_core.run_folder import check_folder
    from mmpo_core.sft.batching import ConversationBatching
    from mmpo_core.train_batching import run_batching
    from mmpo_core.train_plan.out_of_memory import explained_by_plan
    from mmpo_core.train_progress import quiet_transformers
    from mmpo_core.training_args import training_arguments

    started = time.monotonic()
    options = checked_options(options)
    evaluation = sources.evaluation
    checkpoint = check_folder(
        options, sources.train.fingerprint, None if evaluation is None else evaluation.fingerprint
    )
    arguments = training_arguments(options, evaluates=sources.evaluates(options))
    with ExitStack() as stack:
        stack.enter_context(quiet_transformers())
        tokenizer, splits = encode_sources(options, sources)
        stack.enter_context(explained_by_plan(options, tokenizer, splits, arguments.device))
        model, weights = loaded(options, arguments.device, tokenizer, splits)
        packing = run_batching(options, model, tokenizer, splits, ConversationBatching)
        trainer = build_trainer(options, arguments, model, tokenizer, splits, packing.batching)
        record = start_record(options, sources, splits)
        record["packing"] = packing.record()
        record["weights"] = {"model": weights}
        return run_to_end(options, trainer, record, checkpoint, started=started)


def build_trainer(
    options: SftOptions,
    arguments: Any,
    model: Any,
    tokenizer: Any,
    splits: dict[str, Conversations],
    batching: Any,
) -> Any:
    """Return the trainer of a run; as train_setup.build_trainer does for pairs."""
    from mmpo_core.sft.trainer import SftTrainer
    from mmpo_core.train_progress import show_progress
    from mmpo_core.train_setup import trainer_keywords

    trainer = SftTrainer(**trainer_keywords(options, arguments, model, tokenizer, splits, batching))
    show_progress(trainer)
    return trainer


def start_record(
    options: SftOptions, sources: RunSources, splits: dict[str, Conversations]
) -> dict[str, Any]:
    """Return run.json's content as it is known before the first step."""
    from mmpo_core.run_record import versions

    reports = {name: report.to_dict() for name, report in sources.reports().items()}
    return {
        "status": "unfinished",
        "arguments": options.to_dict(),
        "conversations": sources.train.record(),
        "eval_conversations": sources.evaluation and sources.evaluation.record(),
        "eval_conversations_also_trained_on": also_trained_on(splits),
        "data": reports["train"],
        "eval_data": reports.get("eval"),
        "splits": {
            name: {
                "conversations": len(split),
                "tokens": int(split.lengths.sum()),
                "assistant_tokens": split.wanted_tokens,
            }
            for name, split in splits.items()
        },
        "seed": options.seed,
        "versions": versions(),
    }
