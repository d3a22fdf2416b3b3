"""Texts turned into the features that a model's modules read, tokenised once. Read by embedder.py.

sentence-transformers tokenises batch by batch and cuts what is too long without a word. Here a
text is tokenised first, so that lengths are known when batches are made and long texts can be
cut into chunks. That the features are those of the model's own `preprocess` is checked when a
model is loaded, on texts that bring out differences.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from margintool.similarity.chunks import Room, cut
from margintool.similarity.fingerprint import default_prompt
from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.model import BaseModel

Features = dict[str, Any]
Ids = npt.NDArray[np.int32]

# The tokenizer's own records take some hundred bytes a token: they are made for so much at once.
_CHARACTERS_AT_ONCE = 1 << 20
# Limits above this are a tokenizer's way to say that it knows of none.
_NO_LIMIT = 1_000_000
_PROBES = ("Ten plain words, more or less, and a full stop.", "ÀÉ mixed CASE 😀 \u200b x", "a")


@dataclass(frozen=True)
class Reading:
    """One text as a model reads it.

    Args:
        chunks: what the model is given, each in turn; none for a text without any token.
        sizes: tokens of each chunk, special ones and the prompt included.
        weights: tokens of text in each.
        tokens: tokens of the whole text, before anything was cut.
        over_limit: whether the text is longer than what the model reads at once.
    """

    chunks: list[Any]
    sizes: list[int]
    weights: list[int]
    tokens: int
    over_limit: bool


class Reader(Protocol):
    """Reads texts for one model."""

    def read(self, texts: Sequence[str]) -> Iterator[Reading]:
        """Yield a Reading per text."""

    def features(self, chunks: Sequence[Any]) -> Features:
        """Return the features of one batch of chunks, on the CPU."""


def make_reader(model: "SentenceTransformer", name: str, *, in_chunks: bool) -> Reader:
    """Return the reader of a model.

    Args:
        model: loaded.
        name: of the model, for messages.
        in_chunks: read long texts in chunks; else what is over the limit is cut off.

    Raises:
        InputError: if texts cannot be measured as the model measures them.
    """
    if getattr(model.tokenizer, "is_fast", False):
        reader = TokenReader(model, name, in_chunks=in_chunks)
        if reader.agrees():
            return reader
    if limit_of(model) is None:
        return WholeReader(model)
    raise InputError(
        f"{name}: the tokens of a text cannot be told apart from what its own code adds to them "
        f"({type(model[0]).__name__}, {type(model.tokenizer).__name__}), so that long texts would "
        "be cut unseen. Take another model"
    )


class TokenReader:
    """For transformers with a fast tokenizer: nearly all models."""

    def __init__(self, model: "SentenceTransformer", name: str, *, in_chunks: bool) -> None:
        self._model = model
        self._tokenizer = model.tokenizer
        self._in_chunks = in_chunks
        self._prompt = default_prompt(model)
        self._prompt_ids = self._plain([self._prompt])[0]
        self._prefix, self._suffix = self._specials()
        self._as_model = model.preprocess([*_PROBES], prompt=self._prompt or None)
        limit = limit_of(model) or _NO_LIMIT
        first = limit - len(self._prefix) - len(self._suffix)
        self._room = Room(first, first - len(self._prompt_ids))
        if self._room.later < 1:
            raise InputError(f"{name}: reads {limit} tokens at once, which its prompt takes up")

    def read(self, texts: Sequence[str]) -> Iterator[Reading]:
        """Yield a Reading per text."""
        for few in _some_at_once(texts):
            yield from map(self._reading, self._encodings([self._prompt + text for text in few]))

    def features(self, chunks: Sequence[Ids]) -> Features:
        """Return chunks padded to the longest, as the model's own `preprocess` would."""
        import torch

        width = max(map(len, chunks))
        ids = np.full((len(chunks), width), self._tokenizer.pad_token_id or 0, np.int64)
        mask = np.zeros((len(chunks), width), np.int64)
        for row, chunk in enumerate(chunks):
            left = width - len(chunk) if self._tokenizer.padding_side == "left" else 0
            ids[row, left : left + len(chunk)] = chunk
            mask[row, left : left + len(chunk)] = 1
        made = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        made["token_type_ids"] = torch.zeros_like(made["input_ids"])
        # What else the model's own features hold, such as the length of the prompt, stays.
        return {key: made.get(key, value) for key, value in self._as_model.items()}

    def agrees(self) -> bool:
        """Whether features are the same as the model's own, for short and for long texts."""
        texts = list(_PROBES)
        if self._room.first < _NO_LIMIT // 2:
            texts.append("long words " * self._room.first)
        own = self._model.preprocess(texts, prompt=self._prompt or None)
        read = [self._truncated(ids) for ids in self._plain([self._prompt + t for t in texts])]
        made = self.features(read)
        return own.keys() == made.keys() and all(_same(own[key], made[key]) for key in own)

    def _plain(self, texts: Sequence[str]) -> list[Ids]:
        """Return the token ids of each text, without special ones."""
        return [np.array(encoding.ids, np.int32) for encoding in self._encodings(texts)]

    def _encodings(self, texts: Sequence[str]) -> Any:
        # verbose: no warning that a text is too long, which is what is found out here.
        return self._tokenizer(list(texts), add_special_tokens=False, verbose=False).encodings

    def _specials(self) -> tuple[Ids, Ids]:
        plain = self._plain(["a"])[0].tolist()
        whole = np.array(self._tokenizer("a", verbose=False)["input_ids"], np.int32)
        for start in range(len(whole) - len(plain) + 1):
            if whole[start : start + len(plain)].tolist() == plain:
                return whole[:start], whole[start + len(plain) :]
        return whole[:0], whole[:0]

    def _reading(self, encoding: Any) -> Reading:
        ids, prompt = np.array(encoding.ids, np.int32), len(self._prompt_ids)
        tokens, over = len(ids) - prompt, len(ids) > self._room.first
        if not over or not self._in_chunks:
            chunk = self._truncated(ids)
            chunks = [chunk] if len(chunk) else []
            return Reading(chunks, [len(chunk)] * len(chunks), [1] * len(chunks), tokens, over)
        places = cut(len(ids), self._room, _word_starts(encoding.word_ids))
        chunks = [self._framed(ids[start:end], later=start > 0) for start, end in places]
        weights = [end - start - (0 if start else prompt) for start, end in places]
        return Reading(chunks, [len(chunk) for chunk in chunks], weights, tokens, over)

    def _truncated(self, ids: Ids) -> Ids:
        size = self._room.first
        return self._framed(
            ids[-size:] if self._tokenizer.truncation_side == "left" else ids[:size]
        )

    def _framed(self, ids: Ids, *, later: bool = False) -> Ids:
        prompt = [self._prompt_ids] if later else []
        return np.concatenate([self._prefix, *prompt, ids, self._suffix])


