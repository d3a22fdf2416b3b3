"""Models without weights: every parameter's shape and type, on torch's meta device.

They are built from their configuration by the same classes as the models that are trained, adapters
included, so that counts are exact. Read by plan.py.
"""

from pathlib import Path
from typing import Any

import torch

from mmpo_core.adapter_folder import is_adapter, read_adapter
from mmpo_core.adapters import with_adapter
from mmpo_core.hub import check_model, loading
from mmpo_core.models import TINY, resolve_model
from mmpo_core.padding import ensure_pad_token
from mmpo_core.run_options import RunOptions
from mmpo_core.tiny import make_tiny_policy, make_tiny_reward_model

_CLASSES = {True: "AutoModelForSequenceClassification", False: "AutoModelForCausalLM"}


def start_shape(options: RunOptions, tokenizer: Any) -> Any:
    """Return the model that training starts from as train_setup.load_start does, on `meta`.

    Args:
        options: checked options.
        tokenizer: the model's; a reward model's gets a pad token, as in load_reward_model.

    Raises:
        InputError: if the configuration cannot be read, or the adapters do not fit the model.
    """
    reward = options.task == "reward"
    with torch.device("meta"):
        model = bare_shape(options, options.model, options.revision, reward=reward)
        if reward:
            ensure_pad_token(tokenizer)
            if len(tokenizer) > model.get_input_embeddings().num_embeddings:
                model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        if options.lora_rank:
            base, seed = options.model, options.seed
            model = with_adapter(model, options, base=base, seed=seed, reward=reward)
    return model


def bare_shape(options: RunOptions, name: str, revision: str | None, *, reward: bool) -> Any:
    """Return a model by name, as load_policy and load_reward_model take it, on `meta`."""
    hub_id = resolve_model(name)
    if is_adapter(hub_id):  # its base, of which it changes the numbers alone
        one = read_adapter(Path(hub_id))
        return bare_shape(options, one.base, one.revision, reward=reward)
    dtype = getattr(torch, options.dtype)
    with torch.device("meta"):
        if hub_id != TINY:
            return _from_config(options, hub_id, revision, reward=reward)
        model = (make_tiny_reward_model if reward else make_tiny_policy)().to(dtype)
        if options.attn_implementation is not None:
            with loading(TINY):
                model.set_attn_implementation(options.attn_implementation)
        return model


def _from_config(options: RunOptions, hub_id: str, revision: str | None, *, reward: bool) -> Any:
    local = check_model(hub_id, revision, weights=False)
    code = options.trust_remote_code
    how: dict[str, Any] = {"num_labels": 1} if reward else {}
    with loading(hub_id):
        import transformers

        config = transformers.AutoConfig.from_pretrained(
            hub_id, revision=revision, trust_remote_code=code, local_files_only=local, **how
        )
        return getattr(transformers, _CLASSES[reward]).from_config(
            config,
            dtype=getattr(torch, options.dtype),
            trust_remote_code=code,
            attn_implementation=options.attn_implementation,
        )


def parameter_counts(model: Any) -> tuple[int, int]:
    """Return how many parameters a model has, and how many of them are trained."""
    sizes = [(one.numel(), one.requires_grad) for one in model.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained)
