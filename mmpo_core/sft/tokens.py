"""Conversations of text to token ids, and to which of them the assistant has to produce.

Each conversation is rendered whole and tokenised once; a token belongs to an answer if it holds a
character of it, as in encode.py. Read by train.py; spans.py says where the answers stand.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mmpo_core.chat import RefusedError
from mmpo_core.encode import ROWS_AT_ONCE, Tokenizer, marked
from mmpo_core.encoded_pairs import Ids, Ragged
from mmpo_core.errors import InputError
from mmpo_core.fit import Overlong
from mmpo_core.sft.conversations import Bools, ConversationReport, Conversations, refuse
from mmpo_core.sft.spans import Conversation, ConversationFormat, unanswered

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COLUMNS = ("messages", "origin")


class ConversationTokenizer(Tokenizer):
    """The tokenizer's own model, for conversations with any number of answers."""

    def encode_conversations(
        self, conversations: list[Conversation]
    ) -> list[tuple[Ids, Bools, bool]]:
        """Return ids (T,) with one BOS (if the model has one) and EOS last, and masks (T,).

        The third value is whether text far beyond the limit, and EOS, was left away.
        """
        texts = [conversation.text[: self._most_characters] for conversation in conversations]
        encodings = self._backend.encode_batch(texts, add_special_tokens=False)
        return [
            self._ids_and_mask(conversation, encoding)
            for conversation, encoding in zip(conversations, encodings, strict=True)
        ]

    def _ids_and_mask(self, conversation: Conversation, encoding: Any) -> tuple[Ids, Bools, bool]:
        ids = np.array(encoding.ids, dtype=np.int32)
        starts, ends = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2).T
        mask = np.zeros(len(ids), dtype=bool)
        for start, end in conversation.spans:
            inside = np.flatnonzero((ends > start) & (starts < end))
            if len(inside):
                mask[inside[0] : inside[-1] + 1] = True
        if conversation.marks:
            kept = ~marked(conversation.marks, encoding.offsets)
            ids, mask = ids[kept], mask[kept]
        ids, shift = self._one_bos(ids)
        mask = np.concatenate([np.zeros(max(shift, 0), dtype=bool), mask[max(-shift, 0) :]])
        if len(conversation.text) > self._most_characters:
            return ids, mask, True
        return np.append(ids, np.int32(self._eos)), np.append(mask, True), False


def encode_conversations(
    tables: Iterable[pa.Table],
    tokenizer: "PreTrainedTokenizerBase",
    report: ConversationReport,
    *,
    max_length: int = 2048,
    overlong: Overlong = "truncate",
) -> Conversations:
    """Encode conversations through the tokenizer's chat template, one table at a time.

    Args:
        tables: `messages`, a list of role and content, and `origin`, where a row came from.
        tokenizer: a fast tokenizer with a chat template and an EOS token.
        report: counts are added to it.
        max_length: most tokens of a conversation, BOS and EOS included.
        overlong: what to do with one over it: `truncate` cuts it from the right, and drops it if
            no answer is left; `drop` leaves it out; `error` stops.

    Raises:
        InputError: on an unfit tokenizer, or when no conversation is left.
    """
    builder = _Builder(tokenizer, report, max_length, overlong)
    for table in tables:
        for batch in table.select(COLUMNS).to_batches(max_chunksize=ROWS_AT_ONCE):
            builder.add(batch.to_pylist())
    return builder.build()


class _Builder:
    """Collects encoded conversations and counts."""

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        report: ConversationReport,
        max_length: int,
        overlong: Overlong,
    ) -> None:
        self._format = ConversationFormat(tokenizer)
        self._tokenizer = ConversationTokenizer(tokenizer, max_length)
        self._report, self._max_length, self._overlong = report, max_length, overlong
        self._ids: list[Ids] = []
        self._masks: list[Bools] = []

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Encode rows of messages and origin."""
        framed = []
        for row in rows:
            if (why := unanswered(row["messages"])) is not None:
                refuse(self._report.refused, "no answer", f"{row['origin']}: {why}")
                continue
            try:
                framed.append((row["origin"], self._format.frame_conversation(row["messages"])))
            except RefusedError as error:
                refuse(self._report.refused, "template", f"{row['origin']}: {error}")
        encoded = self._tokenizer.encode_conversations([conversation for _, conversation in framed])
        for (origin, conversation), (ids, mask, shortened) in zip(framed, encoded, strict=True):
            self._add(origin, conversation, ids, mask, shortened)

    def _add(
        self, origin: str, conversation: Conversation, ids: Ids, mask: Bools, shortened: bool
    ) -> None:
        over = shortened or len(ids) > self._max_length
        said = f"{origin}: {'more than ' if shortened else ''}{len(ids)} tokens"
        if over and self._overlong == "error":
            raise InputError(
                f"{said}, and max_length is {self._max_length}. Raise it, or cut or drop such "
                "conversations with overlong truncate or drop"
            )
        if over and self._overlong == "drop":
            refuse(self._report.refused, "overlong", said)
            return
        ids, mask = ids[: self._max_length], mask[: self._max_length]
        mask[:1] = False  # nothing predicts the first token
        if not mask.any():
            refuse(
                self._report.refused,
                "no answer left",
                f"{said}, none of the first {self._max_length} the assistant's",
            )
            return
        self._ids.append(ids)
        self._masks.append(mask)
        self._report.kept += 1
        self._report.longest = max(self._report.longest, len(ids))
        self._report.cut += over
        # those of which a token is left
        self._report.answers += int(np.count_nonzero(mask[1:] & ~mask[:-1]))
        self._report.system_merged += conversation.system_merged
        self._report.answers_altered += conversation.altered

    def build(self) -> Conversations:
        """Return the conversations.

        Raises:
            InputError: if there are none.
        """
        if not self._ids:
            raise InputError(
                "no conversation can be trained on.\n" + "\n".join(self._report.lines())
            )
        return Conversations(Ragged.of(self._ids), np.concatenate(self._masks))
