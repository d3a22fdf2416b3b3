"""A model over pairs: what it says of each. READ THIS FIRST of the torch half.

    from mmpo_core.evaluate.predicting import predict
    predict("runs/tiny-policy", read_pairs("heldout.parquet", "arrow"))

Pairs are encoded, packed and checked as in training, without gradients. Log-probs and rewards are
kept in the reference cache, a part at a time: an interrupted pass goes on where it stopped. One
model is in memory at a time. running.py evaluates several.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
import xxhash

from mmpo_core.encoded_pairs import EncodedPairs, Floats
from mmpo_core.engine.memory import explained_out_of_memory
from mmpo_core.engine.rewards import reward_values, side_rewards
from mmpo_core.engine.scoring import Batch, completion_token_logps
from mmpo_core.errors import InputError
from mmpo_core.evaluate.encoding import Encoded, encode_all
from mmpo_core.evaluate.models import EvaluatedModel, Reference, find_model
from mmpo_core.evaluate.options import PredictOptions, checked_options
from mmpo_core.evaluate.passes import (
    autocast_of,
    computes_in_bf16,
    free_memory,
    loading_of,
    pass_over,
)
from mmpo_core.evaluate.predictions import REWARD, Predictions
from mmpo_core.losses import answer_scores
from mmpo_core.models import load_policy, load_reward_model, load_tokenizer
from mmpo_core.reference import check_same_vocabulary, reference_logps
from mmpo_core.reference_model import as_reference, weights_digest
from mmpo_core.reference_pass import REFERENCE, Words
from mmpo_core.train_progress import quiet_transformers

_TAKES_LESS = (
    "A forward pass takes less with a smaller --tokens-per-batch, weights half with --dtype "
    "bfloat16"
)


@dataclass(frozen=True)
class Scored:
    """What a model says of N pairs.

    Attributes:
        chosen, rejected: (N,) float64 rewards: implicit ones of a policy.
        about: how they were computed, for evaluation.json.
    """

    chosen: Floats
    rejected: Floats
    about: dict[str, Any]


def predict(
    model: str,
    table: pa.Table,
    options: PredictOptions | None = None,
    *,
    gamma: float | None = None,
) -> Predictions:
    """Return what a model says of pairs, in their order.

    Args:
        model: run folder, model folder, adapter folder, hub id or short name.
        table: N pairs: the columns of encode_pairs, and p_chosen (the target) and source.
        options: of running it.
        gamma: behind the targets, to be told in the predictions.

    Returns:
        (M,) predictions, M <= N: without pairs that cannot be encoded; the log says which.

    Raises:
        InputError: if the model or its reference cannot be loaded or used on these pairs.
    """
    options = checked_options(PredictOptions() if options is None else options)
    found = find_model(model, options)
    with quiet_transformers():
        encoded = encode_all([found], table, options)[found.label]
        scored = score_pairs(found, encoded, options)
    return to_predictions(found, encoded.pairs, table, scored.chosen, scored.rejected, gamma)


def score_pairs(model: EvaluatedModel, encoded: Encoded, options: PredictOptions) -> Scored:
    """Return what a model says of encoded pairs; its reference, if it has one, is asked first.

    Raises:
        InputError: if a model cannot be loaded, has another vocabulary than its reference, takes
            no conversation of that length, or memory runs out.
    """
    with explained_out_of_memory(lambda: _TAKES_LESS):
        if model.kind == REWARD:
            return _rewards(model, encoded, options)
        return _implicit_rewards(model, encoded, options)


def to_predictions(
    model: EvaluatedModel,
    pairs: EncodedPairs,
    table: pa.Table,
    chosen: npt.ArrayLike,
    rejected: npt.ArrayLike,
    gamma: float | None,
) -> Predictions:
    """Return scores with what the table says of the pairs.

    Args:
        model: that gave the scores.
        pairs: (N,) encoded; say which rows of the table they are.
        table: margin, p_chosen, source and prompt are read.
        chosen: (N,) scores of the chosen answers.
        rejected: (N,) scores of the rejected ones.
        gamma: behind p_chosen.
    """
    rows = table.take(pa.array(pairs.row))
    margin, target = rows["margin"].to_numpy(), rows["p_chosen"].to_numpy()
    better, worse = np.asarray(chosen, np.float64), np.asarray(rejected, np.float64)
    return Predictions(
        pair_id=np.array(list(pairs.pair_id), dtype=object),
        prompt_id=prompt_ids(rows["prompt"]),
        source=np.array(rows["source"].to_pylist(), dtype=object),
        margin=margin,
        target=target,
        h=better - worse,
        chosen_score=better,
        rejected_score=worse,
        chosen_tokens=pairs.chosen.lengths,
        rejected_tokens=pairs.rejected.lengths,
        tie=margin == 0,
        model=model.name,
        kind=model.kind,
        gamma=gamma,
        beta=model.beta,
    )


def prompt_ids(prompts: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return (N,) hexadecimal digests: pairs of one last user message are one prompt.

    So the split of `train` groups them.
    """
    encoded = prompts.combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    digests = np.array([xxhash.xxh3_64_hexdigest(text.encode()) for text in texts], dtype=object)
    return np.asarray(digests[encoded.indices.to_numpy()])


