"""Pairs of text to pairs of token ids: one template, one tokenisation, one BOS, one EOS.

Read chat.py first (where the completion stands in the text), `encode_pairs` at the end of this
file, then fit.py (what is cut where a pair is too long). The result, EncodedPairs, is what
collate.py and the trainers read.

Each conversation is rendered whole and tokenised once, and split by character offsets: prompt
and completion tokenised apart merge differently at the boundary (TRL issue 1153). A token that
straddles the boundary belongs to the completion: its log-prob depends on the answer, and in the
prompt nothing would be trained on the answer's first characters. Where the two answers of a pair
merge differently with the header, the prompt ends at the last token that both share, so that
both completions are conditioned on the same ids.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmpo_core.chat import ChatFormat, Framed, FramedPair, RefusedError, adds_bos, shorten
from mmpo_core.encoded_pairs import Dropped, EncodedPairs, EncodeReport, Ids, Ragged
from mmpo_core.errors import InputError
from mmpo_core.fit import Fitted, Limits, Overlong, Tokens, shared_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COLUMNS = ("pair_id", "history", "prompt", "chosen", "rejected", "margin", "weight")
ROWS_AT_ONCE = 512  # bounds the memory of rendered text; the tokenizer works on it in parallel


class Tokenizer:
    """The tokenizer's own model, called for ids and offsets alone."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> None:
        """Take a private copy of the fast tokenizer, free of padding, truncation and trimming.

        max_length: tokens of which no conversation keeps more.

        Raises:
            InputError: if the tokenizer is not a fast one (offsets are needed).
        """
        from tokenizers import Tokenizer as Backend
        from tokenizers.processors import TemplateProcessing

        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"{type(tokenizer).__name__} is not a fast tokenizer: it gives no character "
                "offsets. Use a model that comes with a tokenizer.json"
            )
        self._backend = Backend.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_padding()
        self._backend.no_truncation()
        # A post-processor may cut white space out of the offsets (ByteLevel trim_offsets).
        self._backend.post_processor = TemplateProcessing(single="$A", pair="$A $B")
        # Twice the characters that max_length tokens can cover.
        self._most_characters = 2 * max_length * max(map(len, tokenizer.get_vocab()))
        self._bos_text = tokenizer.bos_token
        self._bos, self._eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        self._adds_bos = adds_bos(tokenizer)

    def encode(self, framed: Sequence[Framed]) -> list[Tokens]:
        """Tokenise whole conversations: exactly one BOS (if the model has one), EOS last."""
        near = [shorten(f, self._most_characters, self._bos_text) for f in framed]
        encodings = self._backend.encode_batch([f.text for f in near], add_special_tokens=False)
        return [self._tokens(f, e) for f, e in zip(near, encodings, strict=True)]

    def count(self, text: str) -> int:
        """Return the number of tokens of a text by itself."""
        return len(self._backend.encode(text, add_special_tokens=False).ids)

    def _tokens(self, framed: Framed, encoding: Any) -> Tokens:
        ids = np.array(encoding.ids, dtype=np.int32)
        start = _token_at(encoding, framed.start, len(framed.text), len(ids))
        end = _token_at(encoding, framed.end, len(framed.text), len(ids))
        closing = len(ids) - end + 1
        if framed.marks:
            kept = ~marked(framed.marks, encoding.offsets)
            start, ids = int(kept[:start].sum()), ids[kept]
        ids, shift = self._one_bos(ids)
        ids = np.append(ids, np.int32(self._eos))
        return Tokens(ids, start + shift, closing, framed.shortened)

    def _one_bos(self, ids: Ids) -> tuple[Ids, int]:
        """Return ids with one BOS in front if the template or the tokenizer wants it.

        Templates and tokenizers may both add it (axolotl #1733, NeMo-RL #855). The second value
        is by how many places the ids moved to the right.
        """
        if self._bos is None:
            return ids, 0
        leading = int(np.argmin(np.append(ids == self._bos, False)))
        wanted = int(leading > 0 or self._adds_bos)
        front = np.full(wanted, self._bos, dtype=np.int32)
        return np.concatenate([front, ids[leading:]]), wanted - leading


def _token_at(encoding: Any, position: int, characters: int, tokens: int) -> int:
    """Return the first token that covers the character at `position` or one after it."""
    for at in range(position, characters):
        token = encoding.char_to_token(at)
        if token is not None:
            return int(token)
    return tokens


