"""Is the model there, may it be read, is it safe to load? Asked before transformers is.

transformers retries an unreachable hub for half a minute a file and answers each cause with a
page of text; one quick question tells the causes apart. models.py calls `check_model`.
"""

import logging
from pathlib import Path

from mmpo_core.errors import InputError

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0


def check_model(name: str, revision: str | None) -> bool:
    """Check a hub id or local folder; return whether only local files are to be read.

    Raises:
        InputError: if there is no such model, it is gated, the hub cannot be reached and the
            model is not in the local cache, or its weights are not safetensors.
    """
    folder = Path(name)
    if folder.is_dir():
        check_folder(folder)
        return True
    return check_hub(name, revision)


def check_folder(folder: Path) -> None:
    """Raise InputError unless the folder holds a model that can be loaded without pickle."""
    try:
        files = [path.name for path in folder.iterdir()]
    except PermissionError as error:
        raise InputError(f"{folder}: no permission to read it") from error
    if "config.json" not in files:
        hint = (
            "it holds an adapter, not a whole model"
            if "adapter_config.json" in files
            else ("a model folder is what save_pretrained or `margintool train --out` writes")
        )
        raise InputError(f"{folder}: no config.json in this folder; {hint}")
    _check_weights(str(folder), files)


def _check_weights(name: str, files: list[str]) -> None:
    if any(file.endswith(".safetensors") for file in files):
        return
    pickled = [file for file in files if file.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if pickled:
        raise InputError(
            f"{name}: its weights are pickle files ({pickled[0]}), which can run code when loaded. "
            "Convert them once where you trust them: model.save_pretrained(FOLDER), and give FOLDER"
        )
    raise InputError(f"{name}: no weights (*.safetensors) there")


def check_hub(hub_id: str, revision: str | None) -> bool:
    """Ask the hub about a model; return True if it cannot be reached but the model is cached.

    Raises:
        InputError: see `check_model`.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api = HfApi()
    try:
        info = api.model_info(hub_id, revision=revision, timeout=TIMEOUT_S)
        if info.gated:
            api.auth_check(hub_id)
    except HFValidationError as error:
        raise InputError(
            f"{hub_id!r} is neither a folder here nor a hub id (OWNER/NAME)"
        ) from error
    except GatedRepoError as error:
        raise InputError(
            f"{hub_id} is gated: accept its licence on {api.endpoint}/{hub_id}, then log in with "
            "`hf auth login` (or set HF_TOKEN)"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"the hub has no model {hub_id}, or it is private: check the name, or log in with "
            "`hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(f"{hub_id} has no revision {revision!r}") from error
    except Exception as error:  # the HTTP library's own errors: it changed twice in two years
        if isinstance(try_to_load_from_cache(hub_id, "config.json", revision=revision), str):
            logger.warning("the hub cannot be reached; %s is read from the local cache", hub_id)
            return True
        raise InputError(
            f"{hub_id}: the hub ({api.endpoint}) cannot be reached and the model is not in the "
            f"local cache ({error or type(error).__name__}). Give the path of a folder that holds "
            "the model, or use `tiny`, which needs no download"
        ) from error
    _check_weights(hub_id, [file.rfilename for file in info.siblings or []])
    return False
