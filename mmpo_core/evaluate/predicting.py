"""A model over pairs: what it says of each. READ THIS FIRST of the torch half.

    from mmpo_core.evaluate.predicting import predict
    predict("runs/tiny-policy", read_pairs("heldout.parquet", "arrow"))

Pairs are encoded, packed and checked as in training, without gradients. Log-probs and rewards are
kept in the reference cache, a part at a time: an interrupted pass goes on where it stopped. One
model is in memory at a time. running.py evaluates several.
"""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
import xxhash

from mmpo_core.encoded_pairs import EncodedPairs, Floats
from mmpo_core.engine.batches import Batching
from mmpo_core.engine.check import Choice, choose_batching
from mmpo_core.engine.memory import is_out_of_memory
from mmpo_core.engine.rewards import reward_values, side_rewards
from mmpo_core.engine.scoring import Batch, completion_token_logps
from mmpo_core.errors import InputError
from mmpo_core.evaluate.encoding import Encoded, encode_all
from mmpo_core.evaluate.models import EvaluatedModel, Reference, find_model
from mmpo_core.evaluate.options import PredictOptions, checked_options
from mmpo_core.evaluate.predictions import REWARD, Predictions
from mmpo_core.losses import answer_scores
from mmpo_core.models import load_policy, load_reward_model, load_tokenizer
from mmpo_core.reference import check_same_vocabulary, reference_logps, values_of_sides
from mmpo_core.reference_cache import ReferenceCache, cache_folder
from mmpo_core.reference_model import as_reference, reference_key, weights_digest
from mmpo_core.reference_pass import REFERENCE, Words
from mmpo_core.train_batching import run_limits
from mmpo_core.train_progress import quiet_transformers
from mmpo_core.train_setup import check_positions, without_dropout
from mmpo_core.training_args import runs_on_cpu

logger = logging.getLogger("mmpo_core.evaluate")

_POLICY_WORDS = Words("log-probs", "model")
_REWARD_WORDS = Words("rewards", "model", "reward")


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
    with _explained_out_of_memory():
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
        **_how(options),
    )

    def values(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        with as_reference(network), torch.no_grad(), _autocast(options):
            return side_rewards(network, batch), batch["scored"].sum(dim=1)

    (chosen, rejected), about = _pass(
        network, encoded, options, values, reward_values, _REWARD_WORDS
    )
    return Scored(chosen, rejected, about)


def _implicit_rewards(model: EvaluatedModel, encoded: Encoded, options: PredictOptions) -> Scored:
    assert model.loss is not None
    assert model.beta is not None
    about: dict[str, Any] = {}
    reference = None
    if model.reference is not None:
        sides, about["reference_pass"] = _logps_of_reference(model, encoded, options)
        reference = torch.from_numpy(sides).flatten()
        _free(options)
    network = load_policy(model.name, **_how(options))
    sides, passed = _logps(network, encoded, options, _POLICY_WORDS)
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
        network = load_policy(reference.name, revision=reference.revision, **_how(options))
    except InputError as error:
        raise InputError(f"{model.name}, its reference model: {error}") from error
    _check_weights(model, reference, network, options)
    return _logps(network, encoded, options, REFERENCE)


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

    return _pass(network, encoded, options, values, completion_token_logps, of)


def _pass(
    network: Any,
    encoded: Encoded,
    options: PredictOptions,
    values: Callable[[Batch], tuple[torch.Tensor, torch.Tensor]],
    checked_by: Callable[..., Any],
    of: Words,
) -> tuple[Floats, dict[str, Any]]:
    """Return the (2, N) values of a loaded model, and what computing them took.

    Args:
        network: as loaded.
        encoded: N pairs.
        options: of running models.
        values: of a batch.
        checked_by: see choose_batching.
        of: what the values are, in words.
    """
    device = device_of(options)
    without_dropout(network)
    check_positions(network, {"pairs": encoded.pairs})
    cache = _cache(network, device, options)
    network.to(device)
    choice = _batching(network, encoded, options, checked_by)
    sides, report = values_of_sides(
        encoded.pairs, network, choice.batching, values, cache=cache, of=of
    )
    logger.info("%s", report.line(of))
    about = {
        "packing": "shared" if choice.batching.shared else "padded",
        "why_padded": choice.why_padded,
        **report.to_dict(),
    }
    return sides, about


def _batching(
    network: Any, encoded: Encoded, options: PredictOptions, checked_by: Callable[..., Any]
) -> Choice:
    pad = encoded.tokenizer.pad_token_id
    bounds: Any = options  # the two limits have the same names as those of a run
    batching = Batching(pad, run_limits(bounds, network))
    return choose_batching(network, {"pairs": encoded.pairs}, batching, options.packing, checked_by)


def _cache(network: Any, device: torch.device, options: PredictOptions) -> ReferenceCache:
    folder = cache_folder(options.reference_cache)
    if folder is None:
        return ReferenceCache()
    bf16 = computes_in_bf16(options)
    key, about = reference_key(network, device=device.type, bf16=bf16)
    return ReferenceCache(folder, key, about)


def _how(options: PredictOptions) -> dict[str, Any]:
    """Return how weights are loaded."""
    return {
        "dtype": options.dtype,
        "trust_remote_code": options.trust_remote_code,
        "attn_implementation": options.attn_implementation,
    }


def device_of(options: PredictOptions) -> torch.device:
    """Return the device that models run on."""
    if runs_on_cpu(options):
        return torch.device("cpu")
    device = torch.accelerator.current_accelerator()
    assert device is not None
    return device


def computes_in_bf16(options: PredictOptions) -> bool:
    """Whether products are computed in bfloat16: as asked for, else on an accelerator."""
    return not runs_on_cpu(options) if options.bf16 is None else options.bf16


def _autocast(options: PredictOptions) -> torch.autocast:
    bf16 = computes_in_bf16(options)
    return torch.autocast(device_of(options).type, torch.bfloat16, enabled=bf16)


def _free(options: PredictOptions) -> None:
    """Give the memory of a model that is gone back, for the next one."""
    gc.collect()
    if device_of(options).type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def _explained_out_of_memory() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"out of memory ({str(error).partition('.')[0]}). A forward pass takes less with a "
            "smaller --tokens-per-batch, weights half with --dtype bfloat16"
        ) from error