def _rewards(model: EvaluatedModel, encoded: Encoded, options: PredictOptions) -> Scored:
    network = load_reward_model(
        model.name,
        encoded.tokenizer,
        seed=0 if model.run is None else model.run.seed,
        revision=model.revision,
        **loading_of(options),
    )

    def values(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        with as_reference(network), torch.no_grad(), autocast_of(options):
            return side_rewards(network, batch), batch["scored"].sum(dim=1)

    of = Words(f"{model.label}: rewards", f"model {model.name}", "reward")
    (chosen, rejected), about = pass_over(network, encoded, options, values, reward_values, of)
    return Scored(chosen, rejected, about)


def _implicit_rewards(model: EvaluatedModel, encoded: Encoded, options: PredictOptions) -> Scored:
    assert model.loss is not None
    assert model.beta is not None
    about: dict[str, Any] = {}
    reference = None
    if model.reference is not None:
        sides, about["reference_pass"] = _logps_of_reference(model, encoded, options)
        reference = torch.from_numpy(sides).flatten()
        free_memory(options)
    network = load_policy(model.name, revision=model.revision, **loading_of(options))
    of = Words(f"{model.label}: log-probs", f"model {model.name}")
    sides, passed = _logps(network, encoded, options, of)
    pairs = encoded.pairs
    tokens = torch.from_numpy(np.concatenate([pairs.chosen.lengths, pairs.rejected.lengths]))
    scores = answer_scores(model.loss, torch.from_numpy(sides).flatten(), reference, tokens)
    chosen, rejected = (model.beta * scores).view(2, -1).numpy()
    return Scored(chosen, rejected, {**about, **passed})


def _logps_of_reference(
    model: EvaluatedModel, encoded: Encoded, options: PredictOptions
) -> tuple[Floats, dict[str, Any]]:
    reference = model.reference
    assert reference is not None
    try:
        other = load_tokenizer(
            reference.name,
            trust_remote_code=options.trust_remote_code,
            revision=reference.revision,
        )
        check_same_vocabulary(encoded.tokenizer, other, reference.name)
        network = load_policy(reference.name, revision=reference.revision, **loading_of(options))
    except InputError as error:
        raise InputError(f"{model.name}, its reference model: {error}") from error
    _check_weights(model, reference, network, options)
    of = Words(f"{model.label}: {REFERENCE.title}", f"{REFERENCE.model} {reference.name}")
    return _logps(network, encoded, options, of)


def _check_weights(
    model: EvaluatedModel, reference: Reference, network: Any, options: PredictOptions
) -> None:
    """Raise InputError if a recorded reference is not what the run began with."""
    known = reference.weights is not None and reference.dtype == options.dtype
    if known and weights_digest(network) != reference.weights:
        raise InputError(
            f"{model.name}: its reference model {reference.name} has other weights now than when "
            "the run began. Give --reference to measure against these or others"
        )


def _logps(
    network: Any, encoded: Encoded, options: PredictOptions, of: Words
) -> tuple[Floats, dict[str, Any]]:
    bf16 = computes_in_bf16(options)

    def values(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return reference_logps(network, batch, bf16=bf16)

    return pass_over(network, encoded, options, values, completion_token_logps, of)
