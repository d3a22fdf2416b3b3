"""Is the model there, may it be read, is it safe to load? Asked before transformers is.

transformers retries an unreachable hub for half a minute a file and answers each cause with a
page of text; one quick question tells the causes apart. models.py calls `check_model`, then loads
inside `loading`.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmpo_core.errors import InputError

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0


def check_model(
    name: str, revision: str | None, *, weights: bool = True, instead: str = ""
) -> bool:
    """Check a hub id or local folder; return whether only local files are to be read.

    Args:
        name: hub id or path of a folder.
        revision: branch, tag or commit on the hub.
        weights: check that there are safetensors weights (a tokenizer needs none).
        instead: what else to do where the hub cannot be reached, as the end of a sentence.

    Raises:
        InputError: if there is no such model, it is gated, the hub cannot be reached and the
            model is not in the local cache, or its weights are not safetensors.
    """
    folder = Path(name)
    files = _folder_files(folder) if folder.is_dir() else _hub_files(name, revision, instead)
    if files is not None and "adapter_config.json" in files and not folder.is_dir():
        raise InputError(
            f"{name}: is an adapter. Download it, `hf download {name} --local-dir FOLDER`, and "
            "give FOLDER"
        )
    if weights and files is not None:
        _check_weights(name, files)
    return files is None or folder.is_dir()


def _folder_files(folder: Path) -> list[str]:
    try:
        files = [path.name for path in folder.iterdir()]
    except PermissionError as error:
        raise InputError(f"{folder}: no permission to read it") from error
    if "config.json" in files or "adapter_config.json" in files:
        return files
    raise InputError(
        f"{folder}: no config.json there. A model folder is what save_pretrained or "
        "`margintool train --out` writes"
    )


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


def _hub_files(hub_id: str, revision: str | None, instead: str) -> list[str] | None:
    """Ask the hub for a model's files; None if it cannot be reached but the model is cached."""
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
            return None
        cause = _first_line(str(error)) or type(error).__name__
        raise InputError(
            f"{hub_id}: no such folder here, the hub ({api.endpoint}) cannot be reached ({cause}), "
            "and the model is not in the local cache. Give the path of a folder that holds the "
            f"model{instead}"
        ) from error
    return [file.rfilename for file in info.siblings or []]


def on_hub(resolved: str) -> bool:
    """Whether what models.resolve_model returned is the id of a hub model."""
    return "/" in resolved and not Path(resolved).is_dir()


def cached_commit(hub_id: str, revision: str | None) -> str | None:
    """Return the commit that a hub model was last loaded of; None if it is not in the cache.

    Configurations do not say it any more: transformers 5 has no `_commit_hash` on them.
    """
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(hub_id, "config.json", revision=revision)
    return Path(path).parent.name if isinstance(path, str) else None


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Load quietly, and turn what transformers raises about a model into one InputError.

    Quietly: no table of weights, for models.py checks which are missing; and no progress bar
    unless stderr is a terminal.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging as said

    verbosity, bars = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity_error()
    if not sys.stderr.isatty():
        said.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
        raise InputError(f"{name} cannot be loaded: {_reason(str(error))}") from error
    finally:
        said.set_verbosity(verbosity)
        if bars:
            said.enable_progress_bar()


def _reason(text: str) -> str:
    """Return what transformers' message means for the user; its first line if not known."""
    known = {
        "trust_remote_code": "it needs code from its repository. If you trust that code, give "
        "--trust-remote-code",
        "ignore_mismatched_sizes": "its weights have other shapes than the model. A reward model "
        "must have one label (num_labels 1)",
        "instantiate the backend tokenizer": "there is no tokenizer.json (a fast tokenizer is "
        "needed)",
    }
    for part, meaning in known.items():
        if part in text:
            return meaning
    return _first_line(text) or "no reason given"


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")