def marked(marks: Sequence[int], offsets: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """Return a bool (T,): the tokens that are one of the marks and nothing else."""
    starts, ends = np.asarray(offsets, dtype=np.int64).T
    return np.asarray(np.isin(starts, marks) & (ends - starts == 1))


class _Builder:
    """Collects encoded pairs and counts, row by row."""

    def __init__(self, limits: Limits, bos: int | None) -> None:
        self._limits, self._bos = limits, bos
        self._fitted: list[Fitted] = []
        self._rows: list[tuple[int, str, float, float]] = []
        self._dropped: list[Dropped] = []
        self._merged = self._altered = 0

    def drop(self, row: int, pair_id: str, reason: str, detail: str) -> None:
        self._dropped.append(Dropped(row, pair_id, reason, detail))

    def add(
        self, row: int, record: dict[str, Any], pair: FramedPair, sides: tuple[Tokens, Tokens]
    ) -> None:
        chosen, rejected = sides
        fitted = self._limits.fit(chosen, rejected, int(chosen.ids[0]) == self._bos)
        pair_id = record["pair_id"]
        if fitted is None:
            longest = max(len(chosen.ids), len(rejected.ids))
            least = "more than " if chosen.shortened or rejected.shortened else ""
            detail = f"{least}{longest} tokens, prompt {shared_prompt(*sides)}"
            if self._limits.overlong == "error":
                raise InputError(
                    f"row {row} (pair_id {pair_id}) is longer than the limit: {detail}; max_length "
                    f"is {self._limits.max_length}, max_prompt_length "
                    f"{self._limits.max_prompt_length}. Raise them, or cut or drop such pairs "
                    "with overlong truncate or drop"
                )
            self.drop(row, pair_id, "overlong", detail)
        elif not len(fitted.prompt):
            self.drop(row, pair_id, "no prompt", "the template puts nothing before the answer")
        elif np.array_equal(fitted.chosen, fitted.rejected):
            cut = " after cutting" if fitted.completion_cut else ""
            self.drop(row, pair_id, "identical", f"both answers are the same tokens{cut}")
        else:
            self._fitted.append(fitted)
            self._rows.append((row, pair_id, record["margin"], record["weight"]))
            self._merged += pair.system_merged
            self._altered += pair.chosen.altered or pair.rejected.altered

    def build(self, read: int) -> EncodedPairs:
        report = EncodeReport(
            read=read,
            kept=len(self._fitted),
            prompts_cut=sum(f.prompt_cut for f in self._fitted),
            completions_cut=sum(f.completion_cut for f in self._fitted),
            system_merged=self._merged,
            answers_altered=self._altered,
            dropped=tuple(self._dropped),
        )
        if not self._fitted:
            raise InputError("no pair can be trained on.\n" + "\n".join(report.lines()))
        rows, pair_ids, margins, weights = zip(*self._rows, strict=True)
        return EncodedPairs(
            prompt=Ragged.of([f.prompt for f in self._fitted]),
            chosen=Ragged.of([f.chosen for f in self._fitted]),
            rejected=Ragged.of([f.rejected for f in self._fitted]),
            row=np.array(rows, dtype=np.int64),
            pair_id=pair_ids,
            report=report,
            columns={"margin": np.array(margins), "weight": np.array(weights)},
        )


def encode_pairs(
    table: pa.Table,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int = 1024,
    max_prompt_length: int | None = None,
    overlong: Overlong = "truncate",
) -> EncodedPairs:
    """Encode a pair table through the tokenizer's chat template.

    Args:
        table: N pairs of the contract: pair_id, history, prompt, chosen, rejected, margin, weight.
        tokenizer: a fast tokenizer with a chat template and an EOS token.
        max_length: most tokens of a conversation, BOS and EOS included. 1024 as in the paper.
        max_prompt_length: most tokens of a prompt. None: half of max_length is safe from cutting,
            and more where the answers leave room.
        overlong: what to do with a pair over the limits: `truncate` cuts the prompt from the left
            and the completions from the right, EOS kept; `drop` leaves it out and counts it;
            `error` stops.

    Returns:
        The pairs in table order, without those that could not be used; `report` counts these and
        the cut ones. A pair whose two completions are the same tokens is dropped: its gradient
        is zero whatever its target.

    Raises:
        InputError: on an unfit tokenizer, limits that leave no room, a missing column, or when
            no pair is left.
    """
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(
            f"column {missing[0]!r} is missing; encode_pairs reads {', '.join(COLUMNS)}"
        )
    chat, tokens = ChatFormat(tokenizer), Tokenizer(tokenizer, max_length)
    header = tokens.count(chat.header) + int(adds_bos(tokenizer))
    limits = Limits(max_length, max_prompt_length, overlong, header)
    builder = _Builder(limits, tokenizer.bos_token_id)
    first = 0
    for batch in table.select(COLUMNS).to_batches(max_chunksize=ROWS_AT_ONCE):
        _encode_batch(first, batch.to_pylist(), chat, tokens, builder)
        first += batch.num_rows
    return builder.build(table.num_rows)


def _encode_batch(
    first: int,
    records: list[dict[str, Any]],
    chat: ChatFormat,
    tokens: Tokenizer,
    builder: _Builder,
) -> None:
    framed: list[tuple[int, dict[str, Any], FramedPair]] = []
    for row, record in enumerate(records, start=first):
        try:
            framed.append((row, record, chat.frame(record)))
        except RefusedError as error:
            builder.drop(row, record["pair_id"], "template", str(error))
    sides = tokens.encode([side for *_, pair in framed for side in (pair.chosen, pair.rejected)])
    pairs = zip(sides[::2], sides[1::2], strict=True)
    for (row, record, pair), both in zip(framed, pairs, strict=True):
        builder.add(row, record, pair, both)
