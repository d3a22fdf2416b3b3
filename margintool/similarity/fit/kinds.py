"""The two kinds of model that can be fitted: how each is loaded, what it reads, how it is measured.

Distances are those of `score --source similarity`, by the same classes (likeness.py). Read by
fitting.py; training.py trains either.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from margintool.hashing import keys, seeded, text_digests
from margintool.similarity.fingerprint import fingerprint
from margintool.similarity.fit.data import Pairs
from margintool.similarity.fit.lengths import Cut, cut_pairs, cut_texts, readable_characters
from margintool.similarity.fit.options import FitOptions
from margintool.similarity.likeness import (
    CROSS_ENCODER,
    DEFAULT_MODELS,
    CrossLikeness,
    EmbeddedLikeness,
    Likeness,
)
from margintool.similarity.loading import checked_device, loading_model
from margintool.similarity.locate import CROSS, SENTENCE, locate_base
from margintool.similarity.pair_text import PROMPT_AND_ANSWERS, PairForm, read_form, write_form
from margintool.similarity.store import EmbeddingStore
from margintool.similarity.texts import reads_prompt, response_texts, write_reads
from margintool.similarity.tokens import limit_of
from mmpo_core.errors import InputError

COSINE = "cosine"


@dataclass(frozen=True)
class Base:
    """A model to start from, loaded.

    Args:
        model: a SentenceTransformer or CrossEncoder.
        name: as the user gave it.
        what: SENTENCE, CROSS, or None for a plain transformers model.
        fresh_head: whether it got a head of random weights just now.
        unbounded: whether its scores had no bounds as it was.
        fingerprint: of the model as it was loaded.
    """

    model: Any
    name: str
    what: str | None
    fresh_head: bool
    unbounded: bool
    fingerprint: str


class Kind(Protocol):
    """A kind of model that can be fitted."""

    name: str
    metric: str

    def load(self) -> Base:
        """Load the model to start from.

        Raises:
            InputError: if it cannot be had, or is no model of a kind that can be fitted.
        """

    def prepare(self, model: Any, train: Pairs) -> None:
        """Set how much the model reads at once, for training and ever after.

        Raises:
            InputError: if it is to read more than it can.
        """

    def likeness(self, model: Any, folder: Path) -> Likeness:
        """Return what gives the distances of pairs by the model as it is now.

        Args:
            model: loaded.
            folder: an empty one, for its embeddings.
        """

    def texts(self, pairs: Pairs) -> tuple[list[str], list[str]]:
        """Return the N first and N second texts that the model reads for training."""

    def cut(self, model: Any, pairs: Pairs) -> Cut:
        """Count what training cuts: texts, or pairs, that are longer than the model reads."""

    def save(self, model: Any, folder: Path) -> None:
        """Write the model, and what it reads, into a folder, ready for --similarity-model."""


def kind_of(options: FitOptions) -> Kind:
    """Return the kind of model that the options ask for."""
    return CrossEncoderKind(options) if options.cross_encoder else BiEncoderKind(options)


class BiEncoderKind:
    """Embeds each answer by itself; the distance is 1 - cosine."""

    name, metric = "bi-encoder", COSINE

    def __init__(self, options: FitOptions) -> None:
        self._options = options
        self._with_prompt = options.with_prompt

    def load(self) -> Base:
        """Load the model to start from; see Kind. A plain one is read with mean pooling.

        Until it is prepared, one that was fitted before is given what it was fitted to.
        """
        name = self._options.base_model or DEFAULT_MODELS[self.metric]
        located, local, what = locate_base(name, SENTENCE)
        with loading_model(name):
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(located, **_loading(self._options, local))
        fitted_to = reads_prompt(name)
        self._with_prompt = self._options.with_prompt if fitted_to is None else fitted_to
        return Base(model, name, what, False, False, fingerprint(model))

    def prepare(self, model: Any, train: Pairs) -> None:
        """Set how much the model reads at once; see Kind."""
        _set_limit(model, self._options.max_length)
        self._with_prompt = self._options.with_prompt

    def likeness(self, model: Any, folder: Path) -> Likeness:
        """Return what gives distances; see Kind."""
        from margintool.similarity.embedder import MEAN_OF_CHUNKS, Embedder

        embedder = Embedder(model.eval(), self.name, pooling=MEAN_OF_CHUNKS, batch_tokens=None)
        store = EmbeddingStore(folder, embedder.fingerprint, embedder.dim)
        return EmbeddedLikeness(embedder, store, self.metric, with_prompt=self._with_prompt)

    def texts(self, pairs: Pairs) -> tuple[list[str], list[str]]:
        """Return the texts of chosen and of rejected; see Kind."""
        answers = [pairs.table.column(f"response_{side}") for side in "ab"]
        if self._with_prompt:
            answers = [response_texts(pairs.table.column("prompt"), text) for text in answers]
        a, b = (text.to_pylist() for text in answers)
        return a, b

    def cut(self, model: Any, pairs: Pairs) -> Cut:
        """Count the texts of training that are cut; see Kind."""
        first, second = self.texts(pairs)
        return cut_texts(model, self.name, [*first, *second])

    def save(self, model: Any, folder: Path) -> None:
        """Write the model, and what it reads; see Kind."""
        model.save_pretrained(str(folder), create_model_card=False)
        write_reads(folder, with_prompt=self._with_prompt)


class CrossEncoderKind:
    """Reads prompt and both answers at once; the distance is 1 - its similarity."""

    name, metric = "cross-encoder", CROSS_ENCODER

    def __init__(self, options: FitOptions) -> None:
        self._options = options
        self._form = PairForm()

    def load(self) -> Base:
        """Load the model to start from; see Kind. One that is no cross-encoder gets a new head."""
        import torch

        from mmpo_core.tiny import seeded as seeded_torch

        name = self._options.base_model or DEFAULT_MODELS[self.metric]
        located, local, what = locate_base(name, CROSS)
        if what == CROSS and Path(located).is_dir():
            self._form = read_form(Path(located))
        head = {} if what == CROSS else {"num_labels": 1}
        with loading_model(name), seeded_torch(self._options.seed):
            from sentence_transformers import CrossEncoder

            model = CrossEncoder(located, **head, **_loading(self._options, local))
        if model.num_labels != 1:
            raise InputError(
                f"{name}: gives {model.num_labels} scores a pair, not one similarity. Take a "
                "cross-encoder of one score, or a model without a head"
            )
        unbounded = not isinstance(model.activation_fn, torch.nn.Sigmoid)
        model.activation_fn = torch.nn.Sigmoid()
        return Base(model, name, what, what != CROSS, unbounded, fingerprint(model))

    def prepare(self, model: Any, train: Pairs) -> None:
        """Set how much the model reads at once, in tokens and in characters; see Kind."""
        _set_limit(model, self._options.max_length)
        self._form = PairForm(PROMPT_AND_ANSWERS, readable_characters(model, train))

    def likeness(self, model: Any, folder: Path) -> Likeness:
        """Return what gives distances; see Kind."""
        from margintool.similarity.cross_encoder import CrossScorer

        scorer = CrossScorer(model.eval(), self.name, self._form, batch_tokens=None)
        return CrossLikeness(scorer, EmbeddingStore(folder, scorer.fingerprint, scorer.dim))

    def texts(self, pairs: Pairs) -> tuple[list[str], list[str]]:
        """Return prompts, and both answers of each, in a random order; see Kind.

        The order is drawn by seed and pair, half of them either way: scores are the mean of both.
        """
        table = pairs.table
        drawn = seeded(keys(text_digests(table.column("pair_id"))), self._options.seed + 1)
        columns = [
            table.column(name).to_pylist() for name in ("prompt", "response_a", "response_b")
        ]
        read = []
        for prompt, a, b, swap in zip(*columns, (drawn >> np.uint64(63)).tolist(), strict=True):
            read.append(self._form.texts(prompt, *((b, a) if swap else (a, b))))
        return [first for first, _ in read], [second for _, second in read]

    def cut(self, model: Any, pairs: Pairs) -> Cut:
        """Count the pairs that are cut to what the model reads; see Kind."""
        return cut_pairs(model, self._form, pairs)

    def save(self, model: Any, folder: Path) -> None:
        """Write the model, and what it reads; see Kind."""
        model.save_pretrained(str(folder), create_model_card=False)
        write_form(folder, self._form)


def _loading(options: FitOptions, local: bool) -> dict[str, Any]:
    import torch

    return {
        "device": checked_device(options.device),
        "trust_remote_code": False,
        "local_files_only": local,
        "model_kwargs": {"dtype": torch.float32},
    }


def _set_limit(model: Any, max_length: int | None) -> None:
    if max_length is None:
        return
    limit = limit_of(model)
    if limit is not None and max_length > limit:
        raise InputError(f"--max-length {max_length}: the base model reads {limit} tokens at most")
    model.max_seq_length = max_length
