"""A model as reference: its adapters off, and the key under which its log-probs are kept.

The key is read from the loaded model, not from its files: the same weights by their hub id, from
a folder or from a copy have one key, and whatever was changed after loading counts. Read by
reference.py, train_reference.py and start_weights.py.
"""

import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import transformers
import xxhash

# What says how a model was made, saved or is trained, not what it computes in evaluation mode.
_ABOUT = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "architectures")
_IN_TRAINING = ("dropout", "pdrop", "layerdrop")


@contextmanager
def as_reference(model: Any) -> Iterator[None]:
    """Let the model compute as the reference it is trained from: in eval mode, adapters disabled.

    A model without adapters is its own reference as it stands. Takes peft's models and
    transformers models with adapters (PeftAdapterMixin); both are as they were afterwards.
    """
    was_training = model.training
    model.eval()
    try:
        with _without_adapters(model):
            yield
    finally:
        model.train(was_training)


def _without_adapters(model: Any) -> Any:
    if hasattr(model, "disable_adapter"):  # peft.PeftModel
        return model.disable_adapter()
    if getattr(model, "_hf_peft_config_loaded", False):
        return _adapters_disabled(model)
    return nullcontext()


@contextmanager
def _adapters_disabled(model: Any) -> Iterator[None]:
    model.disable_adapters()
    try:
        yield
    finally:
        model.enable_adapters()


def reference_key(model: Any, *, device: str, bf16: bool) -> tuple[str, dict[str, Any]]:
    """Return the key of the model's log-probs as 32 hexadecimal digits, and what it is made of.

    Weights, their types and the configuration count, and what else moves the last digits: the
    code of the model, autocast, attention kernel, kind of device and TF32. Adapters do not: they
    are off in a reference.

    Args:
        model: loaded causal language model, with adapters or without.
        device: type of the device that the log-probs are computed on, such as `cuda`.
        bf16: whether they are computed under bfloat16 autocast.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = base.config
    about = {
        "model": type(base).__name__,
        "config": _what_computes(config.to_diff_dict()),
        "weights": weights_digest(model),
        "attention": getattr(config, "_attn_implementation", None),
        "autocast": "bfloat16" if bf16 else None,
        "device": device,
        "tf32": device == "cuda" and _tf32(),
        "code": _code_digest(base),
        "transformers": transformers.__version__,
    }
    if hasattr(base, "fused_kernels"):  # put in place of the model's own code; see liger.py
        about["kernels"] = base.fused_kernels
    text = json.dumps(about, sort_keys=True, default=str)
    loaded_from = getattr(config, "_name_or_path", "")
    return xxhash.xxh3_128_hexdigest(text.encode()), {"loaded_from": loaded_from, **about}


def base_weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and value of the weights and buffers that the reference computes with, by name.

    Adapters' own weights are left out, and names are those of the model before adapters were
    attached.
    """
    adapters = tuple(
        f"{name}.{part}."
        for name, module in model.named_modules()
        for part in getattr(module, "adapter_layer_names", ())
    )
    weights = {
        _plain_name(name): value
        for name, value in model.state_dict().items()
        if not name.startswith(adapters) and ".modules_to_save." not in name
    }
    yield from sorted(weights.items())


def _plain_name(name: str) -> str:
    name = name.removeprefix("base_model.model.")
    return name.replace(".base_layer.", ".").replace(".original_module.", ".")


def weights_digest(model: Any) -> str:
    """Return a digest of the weights without adapters: names, shapes, types and values.

    Args:
        model: loaded, of any kind, on any device.
    """
    digest = xxhash.xxh3_128()
    for name, value in base_weights(model):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return str(digest.hexdigest())


def _what_computes(config: Any) -> Any:
    """Return a configuration, nested or not, without the keys that do not change a log-prob."""
    if not isinstance(config, dict):
        return config
    return {
        key: _what_computes(value)
        for key, value in ((str(name), value) for name, value in config.items())
        if key not in (*_ABOUT, "use_cache") and not key.endswith(_IN_TRAINING)
    }


def _code_digest(model: Any) -> str:
    """Return a digest of the file that the model's class is written in: hub code has no version."""
    try:
        source = inspect.getsource(sys.modules[type(model).__module__])
    except OSError:  # no source at hand: the class's name has to do
        source = type(model).__qualname__
    return xxhash.xxh3_128_hexdigest(source.encode())


def _tf32() -> bool:
    """Whether float32 products may be computed in TF32; newer torch names the precision."""
    matmul = torch.backends.cuda.matmul
    precision = getattr(matmul, "fp32_precision", None)
    return bool(matmul.allow_tf32 if precision is None else precision == "tf32")
