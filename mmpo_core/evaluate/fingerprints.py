"""What a model's predictions depend on, told without loading its weights. Read by stored.py."""

from pathlib import Path
from typing import Any

import torch
import transformers
import xxhash

from mmpo_core.adapter_folder import CONFIG_FILE, is_adapter, read_adapter
from mmpo_core.encoded_pairs import EncodedPairs
from mmpo_core.errors import InputError
from mmpo_core.evaluate.models import EvaluatedModel
from mmpo_core.evaluate.options import PredictOptions
from mmpo_core.evaluate.passes import computes_in_bf16, device_of
from mmpo_core.hub import cached_commit, check_model, loading
from mmpo_core.models import TINY, resolve_model
from mmpo_core.reference_model import weights_digest
from mmpo_core.run_record import fingerprint
from mmpo_core.tiny import make_tiny_policy

# Changes where the meaning of a predictions file does.
VERSION = 1
_COMPUTED_FROM = ("config.json", "adapter_config.json", "*.safetensors", "*.index.json", "*.py")


def prediction_parts(
    model: EvaluatedModel, pairs: EncodedPairs, options: PredictOptions
) -> dict[str, Any] | None:
    """Return everything that the scores of a model on pairs depend on; None if that is not known.

    Margins and targets do not enter: they stand beside the scores and change none.
    """
    reference = model.reference
    weights = model_fingerprint(model.name, options, model.revision)
    beside = reference and model_fingerprint(reference.name, options, reference.revision)
    if weights is None or (reference is not None and beside is None):
        return None
    return {
        "version": VERSION,
        "model": weights,
        "kind": model.kind,
        "seed": None if model.run is None else model.run.seed,
        "reference": beside,
        "beta": model.beta,
        "length_normalised": model.loss and model.loss.length_normalised,
        "pairs": pairs_fingerprint(pairs),
        "device": device_of(options).type,
        "bf16": computes_in_bf16(options),
        "dtype": options.dtype,
        "packing": options.packing,
        "attention": options.attn_implementation,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def pairs_fingerprint(pairs: EncodedPairs) -> str:
    """Return a digest of the token ids and the names of pairs, in their order."""
    digest = xxhash.xxh3_128(pairs.digests().tobytes())
    digest.update("\n".join(pairs.pair_id).encode())
    return str(digest.hexdigest())


def model_fingerprint(
    name: str, options: PredictOptions, revision: str | None = None
) -> str | None:
    """Return what a model's weights and configuration are known by; None if by nothing.

    Of a folder, the content of its files; an adapter's base counts too. Of a hub model, its commit.
    """
    hub_id = resolve_model(name)
    if hub_id == TINY:
        return weights_digest(make_tiny_policy())
    folder = Path(hub_id)
    if not folder.is_dir():
        return _commit(hub_id, options, revision)
    digest = xxhash.xxh3_128()
    for path in sorted({path for pattern in _COMPUTED_FROM for path in folder.glob(pattern)}):
        digest.update(f"{path.name} {fingerprint(path)} ".encode())
    if not is_adapter(hub_id):
        return str(digest.hexdigest())
    adapter = read_adapter(folder)
    try:
        base = model_fingerprint(adapter.base, options, adapter.revision)
    except InputError as error:
        raise InputError(f"the base model that {folder / CONFIG_FILE} names: {error}") from error
    if base is None:
        return None
    digest.update(f"{base} {adapter.seed}".encode())
    return str(digest.hexdigest())


def _commit(hub_id: str, options: PredictOptions, revision: str | None) -> str | None:
    local = check_model(hub_id, revision)
    with loading(hub_id):
        from transformers import AutoConfig

        AutoConfig.from_pretrained(
            hub_id,
            revision=revision,
            trust_remote_code=options.trust_remote_code,
            local_files_only=local,
        )
    commit = cached_commit(hub_id, revision)  # of what was loaded just now
    return None if commit is None else f"{hub_id}@{commit}"
