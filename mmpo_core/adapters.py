"""Low-rank adapters on a model: LoRA, DoRA, and QLoRA on a base in 4 bits.

peft puts them into the model's linear layers. They start as no change at all, so the policy is its
reference before the first step, and with the adapters off at any time (reference_model.py): no
second copy is held. Read by train_setup.py; adapter_folder.py reads what is saved.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from mmpo_core.adapter_folder import is_adapter, quiet_peft
from mmpo_core.adapter_options import AdapterOptions, require_peft
from mmpo_core.errors import InputError
from mmpo_core.hub import cached_commit, on_hub
from mmpo_core.models import TINY, resolve_model
from mmpo_core.tiny import seeded

ADAPTER = "default"
# The version that was tried (tests/core/test_train_qlora.py); early ones know GPUs only.
_ON_CPU = "bitsandbytes>=0.50"


def quantization(options: AdapterOptions, model: str, *, on_cpu: bool, bf16: bool) -> Any:
    """Return transformers' BitsAndBytesConfig of the frozen model; None if it is not quantized.

    Weights are 4-bit NormalFloat, their scales quantized again (double quantization), and products
    computed in bfloat16 or float32: QLoRA (arXiv 2305.14314).

    Args:
        options: checked options.
        model: name of the model that is to be loaded so.
        on_cpu: whether it will run without a GPU.
        bf16: whether the run computes in bfloat16.

    Raises:
        InputError: if bitsandbytes is missing, or too old for a CPU, or the model has no weights
            to read in 4 bits.
    """
    if options.quantize is None:
        return None
    if find_spec("bitsandbytes") is None:
        raise InputError(
            "quantize 4bit needs the package bitsandbytes, which is not installed: "
            "`pip install 'margintool[qlora]'`"
        )
    if on_cpu:
        _check_version(_ON_CPU)
    name = resolve_model(model)
    if name == TINY or is_adapter(name):
        what = "is made here" if name == TINY else "is an adapter: `margintool merge` it first"
        raise InputError(f"quantize 4bit reads the weights of a model folder; {model} {what}")
    return quantization_config(bf16=bf16)


def _check_version(wanted: str) -> None:
    from transformers.utils.versions import require_version

    try:
        require_version(wanted)
    except ImportError as error:
        raise InputError(f"quantize 4bit on a CPU: {error}. `pip install '{wanted}'`") from error


def quantization_config(*, bf16: bool) -> Any:
    """Return the BitsAndBytesConfig of QLoRA, computing in bfloat16 or float32."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if bf16 else torch.float32,
    )


def with_adapter(
    model: Any,
    options: AdapterOptions,
    *,
    base: str,
    seed: int,
    reward: bool = False,
    revision: str | None = None,
) -> Any:
    """Return a model frozen, with new adapters that change nothing yet.

    A reward model's score head is trained and saved with them.

    Args:
        model: policy or reward model, without adapters; changed in place.
        options: checked options, with a rank.
        base: the name that the model was loaded by; adapter_config.json says it.
        seed: of the adapters' first weights.
        reward: whether it is a reward model.
        revision: of a base from the hub, as it was loaded; adapter_config.json says the commit.

    Raises:
        InputError: if peft is missing, a target is no layer of the model, or it is tied to another.
    """
    require_peft()
    from peft import LoraConfig, PeftModelForCausalLM, PeftModelForSequenceClassification

    rank, hub_id = options.lora_rank, resolve_model(base)
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if options.lora_alpha is None else options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=list(options.lora_targets) or "all-linear",
        use_dora=options.dora,
        task_type="SEQ_CLS" if reward else "CAUSAL_LM",
        base_model_name_or_path=_lasting_name(base),
        revision=cached_commit(hub_id, revision) if on_hub(hub_id) else None,
    )
    wrapper = PeftModelForSequenceClassification if reward else PeftModelForCausalLM
    try:
        with seeded(seed), quiet_peft():
            adapted = wrapper(model, config, ADAPTER)
    except ValueError as error:
        raise InputError(f"lora_targets: {error}") from error
    _check_targets(adapted, options.lora_targets)
    if reward:
        _train_in_float32(adapted.get_base_model().score)
    _save_adapters_alone(adapted)
    return adapted


def _lasting_name(base: str) -> str:
    """Return a model's name as another folder can hold it: a path is made absolute."""
    name = resolve_model(base)
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def _check_targets(model: Any, targets: tuple[str, ...]) -> None:
    adapted = model.base_model.targeted_module_names
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in adapted):
            linear = {
                name.rpartition(".")[2]
                for name, module in model.get_base_model().named_modules()
                if isinstance(getattr(module, "base_layer", module), torch.nn.Linear)
                and ".lora_" not in name
            }
            raise InputError(
                f"lora_targets: the model has no layer {target!r}. Its linear layers: "
                f"{', '.join(sorted(linear - {'base_layer'}))}"
            )
    inner = model.get_base_model()
    ends = [inner.get_input_embeddings(), inner.get_output_embeddings()]
    tied = getattr(inner.config.get_text_config(), "tie_word_embeddings", False)
    if tied and any(hasattr(module, "base_layer") for module in ends):
        raise InputError(
            "lora_targets: the model's head and input embeddings are one weight (tied); an adapter "
            "on one of them could not be merged. Leave them out"
        )


def _train_in_float32(head: Any) -> None:
    """Hold the trained copy of a score head in float32, as peft does with adapters.

    In bfloat16, updates below its rounding would be lost.
    """
    copy = head.modules_to_save[ADAPTER].float()

    def same_type(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(value.to(module.weight.dtype) for value in inputs)

    copy.register_forward_pre_hook(same_type)


def _save_adapters_alone(model: Any) -> None:
    """Let save_pretrained leave out embeddings, and the README.md that peft writes.

    peft would ask the hub at each save whether embeddings were resized; what a new pad token added
    to them nothing reads.
    """
    save = model.save_pretrained

    def save_adapters(save_directory: str, **kwargs: Any) -> None:
        card = Path(save_directory) / "README.md"
        kept = card.exists()
        save(save_directory, **{"save_embedding_layers": False, **kwargs})
        if not kept:
            card.unlink(missing_ok=True)

    model.save_pretrained = save_adapters


def adapter_record(model: Any, options: AdapterOptions) -> dict[str, Any] | None:
    """Return what run.json says about a model's adapters; None if it has none."""
    if not options.lora_rank:
        return None
    config = model.peft_config[ADAPTER]
    trainable, total = model.get_nb_trainable_parameters()
    return {
        "base": config.base_model_name_or_path,
        "revision": config.revision,
        "rank": config.r,
        "alpha": config.lora_alpha,
        "dora": config.use_dora,
        "quantized": options.quantize,
        "targets": sorted(config.target_modules),
        "trainable_parameters": trainable,
        "parameters": total,
    }
