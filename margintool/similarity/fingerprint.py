"""What determines a model's output, hashed: a store of vectors is kept under it.

Read from the loaded model, not from its files: the same model by its hub id, from a folder or
from a copy of it has one fingerprint, and anything that was changed after loading counts.
"""

import json
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    from sentence_transformers.base.model import BaseModel

# What says how a model was made, saved or loaded, not what it computes.
_ABOUT = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "architectures")


def fingerprint(model: "BaseModel", **settings: object) -> str:
    """Return 32 hexadecimal digits that are the same for models that give the same output.

    Args:
        model: a loaded SentenceTransformer or CrossEncoder: weights, modules, tokenizer, prompts
            and limit of length count.
        settings: what else determines the output, such as the pooling of long texts, and the
            version of our own part in it.
    """
    digest = xxhash.xxh3_128()
    about = {
        "modules": [[type(module).__name__, _config(module)] for module in model],
        "transformer": _without_about(getattr(model.config, "to_diff_dict", dict)()),
        "prompt": default_prompt(model),
        "limit": str(model.max_seq_length),
        "dtype": str(model.dtype),
        **settings,
    }
    digest.update(json.dumps(about, sort_keys=True, default=str).encode())
    digest.update(_tokenizer(model.tokenizer))
    _add_weights(digest, model)
    return str(digest.hexdigest())


def default_prompt(model: "BaseModel") -> str:
    """Return the text that the model wants before every text; empty for most models."""
    return model.prompts.get(model.default_prompt_name) or "" if model.default_prompt_name else ""


def _config(module: Any) -> Any:
    read = getattr(module, "get_config_dict", None)
    return read() if callable(read) else {}


def _without_about(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _ABOUT}


def _tokenizer(tokenizer: Any) -> bytes:
    """Return a tokenizer's definition, less the cutting and padding that calls set and leave."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    definition = json.loads(backend.to_str()) if hasattr(backend, "to_str") else str(tokenizer)
    if isinstance(definition, dict):
        definition = {
            key: value for key, value in definition.items() if key not in ("truncation", "padding")
        }
    sides = [getattr(tokenizer, name, None) for name in ("padding_side", "truncation_side")]
    return json.dumps([definition, sides], sort_keys=True).encode()


def _add_weights(digest: Any, model: "BaseModel") -> None:
    import torch

    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())
