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
from margintool.similarity.pair_text import (
    PROMPT_AND_ANSWERS,
    PairForm,
    pair_texts,
    read_form,
    write_form,
)
from margintool.similarity.store import EmbeddingStore
from margintool.similarity.texts import response_texts
from margintool.similarity.tokens import limit_of
from mmpo_core.errors import InputError

COSINE = "cosine"
# Pairs whose characters per token are measured, and the share that has fewer than is reckoned.
_MEASURED_PAIRS, _DENSEST = 256, 0.1
# Of a prompt and two answers together.
_FEWEST_TOKENS = 6


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

    def save(self, model: Any, folder: Path) -> None:
        """Write the model into a folder, ready for --similarity-model."""


def kind_of(options: FitOptions) -> Kind:
    """Return the kind of model that the options ask for."""
    return CrossEncoderKind(options) if options.cross_encoder else BiEncoderKind(options)


class BiEncoderKind:
    """Embeds each answer by itself; the distance is 1 - cosine."""

    name, metric = "bi-encoder", COSINE

    def __init__(self, options: FitOptions) -> None:
        self._options = options

    def load(self) -> Base:
        """Load the model to start from; see Kind. A plain one is read with mean pooling."""
        name = self._options.base_model or DEFAULT_MODELS[self.metric]
        located, local, what = locate_base(name, SENTENCE)
        with loading_model(name):
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(located, **_loading(self._options, local))
        return Base(model, name, what, False, False, fingerprint(model))

    def prepare(self, model: Any, train: Pairs) -> None:
        """Set how much the model reads at once; see Kind."""
        _set_limit(model, self._options.max_length)

    def likeness(self, model: Any, folder: Path) -> Likeness:
        """Return what gives distances; see Kind."""
        from margintool.similarity.embedder import MEAN_OF_CHUNKS, Embedder

        embedder = Embedder(model.eval(), self.name, pooling=MEAN_OF_CHUNKS, batch_tokens=None)
        store = EmbeddingStore(folder, embedder.fingerprint, embedder.dim)
        with_prompt = self._options.with_prompt
        return EmbeddedLikeness(embedder, store, self.metric, with_prompt=with_prompt)

    def texts(self, pairs: Pairs) -> tuple[list[str], list[str]]:
        """Return the texts of chosen and of rejected; see Kind."""
        answers = [pairs.table.column(f"response_{side}") for side in "ab"]
        if self._options.with_prompt:
            answers = [response_texts(pairs.table.column("prompt"), text) for text in answers]
        a, b = (text.to_pylist() for text in answers)
        return a, b

    def save(self, model: Any, folder: Path) -> None:
        """Write the model; see Kind."""
        model.save_pretrained(str(folder), create_model_card=False)


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
        self._form = read_form(Path(located)) if Path(located).is_dir() else PairForm()
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

    def save(self, model: Any, folder: Path) -> None:
        """Write the model, and what it reads; see Kind."""
        model.save_pretrained(str(folder), create_model_card=False)
        write_form(folder, self._form)


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
    table = train.table.slice(0, _MEASURED_PAIRS)
    columns = [table.column(name).to_pylist() for name in ("prompt", "response_a", "response_b")]
    texts = list(zip(*columns, strict=True))
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


def _tokens(model: Any, pairs: list[tuple[str, str]]) -> Any:
    encoded = model.tokenizer([a for a, _ in pairs], [b for _, b in pairs], verbose=False)
    return np.array([len(ids) for ids in encoded["input_ids"]])


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
