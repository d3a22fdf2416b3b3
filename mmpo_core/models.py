"""Model names, and loading of tokenizers, policies and reward models. train.py starts here.

torch and transformers are imported when something is loaded, so that listing names is quick.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmpo_core.adapter_folder import is_adapter, read_adapter, with_base
from mmpo_core.errors import InputError, lookup
from mmpo_core.hub import check_model, loading
from mmpo_core.padding import ensure_pad_token

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TINY = "tiny"
_OR_TINY = ", or use `tiny`, which needs no download"

# Short name -> hub id. The -sft models of gemma and llama are the paper's own starting points
# (recipes of kykim0/margin-matching-pref-opt).
MODELS: dict[str, str] = {
    TINY: TINY,
    "mistral-7b": "mistralai/Mistral-7B-v0.1",
    "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.3",
    "zephyr-7b-sft": "alignment-handbook/zephyr-7b-sft-full",
    "gemma-2b": "google/gemma-2b",
    "gemma-2b-it": "google/gemma-2b-it",
    "gemma-2b-sft": "kykim0/gemma-2b-ultrachat-sft",
    "gemma-7b": "google/gemma-7b",
    "gemma-7b-it": "google/gemma-7b-it",
    "gemma-7b-sft": "kykim0/gemma-7b-ultrachat-sft",
    "llama-3-8b": "meta-llama/Meta-Llama-3-8B",
    "llama-3-8b-instruct": "meta-llama/Meta-Llama-3-8B-Instruct",
    "llama-3-8b-sft": "kykim0/llama3-8b-ultrachat-sft-itt",
    "qwen2.5-0.5b": "Qwen/Qwen2.5-0.5B",
    "qwen2.5-0.5b-instruct": "Qwen/Qwen2.5-0.5B-Instruct",
    "qwen2.5-1.5b": "Qwen/Qwen2.5-1.5B",
    "qwen2.5-1.5b-instruct": "Qwen/Qwen2.5-1.5B-Instruct",
    "qwen2.5-7b": "Qwen/Qwen2.5-7B",
    "qwen2.5-7b-instruct": "Qwen/Qwen2.5-7B-Instruct",
}

# Owner -> what a user must do first.
_NOTES = {
    TINY: "3 M parameters, untrained, made on this machine: no download",
    "mistralai": "the hub may ask for your agreement first: `hf auth login`",
    "google": "gated: accept Google's Gemma terms on the hub, then `hf auth login`",
    "meta-llama": "gated: accept Meta's Llama 3 licence on the hub, then `hf auth login`",
    "kykim0": "supervised model that the MMPO paper starts from",
}


def model_table() -> list[dict[str, str]]:
    """Return a row per short name: name, hub_id, note (what to do before the first use)."""
    return [
        {"name": name, "hub_id": hub_id, "note": _NOTES.get(hub_id.split("/")[0], "")}
        for name, hub_id in MODELS.items()
    ]


def resolve_model(name: str) -> str:
    """Return the hub id of a short name; hub ids and paths of folders are returned as they are.

    A short name wins over a folder of that name: write ./tiny for the folder.

    Raises:
        InputError: if it is none of these; names the nearest short name.
    """
    if name in MODELS:
        return MODELS[name]
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path)
    if path.exists():
        raise InputError(f"{name} is a file; give the folder that holds config.json")
    if name.startswith(("/", "./", "../", "~")) or name.count("/") > 1:
        raise InputError(f"{name}: no such folder")
    if "/" in name:
        return name
    try:
        return lookup("model", name, MODELS)
    except InputError as error:
        raise InputError(f"{name}: no such folder here; {error}") from None


def load_tokenizer(
    name: str, *, trust_remote_code: bool = False, revision: str | None = None
) -> "PreTrainedTokenizerBase":
    """Load a fast tokenizer with a chat template, padding on the right.

    Without a chat template it gets margintool's default one, and a warning is logged. Without a
    pad token it gets EOS as one: enough for a policy, whose padding is masked; a reward model
    gets a pad token of its own in `load_reward_model`.

    Raises:
        InputError: if it cannot be loaded; says why and what to do.
    """
    from mmpo_core.chat import set_default_template

    hub_id = resolve_model(name)
    if hub_id == TINY:
        from mmpo_core.tiny import make_tiny_tokenizer

        return make_tiny_tokenizer()
    if is_adapter(hub_id) and not (Path(hub_id) / "tokenizer_config.json").is_file():
        one = read_adapter(Path(hub_id))
        return load_tokenizer(one.base, trust_remote_code=trust_remote_code, revision=one.revision)
    local = check_model(hub_id, revision, weights=False, instead=_OR_TINY)
    with loading(name):
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            hub_id,
            revision=revision,
            trust_remote_code=trust_remote_code,
            local_files_only=local,
        )
    tokenizer.padding_side = "right"
    if tokenizer.chat_template is None:
        set_default_template(tokenizer, name)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_policy(
    name: str,
    *,
    dtype: "str | torch.dtype" = "float32",
    trust_remote_code: bool = False,
    revision: str | None = None,
    attn_implementation: str | None = None,
    quantization: Any = None,
) -> "PreTrainedModel":
    """Load a causal language model from safetensors weights.

    Args:
        name: short name, hub id or folder; of an adapter's folder, the adapter is added to the
            weights of its base model.
        dtype: of the weights: float32, bfloat16, float16, or `auto` for the checkpoint's own.
        trust_remote_code: run model code from the repository.
        revision: branch, tag or commit on the hub.
        attn_implementation: sdpa, eager, flash_attention_2, ...; transformers' choice if None.
        quantization: transformers' configuration of quantized weights (see adapters.py).

    Raises:
        InputError: if it cannot be loaded, or the checkpoint lacks weights of a language model.
    """
    from mmpo_core.tiny import make_tiny_policy

    hub_id = resolve_model(name)
    if hub_id == TINY:
        return _finish_tiny(make_tiny_policy(), dtype, attn_implementation)
    how: dict[str, Any] = {
        "dtype": dtype,
        "trust_remote_code": trust_remote_code,
        "attn_implementation": attn_implementation,
    }
    if is_adapter(hub_id):
        return with_base(
            hub_id, lambda one: load_policy(one.base, revision=one.revision, **how), reward=False
        )
    return _load(
        "AutoModelForCausalLM",
        name,
        new_weights=(),
        revision=revision,
        quantization_config=quantization,
        **how,
    )


def load_reward_model(
    name: str,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    dtype: "str | torch.dtype" = "float32",
    seed: int = 0,
    trust_remote_code: bool = False,
    revision: str | None = None,
    attn_implementation: str | None = None,
    quantization: Any = None,
) -> "PreTrainedModel":
    """Load a model with one score per conversation, read at its last token that is not padding.

    Args:
        name: short name, hub id or folder of a language model or a reward model, or an adapter's
            folder.
        tokenizer: the one the data is encoded with. Changed in place if it has no pad token of
            its own (see `ensure_pad_token`): make the collator afterwards.
        seed: of the score head, if the checkpoint has none, and of `tiny`.
        dtype, trust_remote_code, revision, attn_implementation, quantization: as in `load_policy`.

    Raises:
        InputError: if it cannot be loaded, or has another number of labels.
    """
    from mmpo_core.tiny import make_tiny_reward_model, seeded

    hub_id = resolve_model(name)
    how: dict[str, Any] = {
        "dtype": dtype,
        "trust_remote_code": trust_remote_code,
        "attn_implementation": attn_implementation,
    }
    if is_adapter(hub_id):
        how |= {"tokenizer": tokenizer}
        return with_base(
            hub_id,
            lambda one: load_reward_model(
                one.base, seed=one.seed if one.reward else seed, revision=one.revision, **how
            ),
            reward=True,
        )
    if hub_id == TINY:
        model = _finish_tiny(make_tiny_reward_model(seed), dtype, attn_implementation)
    else:
        with seeded(seed):
            model = _load(
                "AutoModelForSequenceClassification",
                name,
                new_weights=("score.weight",),
                num_labels=1,
                revision=revision,
                quantization_config=quantization,
                **how,
            )
    ensure_pad_token(tokenizer)
    with seeded(seed):
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return model


def _finish_tiny(model: "PreTrainedModel", dtype: Any, attention: str | None) -> "PreTrainedModel":
    if dtype != "auto":
        model.to(_torch_dtype(dtype))
        model.config.dtype = _torch_dtype(dtype)
    if attention is not None:
        with loading(TINY):
            model.set_attn_implementation(attention)
    return model


def _torch_dtype(dtype: "str | torch.dtype") -> Any:
    """Return a torch dtype of a name; `auto` stays.

    Raises:
        InputError: if the name is not known.
    """
    import torch

    known = {"auto": "auto"} | {n: getattr(torch, n) for n in ("float32", "bfloat16", "float16")}
    return lookup("dtype", dtype, known) if isinstance(dtype, str) else dtype


def _load(auto_class: str, name: str, *, new_weights: tuple[str, ...], **options: Any) -> Any:
    """Load with a transformers Auto class; weights other than `new_weights` must be there."""
    hub_id = resolve_model(name)
    options["dtype"] = _torch_dtype(options["dtype"])
    for option in ("attn_implementation", "quantization_config"):
        if options[option] is None:
            del options[option]
    local = check_model(hub_id, options["revision"], instead=_OR_TINY)
    with loading(name):
        import transformers

        load: Callable[..., Any] = getattr(transformers, auto_class).from_pretrained
        model, info = load(
            hub_id,
            use_safetensors=True,
            local_files_only=local,
            output_loading_info=True,
            **options,
        )
    missing = sorted(set(info["missing_keys"]) - set(new_weights))
    if missing:
        raise InputError(
            f"{name}: the checkpoint has no {missing[0]} ({len(missing)} weights missing). It is "
            "not a model of this kind (a reward model has no language-model head)"
        )
    return model
