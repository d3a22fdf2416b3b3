"""train_sft(): conversations to a model that answers. READ THIS FIRST of the supervised step.

`margintool sft` reads any file into conversations (margintool/sft.py) and calls this. Folder,
checkpoints, log and run.json are as `train` makes them, and `train --model FOLDER` goes on from
there.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mmpo_core.sft.conversations import ConversationReport, Conversations
from mmpo_core.sft.options import SftOptions, checked_options
from mmpo_core.training_run import TrainResult, loaded, run_to_end

logger = logging.getLogger("mmpo_core.train")


@dataclass(frozen=True)
class ConversationSource:
    """Where conversations come from.

    Attributes:
        name: what was read, in words.
        fingerprint: gives what identifies its content, so that a run is resumed on the same.
        tables: yields tables of `messages` and `origin`; adds what it reads and refuses to
            `report`.
        report: of reading, and then of encoding.
    """

    name: str
    fingerprint: Callable[[], str]
    tables: Callable[[], Iterator[pa.Table]]
    report: ConversationReport = field(default_factory=ConversationReport)


def train_sft(options: SftOptions, source: ConversationSource) -> TrainResult:
    """Train a language model on the assistant's tokens; return what came of it.

    Raises:
        InputError: for options, data, models and folders that cannot be used.
    """
    from mmpo_core.run_folder import check_folder
    from mmpo_core.sft.batching import conversation_batching
    from mmpo_core.train_progress import quiet_transformers
    from mmpo_core.training_args import training_arguments

    started = time.monotonic()
    options = checked_options(options)
    checkpoint = check_folder(options, source.fingerprint)
    arguments = training_arguments(options, evaluates=options.eval_split > 0)
    with quiet_transformers():
        tokenizer, splits = encode_source(options, source)
        model, weights = loaded(options, arguments.device, tokenizer, splits)
        packing = conversation_batching(options, model, tokenizer, splits)
        trainer = build_trainer(options, arguments, model, tokenizer, splits, packing.batching)
        record = start_record(options, source, splits)
        record["packing"] = packing.record()
        record["weights"] = {"model": weights}
        return run_to_end(options, trainer, record, checkpoint, started=started)


def encode_source(
    options: SftOptions, source: ConversationSource
) -> tuple[Any, dict[str, Conversations]]:
    """Return the tokenizer, and conversations as `train` and, where held out, `eval`."""
    from mmpo_core.sft.tokens import encode_conversations
    from mmpo_core.train_data import held_out_rows
    from mmpo_core.train_setup import start_tokenizer

    tokenizer = start_tokenizer(options)
    encoded = encode_conversations(
        source.tables(),
        tokenizer,
        source.report,
        max_length=options.max_length,
        overlong=options.overlong,
    )
    for line in source.report.lines():
        logger.info("%s", line)
    if options.eval_split == 0:
        return tokenizer, {"train": encoded}
    # by content: a conversation that stands twice is not both trained on and evaluated
    held_out = held_out_rows(
        encoded.keys(), options.eval_split, options.seed, what="conversation"
    ).to_numpy(zero_copy_only=False)
    parts = {"train": ~held_out, "eval": held_out}
    return tokenizer, {name: encoded.select(np.flatnonzero(rows)) for name, rows in parts.items()}


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
    options: SftOptions, source: ConversationSource, splits: dict[str, Conversations]
) -> dict[str, Any]:
    """Return run.json's content as it is known before the first step."""
    from mmpo_core.run_record import versions

    return {
        "status": "unfinished",
        "arguments": options.to_dict(),
        "conversations": {"name": source.name, "fingerprint": source.fingerprint()},
        "data": source.report.to_dict(),
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
