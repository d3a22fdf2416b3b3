"""Where conversations come from, and how they become what is trained and evaluated on.

Read by train.py and planning.py; margintool/sft_data.py makes sources of files.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mmpo_core.sft.conversations import ConversationReport, Conversations
from mmpo_core.sft.options import SftOptions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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

    def record(self) -> dict[str, str]:
        """Return what run.json says of it."""
        return {"name": self.name, "fingerprint": self.fingerprint()}


@dataclass(frozen=True)
class RunSources:
    """What a run reads.

    Attributes:
        train: conversations to train on, and to hold some of out.
        evaluation: others to evaluate on; None if none are given.
    """

    train: ConversationSource
    evaluation: ConversationSource | None = None

    def evaluates(self, options: SftOptions) -> bool:
        """Whether there is anything to evaluate on."""
        return self.evaluation is not None or options.eval_split > 0

    def reports(self) -> dict[str, ConversationReport]:
        """Return what reading and encoding did, by split."""
        both = {"train": self.train, "eval": self.evaluation}
        return {name: one.report for name, one in both.items() if one is not None}


def encode_sources(
    options: SftOptions, sources: RunSources
) -> tuple["PreTrainedTokenizerBase", dict[str, Conversations]]:
    """Return the tokenizer, and conversations as `train` and, where there are any, `eval`.

    Raises:
        InputError: if no conversation can be trained or evaluated on.
    """
    from mmpo_core.train_setup import start_tokenizer

    tokenizer: PreTrainedTokenizerBase = start_tokenizer(options)
    encoded = _encode(options, sources.train, tokenizer)
    if sources.evaluation is not None:
        splits = {"train": encoded, "eval": _encode(options, sources.evaluation, tokenizer)}
        if shared := also_trained_on(splits):
            logger.warning(
                "%d conversations of eval_data are trained on too: held-out numbers will look "
                "better than they are",
                shared,
            )
        return tokenizer, splits
    return tokenizer, _split(encoded, options) if options.eval_split else {"train": encoded}


def also_trained_on(splits: dict[str, Conversations]) -> int:
    """Return how many conversations to evaluate on are, token for token, trained on too."""
    if "eval" not in splits:
        return 0
    trained = set(splits["train"].keys().to_pylist())
    return sum(key in trained for key in splits["eval"].keys().to_pylist())


def _encode(options: SftOptions, source: ConversationSource, tokenizer: Any) -> Conversations:
    from mmpo_core.sft.tokens import encode_conversations

    encoded = encode_conversations(
        source.tables(),
        tokenizer,
        source.report,
        max_length=options.max_length,
        overlong=options.overlong,
    )
    for line in source.report.lines():
        logger.info("%s", line)
    return encoded


def _split(encoded: Conversations, options: SftOptions) -> dict[str, Conversations]:
    """Hold a share out, by content: one that stands twice is not on both sides."""
    from mmpo_core.train_data import held_out_rows

    held_out = held_out_rows(
        encoded.keys(), options.eval_split, options.seed, what="conversation"
    ).to_numpy(zero_copy_only=False)
    parts = {"train": ~held_out, "eval": held_out}
    return {name: encoded.select(np.flatnonzero(rows)) for name, rows in parts.items()}
