"""merge_adapter(): an adapter and its base as one model folder. `margintool merge` calls it."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from mmpo_core.adapter_folder import AdapterFolder, read_adapter
from mmpo_core.errors import InputError
from mmpo_core.models import load_policy, load_reward_model, load_tokenizer
from mmpo_core.run_folder import RUN_FILE, write_json
from mmpo_core.train_progress import quiet_transformers

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


def merge_adapter(
    adapter: Path, out: Path, *, dtype: Dtype = "auto", trust_remote_code: bool = False
) -> Path:
    """Write base and adapter as a model folder that needs no adapter; return the folder.

    It holds safetensors weights, the tokenizer, and the run's run.json with a key `merged`. It
    appears whole or not at all.

    Args:
        adapter: folder that `margintool train --lora-rank` wrote.
        out: folder to make; must not exist.
        dtype: of the weights; auto takes the base checkpoint's own.
        trust_remote_code: run code that comes with a hub model.

    Raises:
        InputError: if the folder holds no LoRA adapter, its base cannot be loaded or is another
            model, or `out` is there already or cannot be written.
    """
    found = read_adapter(Path(adapter))
    out = Path(out)
    if out.exists():
        raise InputError(f"{out}: is there already; choose another --out")
    tokenizer = load_tokenizer(str(adapter), trust_remote_code=trust_remote_code)
    how: dict[str, Any] = {"dtype": dtype, "trust_remote_code": trust_remote_code}
    if found.reward:
        model = load_reward_model(str(adapter), tokenizer, **how)
    else:
        model = load_policy(str(adapter), **how)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as above:
            whole = Path(above) / out.name
            with quiet_transformers():
                model.save_pretrained(whole)
            tokenizer.save_pretrained(whole)
            if found.record is not None:
                write_json(whole / RUN_FILE, _record(found, dtype))
            _sync(whole)
            whole.rename(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error
    return out


def _record(adapter: AdapterFolder, dtype: Dtype) -> dict[str, Any]:
    about = {"adapter": str(adapter.path.resolve()), "base": adapter.base, "dtype": dtype}
    return {**(adapter.record or {}), "merged": about}


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
