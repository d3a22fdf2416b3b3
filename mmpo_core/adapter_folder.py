"""Folders that hold an adapter, as `train --lora-rank` writes them, and the sum with their base.

An adapter folder given as a model is its base with the adapter added to the weights. models.py
loads the base; adapter_merge.py writes the sum as a model folder.
"""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpo_core.adapter_options import require_peft
from mmpo_core.errors import InputError
from mmpo_core.hub import loading

logger = logging.getLogger("mmpo_core.train")

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_REWARD_TASK = "SEQ_CLS"
_LORA = "LORA"


@dataclass(frozen=True)
class AdapterFolder:
    """What an adapter folder says of itself.

    Attributes:
        path: the folder.
        base: name of the model that the adapter was trained on, as load_policy takes it.
        revision: of the base, if it came from the hub.
        reward: whether it makes a reward model.
        seed: of the run that trained it: `tiny` is another reward model for each.
        quantized: whether the base was in 4 bits in training.
        record: the run's run.json; None if it has none.
    """

    path: Path
    base: str
    revision: str | None
    reward: bool
    seed: int
    quantized: bool
    record: dict[str, Any] | None


def is_adapter(name: str) -> bool:
    """Whether a model's name is a folder that holds an adapter."""
    return (Path(name) / CONFIG_FILE).is_file()


def read_adapter(path: Path) -> AdapterFolder:
    """Read what an adapter folder says of itself; its weights are not loaded.

    Raises:
        InputError: if it is no folder of a LoRA adapter with safetensors weights, or does not name
            its base model.
    """
    if not is_adapter(str(path)):
        raise InputError(
            f"{path}: no {CONFIG_FILE} there. An adapter folder is what `margintool train "
            "--lora-rank 16 --out` writes"
        )
    config = read_json(path / CONFIG_FILE)
    kind = config.get("peft_type")
    if kind != _LORA:
        raise InputError(
            f"{path}: is an adapter of type {kind}; only LoRA (and DoRA) is known here"
        )
    if not (path / WEIGHTS_FILE).is_file():
        raise InputError(f"{path}: no {WEIGHTS_FILE} there (pickled weights are not loaded)")
    base, reward = config.get("base_model_name_or_path"), config.get("task_type") == _REWARD_TASK
    if not base:
        raise InputError(f"{path / CONFIG_FILE}: does not say base_model_name_or_path")
    record = read_json(run_file(path)) if run_file(path).is_file() else None
    arguments = (record or {}).get("arguments") or {}
    if reward and _is_tiny(base) and "seed" not in arguments:
        raise InputError(
            f"{path}: no run.json with the run's seed there, and tiny is another reward model for "
            "each seed"
        )
    return AdapterFolder(
        path,
        base,
        config.get("revision"),
        reward,
        arguments.get("seed", 0),
        arguments.get("quantize") is not None,
        record,
    )


def _is_tiny(base: str) -> bool:
    from mmpo_core.models import TINY  # which imports this module

    return base == TINY


def run_file(folder: Path) -> Path:
    """Return where a model folder's run.json is: a checkpoint's is the run's."""
    return (folder.parent if folder.name.startswith("checkpoint-") else folder) / "run.json"


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        InputError: if it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object")
    return content


def with_base(name: str, load: Callable[[AdapterFolder], Any], *, reward: bool) -> Any:
    """Return an adapter folder's base model with the adapter added to its weights.

    Args:
        name: the folder.
        load: loads the base, in full precision.
        reward: whether a reward model is wanted; a policy's adapter may start one.

    Raises:
        InputError: if the folder cannot be read, it is the adapter of another kind of model, or its
            base cannot be loaded.
    """
    adapter = read_adapter(Path(name))
    if adapter.reward and not reward:
        raise InputError(f"{name}: is the adapter of a reward model, which is no language model")
    if reward and not adapter.reward and _is_tiny(adapter.base):
        raise InputError(
            f"{name}: is a policy's adapter, and tiny has other weights as a reward model. Make it "
            "a model first, with `margintool merge`"
        )
    try:
        base = load(adapter)
    except InputError as error:
        raise InputError(f"the base model that {name}/{CONFIG_FILE} names: {error}") from error
    return merged(base, adapter)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Let peft be silent about what transformers renamed and about what is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def merged(model: Any, adapter: AdapterFolder) -> Any:
    """Return a base model with an adapter added to its weights.

    Args:
        model: the adapter's base, in full precision.
        adapter: of a policy, or of a reward model with its score head.

    Raises:
        InputError: if peft is missing, or the adapter's weights are not those of this model.
    """
    require_peft()
    with loading(str(adapter.path)), quiet_peft():
        from peft import PeftConfig, PeftModel

        config = PeftConfig.from_pretrained(str(adapter.path))
        # the task alone decides what peft wraps around a model; a policy's adapter may start a
        # reward model
        config.task_type = None
        config.inference_mode = True
        both = PeftModel(model, config, "default")
        loaded = both.load_adapter(str(adapter.path), "default", torch_device=str(model.device))
    # a reward model has no head for what an adapter learnt about the language model's
    unknown = [name for name in loaded.unexpected_keys if "lm_head" not in name]
    wrong = [*loaded.missing_keys, *unknown]
    if wrong:
        raise InputError(
            f"{adapter.path}: its weights are not those of an adapter of {adapter.base} "
            f"({wrong[0]}, {len(wrong)} in all)"
        )
    if adapter.quantized:
        logger.warning(
            "%s was trained on its base in 4 bits and is added to the whole weights: log-probs "
            "differ a little from those in training",
            adapter.path,
        )
    # peft froze what it put its adapters into
    return both.merge_and_unload().requires_grad_(True)
