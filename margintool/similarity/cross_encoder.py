"""How alike two answers are by a cross-encoder, which reads both at once: slower, and finer.

A cross-encoder depends on the order of its two texts, a margin must not: both orders are scored,
and their mean is kept in a store of one number a pair. Scores are similarities from 0 to 1; the
margin is 1 - similarity.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from margintool.hashing import combine, text_digests
from margintool.similarity.chunks import Ints, batches
from margintool.similarity.digest_index import Digests
from margintool.similarity.distances import Floats
from margintool.similarity.embedder import Embedded
from margintool.similarity.fingerprint import fingerprint
from margintool.similarity.loading import DTYPES, batch_budget, checked_device, loading_model
from margintool.similarity.locate import CROSS, locate
from margintool.similarity.pair_text import PROMPT_AND_ANSWERS, PairForm, read_form
from margintool.similarity.store import EmbeddingStore
from margintool.similarity.tokens import limit_of, well_formed
from mmpo_core.errors import InputError, lookup
from mmpo_core.hub import loading

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

Pair = tuple[str, str, str]
Texts = tuple[str, str]

# Part of the fingerprint. Raise it whenever the same model would give another similarity than
# before for any pair: by another text between answers, share of each when cut, or mean of both
# orders.
ALGORITHM = 1

# Pairs tokenised and sorted at once.
_PAIRS_AT_ONCE = 512


class CrossScorer:
    """A loaded cross-encoder of one score; see load_cross_encoder."""

    dim = 1

    def __init__(
        self, model: "CrossEncoder", name: str, form: PairForm, *, batch_tokens: int | None
    ) -> None:
        self._model = model
        self.name = name
        self.form = form
        self.limit = limit_of(model)
        self._budget = batch_budget(batch_tokens, str(model.device))
        self._check_scores()
        self.fingerprint = fingerprint(
            model, algorithm=ALGORITHM, form=[form.reads, form.characters]
        )

    def digests(self, prompts: pa.ChunkedArray, a: pa.ChunkedArray, b: pa.ChunkedArray) -> Digests:
        """Return (N, 16) digests of what is read of N pairs, the same for (a, b) and (b, a)."""
        left, right = text_digests(a), text_digests(b)
        # As text of fixed length, bytes compare from the left: an order of the two, no more.
        swap = left.view("S16")[:, 0] > right.view("S16")[:, 0] if len(left) else np.zeros(0, bool)
        first = np.where(swap[:, None], right, left)
        second = np.where(swap[:, None], left, right)
        reads_prompt = self.form.reads == PROMPT_AND_ANSWERS
        return combine([text_digests(prompts) if reads_prompt else None, first, second])

    def stream(self, pairs: Sequence[Pair]) -> Iterator[tuple[Ints, Embedded]]:
        """Yield (rows of `pairs`, their similarities as vectors of one number).

        Args:
            pairs: (prompt, answer, other answer) of each.
        """
        order = np.argsort([-sum(map(len, pair)) for pair in pairs], kind="stable")
        for first in range(0, len(order), _PAIRS_AT_ONCE):
            rows = order[first : first + _PAIRS_AT_ONCE]
            yield rows, self._score([pairs[row] for row in rows.tolist()])

    def margins(
        self,
        store: EmbeddingStore,
        prompts: pa.ChunkedArray,
        a: pa.ChunkedArray,
        b: pa.ChunkedArray,
    ) -> Floats:
        """Return the (N,) margins of pairs whose similarities are in the store, in [0, 1].

        Equal answers have exactly 0, whatever the model says of them; NaN where it gave NaN.

        Raises:
            InputError: if a pair is not in the store.
        """
        similarity = store.vectors(self.digests(prompts, a, b))[:, 0].astype(np.float64)
        same = (text_digests(a) == text_digests(b)).all(axis=1)
        return np.where(same, 0.0, np.clip(1 - similarity, 0.0, 1.0))

    def _score(self, pairs: list[Pair]) -> Embedded:
        """Score both orders of a few pairs: (N, 1) means."""
        forwards = [self._texts(prompt, a, b) for prompt, a, b in pairs]
        backwards = [self._texts(prompt, b, a) for prompt, a, b in pairs]
        encoded = self._model.tokenizer(
            [first for first, _ in forwards], [second for _, second in forwards], verbose=False
        )
        tokens = np.array([len(ids) for ids in encoded["input_ids"]], np.int64)
        limit = tokens.max() if self.limit is None else self.limit
        scores = np.empty((len(pairs), 2))
        # Half the budget, for both orders of a pair go into one batch.
        for rows in batches(np.minimum(tokens, limit), max(1, self._budget // 2)):
            few = rows.tolist()
            read = [forwards[row] for row in few] + [backwards[row] for row in few]
            scores[rows] = self._predict(read).reshape(2, -1).T
        means = scores.mean(axis=1, keepdims=True).astype(np.float32)
        return Embedded(means, tokens > limit, tokens)

    def _texts(self, prompt: str, a: str, b: str) -> Texts:
        return self.form.texts(well_formed(prompt), well_formed(a), well_formed(b))

    def _predict(self, read: list[Texts]) -> Floats:
        import torch

        try:
            scores = self._model.predict(read, batch_size=len(read), show_progress_bar=False)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{self.name}: out of memory on {self._model.device} with {self._budget:,} tokens "
                "a batch. Give fewer with batch_tokens, or --dtype float16"
            ) from error
        return np.asarray(scores, np.float64)

    def _check_scores(self) -> None:
        """Refuse models whose scores are no similarities from 0 to 1."""
        if self._model.num_labels != 1:
            raise InputError(
                f"{self.name}: gives {self._model.num_labels} scores a pair, not one similarity. "
                "Take a cross-encoder that was trained on similarities, such as an STS model"
            )
        activation = type(self._model.activation_fn).__name__
        if activation != "Sigmoid":
            raise InputError(
                f"{self.name}: gives scores without bounds (activation {activation}), as models "
                "that rank documents do, not similarities from 0 to 1. Take one that was trained "
                "on similarities, such as an STS model"
            )
        if not np.isfinite(self._predict([("Some text.", "Another."), ("x", "y")])).any():
            raise InputError(
                f"{self.name}: gives NaN for plain text. Its weights are broken, or they need "
                "another --dtype"
            )


def load_cross_encoder(
    name_or_path: str,
    *,
    device: str | None = None,
    dtype: str = "float32",
    batch_tokens: int | None = None,
    revision: str | None = None,
) -> CrossScorer:
    """Load a cross-encoder of one similarity. Code from its repository is never run.

    A folder with a margintool.json says itself what its model reads (pair_text.py); other models
    read the two answers.

    Args:
        name_or_path: folder or hub id.
        device: as torch names it; the fastest there is if None.
        dtype: what the model computes in: float32, float16 or bfloat16.
        batch_tokens: tokens computed at once, padding included; a default by device if None.
        revision: branch, tag or commit on the hub.

    Raises:
        InputError: if there is no such model, it cannot be loaded, or its scores are not
            similarities from 0 to 1.
    """
    located, local = locate(name_or_path, revision, CROSS)
    form = read_form(Path(located)) if Path(located).is_dir() else PairForm()
    with loading_model(name_or_path):
        import torch
        from sentence_transformers import CrossEncoder

        model = CrossEncoder(
            located,
            device=checked_device(device),
            trust_remote_code=False,
            revision=revision,
            local_files_only=local,
            model_kwargs={"dtype": getattr(torch, lookup("dtype", dtype, DTYPES))},
        ).eval()
    with loading(name_or_path):  # it tries the model
        return CrossScorer(model, name_or_path, form, batch_tokens=batch_tokens)