class WholeReader:
    """For models that read texts of any length at once, such as static embeddings."""

    def __init__(self, model: "SentenceTransformer") -> None:
        self._model = model
        self._prompt = default_prompt(model)

    def read(self, texts: Sequence[str]) -> Iterator[Reading]:
        """Yield a Reading per text; tokens are reckoned, at four characters each."""
        for text in texts:
            size = len(text) // 4 + 1
            yield Reading([text], [size], [size], size, over_limit=False)

    def features(self, chunks: Sequence[str]) -> Features:
        """Return the model's own features."""
        made: Features = self._model.preprocess(list(chunks), prompt=self._prompt or None)
        return made


def limit_of(model: "BaseModel") -> int | None:
    """Return how many tokens a model reads at once, special ones included; None for any number."""
    limit = model.max_seq_length
    return int(limit) if limit is not None and limit < _NO_LIMIT else None


def well_formed(text: str) -> str:
    """Return the text with lone surrogates, which no tokenizer takes, as the sign U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _word_starts(words: Sequence[int | None]) -> npt.NDArray[np.bool_]:
    """Return whether a word begins at a token, from the number of each token's word."""
    numbers = np.array([-1 if word is None else word for word in words])
    return np.concatenate([[True], numbers[1:] != numbers[:-1]])


def _some_at_once(texts: Sequence[str]) -> Iterator[list[str]]:
    few: list[str] = []
    characters = 0
    for text in texts:
        few.append(text)
        characters += len(text)
        if characters >= _CHARACTERS_AT_ONCE:
            yield few
            few, characters = [], 0
    if few:
        yield few


def _same(own: Any, made: Any) -> bool:
    import torch

    if isinstance(own, torch.Tensor):
        return isinstance(made, torch.Tensor) and torch.equal(own, made)
    return bool(own == made)
