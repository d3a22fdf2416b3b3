"""How much of the training texts a model reads: what is cut, and to what size.

Read by kinds.py.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from margintool.similarity.fit.data import Ints, Pairs
from margintool.similarity.pair_text import PairForm, pair_texts
from margintool.similarity.tokens import limit_of, make_reader
from mmpo_core.errors import InputError

# Pairs whose characters per token are measured, and the share that has fewer than is reckoned.
_MEASURED_PAIRS, _DENSEST = 256, 0.1
# Of a prompt and two answers together.
_FEWEST_TOKENS = 6
# Pairs tokenised at once: a tokenizer's records take some hundred bytes a token.
_AT_ONCE = 1024


TEXTS, PAIRS = "texts", "pairs"


@dataclass(frozen=True)
class Cut:
    """How many of the training texts, or pairs, are longer than what the model reads of them.

    Args:
        what: TEXTS or PAIRS.
        limit: tokens that the model reads at once; None for any number.
        of: how many there are.
        over: how many are longer.
    """

    what: str
    limit: int | None
    of: int
    over: int

    @property
    def share(self) -> float:
        """`over`, as a share of all."""
        return self.over / self.of

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values that JSON holds."""
        return asdict(self) | {"share": self.share}


def cut_texts(model: Any, name: str, texts: Sequence[str]) -> Cut:
    """Count the texts that are longer than what a SentenceTransformer reads at once.

    Args:
        model: loaded, with its limit set.
        name: of the model, for messages.
        texts: of the training pairs, one or more.
    """
    reader = make_reader(model, name, in_chunks=False)
    over = sum(reading.over_limit for reading in reader.read(texts))
    return Cut(TEXTS, limit_of(model), len(texts), over)


def cut_pairs(model: Any, form: PairForm, pairs: Pairs) -> Cut:
    """Count the pairs of which a cross-encoder does not read all.

    Args:
        model: a CrossEncoder, with its limit set.
        form: what it reads; may cut texts to a number of characters.
        pairs: to train on, one or more.
    """
    limit, over = limit_of(model), 0
    for start in range(0, len(pairs), _AT_ONCE):
        texts = _texts(pairs, start, _AT_ONCE)
        cut = np.zeros(len(texts), bool)
        if form.characters is not None:
            cut |= np.array([sum(map(len, three)) for three in texts]) > form.characters
        if limit is not None:
            cut |= _tokens(model, [form.texts(*three) for three in texts]) > limit
        over += int(cut.sum())
    return Cut(PAIRS, limit, len(pairs), over)


def readable_characters(model: Any, train: Pairs) -> int | None:
    """Return how many characters of prompt and answers fit into what a cross-encoder reads.

    By the characters per token of the training pairs' own texts; so few that all fits for nine
    pairs of ten.

    Args:
        model: a CrossEncoder; None is returned for one that reads any number of tokens.
        train: pairs whose texts are measured.

    Raises:
        InputError: if hardly anything fits.
    """
    limit = limit_of(model)
    if limit is None:
        return None
    texts = _texts(train, 0, _MEASURED_PAIRS)
    framing = int(_tokens(model, [pair_texts("", "", "")])[0])
    if limit - framing < _FEWEST_TOKENS:
        raise InputError(
            f"the cross-encoder reads {limit} tokens at once, of which {framing} are needed around "
            "the texts: too few are left. Give a larger --max-length, or another base model"
        )
    tokens = np.maximum(_tokens(model, [pair_texts(*three) for three in texts]) - framing, 1)
    characters = np.array([sum(map(len, three)) for three in texts])
    rate = float(np.quantile(characters / tokens, _DENSEST))
    return max(1, int(rate * (limit - framing)))


def _tokens(model: Any, pairs: list[tuple[str, str]]) -> Ints:
    """Return (N,) tokens of pairs of texts, special ones included, before anything is cut."""
    encoded = model.tokenizer([a for a, _ in pairs], [b for _, b in pairs], verbose=False)
    return np.array([len(ids) for ids in encoded["input_ids"]], np.int64)


def _texts(pairs: Pairs, start: int, count: int) -> list[tuple[str, str, str]]:
    """Return (prompt, chosen, rejected) of some pairs."""
    table = pairs.table.slice(start, count)
    columns = [table.column(name).to_pylist() for name in ("prompt", "response_a", "response_b")]
    return list(zip(*columns, strict=True))
