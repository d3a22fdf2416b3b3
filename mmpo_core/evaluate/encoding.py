"""The same pairs for every model: encoded by each one's chat template, kept where all can use them.

Read by running.py and predicting.py.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from mmpo_core.encode import encode_pairs
from mmpo_core.encoded_pairs import EncodedPairs
from mmpo_core.errors import InputError
from mmpo_core.evaluate.models import EvaluatedModel
from mmpo_core.evaluate.options import PredictOptions
from mmpo_core.fit import Overlong
from mmpo_core.models import load_tokenizer
from mmpo_core.run_options import RunOptions
from mmpo_core.train_options import TrainOptions

logger = logging.getLogger("mmpo_core.evaluate")


@dataclass(frozen=True)
class Encoded:
    """Pairs as one model reads them.

    Attributes:
        tokenizer: the model's.
        pairs: N pairs; their `row` is that of the table.
    """

    tokenizer: Any
    pairs: EncodedPairs


@dataclass(frozen=True)
class Lengths:
    """Limits of a conversation; see encode_pairs."""

    max_length: int
    max_prompt_length: int | None
    overlong: Overlong


def lengths_for(models: Sequence[EvaluatedModel], options: PredictOptions) -> Lengths:
    """Return the limits that hold for all models: given, or as in their runs where these agree."""
    runs = [model.run for model in models if model.run is not None]
    chosen: dict[str, Any] = {}
    for name, default in (
        ("max_length", RunOptions.max_length),
        ("max_prompt_length", TrainOptions.max_prompt_length),
        ("overlong", RunOptions.overlong),
    ):
        given, recorded = getattr(options, name), {getattr(run, name) for run in runs}
        if given is None and len(recorded) > 1:
            logger.warning("the runs had different %s; here it is %s", name, default)
        agreed = next(iter(recorded)) if len(recorded) == 1 else default
        chosen[name] = agreed if given is None else given
    return Lengths(**chosen)


def encode_all(
    models: Sequence[EvaluatedModel], table: pa.Table, options: PredictOptions
) -> dict[str, Encoded]:
    """Return label -> the pairs as that model reads them, the same pairs for all.

    Models of one tokenizer and template share the work. Pairs that one of them cannot use are left
    out for all.

    Raises:
        InputError: if a tokenizer is unfit, or no pair is left.
    """
    lengths = lengths_for(models, options)
    done: dict[str, EncodedPairs] = {}
    found: dict[str, Encoded] = {}
    for model in models:
        tokenizer = load_tokenizer(
            model.name, trust_remote_code=options.trust_remote_code, revision=model.revision
        )
        key = _template_key(tokenizer)
        if key not in done:
            done[key] = _encode(model, table, tokenizer, lengths)
        found[model.label] = Encoded(tokenizer, done[key])
    if len(done) == 1:
        return found
    logger.info("the models have different tokenizers or chat templates")
    return _of_common_rows(found)


def _encode(
    model: EvaluatedModel, table: pa.Table, tokenizer: Any, lengths: Lengths
) -> EncodedPairs:
    try:
        encoded = encode_pairs(table, tokenizer, **vars(lengths))
    except InputError as error:
        raise InputError(f"{model.name}: {error}") from error
    for line in encoded.report.lines():
        logger.info("%s: %s", model.label, line)
    return encoded


def _of_common_rows(found: Mapping[str, Encoded]) -> dict[str, Encoded]:
    rows = [one.pairs.row for one in found.values()]
    common = reduce(np.intersect1d, rows)
    dropped = len(reduce(np.union1d, rows)) - len(common)
    if not len(common):
        raise InputError("no pair can be used by all models; evaluate them one by one")
    if dropped:
        logger.info("%d pairs that one of the models cannot use are left out for all", dropped)
    return {
        label: Encoded(one.tokenizer, one.pairs.select(np.isin(one.pairs.row, common).nonzero()[0]))
        for label, one in found.items()
    }


def _template_key(tokenizer: Any) -> str:
    """Return what decides how a tokenizer encodes a conversation."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    ids = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    return f"{backend and backend.to_str()}{tokenizer.chat_template}{ids}"
