"""Is the name a sentence-transformers model, of the kind asked for? Asked before it is loaded.

sentence-transformers makes a model of any folder of transformers weights, with mean pooling or a
random head, and turns models of one kind into another: numbers that mean nothing. Read by
embedder.py, cross_encoder.py and fitting.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpo_core.errors import InputError
from mmpo_core.hub import check_model

SENTENCE, CROSS = "SentenceTransformer", "CrossEncoder"
_OWNERS = {SENTENCE: "sentence-transformers", CROSS: "cross-encoder"}
_ABOUT = {
    SENTENCE: "a model of sentence embeddings (metrics cosine and euclidean)",
    CROSS: "a cross-encoder (metric cross-encoder)",
}


def locate(name: str, revision: str | None, kind: str) -> tuple[str, bool]:
    """Return the folder or hub id of a model, and whether only local files are to be read.

    Args:
        name: folder, hub id, or the short name of a model of sentence-transformers' own.
        revision: branch, tag or commit on the hub.
        kind: SENTENCE or CROSS.

    Raises:
        InputError: if there is no such model, it is of another kind, or its weights are pickle
            files.
    """
    found = _find(name, revision, kind)
    _check_kind(found, kind)
    _check_weights(found)
    return found.located, found.local


def locate_base(name: str, kind: str) -> tuple[str, bool, str | None]:
    """Return a model to start fitting from as `locate` does, and what it is.

    Args:
        name: as for `locate`.
        kind: what is to be fitted, SENTENCE or CROSS. A plain transformers model will do, and for
            CROSS a SENTENCE one as well: it gets a new head.

    Returns:
        Folder or hub id, whether only local files are to be read, and SENTENCE, CROSS, or None
        for a plain transformers model.

    Raises:
        InputError: if there is no such model, it is of another kind, or its weights are pickle
            files.
    """
    found = _find(name, None, kind)
    what = _kind(found.read)
    if what == CROSS and kind == SENTENCE:
        raise InputError(
            f"{found.shown}: is {_ABOUT[CROSS]}. Add --cross-encoder to fit it, or take a model of "
            "sentence embeddings"
        )
    if what not in (SENTENCE, CROSS):
        if what is not None or found.read.object("config.json") is None:
            _check_kind(found, kind)
        what = None
    _check_weights(found)
    return found.located, found.local, what


class _Json:
    """The JSON files of one model, read by name; None for one that is not there."""

    def __init__(self, find: Any) -> None:
        self._find = find

    def object(self, file: str) -> dict[str, Any] | None:
        """Return a file of one JSON object."""
        found: dict[str, Any] | None = self._read(file, _is_object, "an object")
        return found

    def modules(self) -> list[dict[str, Any]] | None:
        """Return the modules of a model of sentence-transformers."""
        form = "a list of objects, each with a type and a path"
        found: list[dict[str, Any]] | None = self._read("modules.json", _are_modules, form)
        return found

    def _read(self, file: str, fits: Callable[[Any], bool], form: str) -> Any:
        path = self._find(file)
        if path is None:
            return None
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from error
        if not fits(content):
            raise InputError(f"{path}: is damaged: must hold {form}. Save the model again")
        return content


def _is_object(content: Any) -> bool:
    return isinstance(content, dict)


def _are_modules(content: Any) -> bool:
    return isinstance(content, list) and all(
        _is_object(module) and {"type", "path"} <= module.keys() for module in content
    )


@dataclass(frozen=True)
class _Found:
    """A model before it is loaded.

    Args:
        shown: what to call it in messages.
        located: folder or hub id.
        local: whether only local files are to be read.
        read: its JSON files.
    """

    shown: str
    located: str
    local: bool
    read: _Json


def _find(name: str, revision: str | None, kind: str) -> _Found:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _Found(name, str(folder), True, _folder_json(folder))
    if folder.exists():
        raise InputError(f"{name}: is a file. Give the folder of a model, or a hub id")
    if name.startswith(("/", "./", "../", "~")) or name.count("/") > 1:
        raise InputError(f"{name}: no such folder")
    hub_id = name if "/" in name else f"{_OWNERS[kind]}/{name}"
    local = check_model(hub_id, revision)
    return _Found(hub_id, hub_id, local, _hub_json(hub_id, revision, local))


def _folder_json(folder: Path) -> _Json:
    return _Json(lambda file: folder / file if (folder / file).is_file() else None)


def _hub_json(hub_id: str, revision: str | None, local: bool) -> _Json:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def find(file: str) -> str | None:
        try:
            return hf_hub_download(hub_id, file, revision=revision, local_files_only=local)
        except (EntryNotFoundError, LocalEntryNotFoundError):
            return None

    return _Json(find)


def _check_kind(model: _Found, kind: str) -> None:
    name, found = model.shown, _kind(model.read)
    if found == kind:
        return
    if found in _ABOUT:
        raise InputError(f"{name}: is {_ABOUT[found]}, not {_ABOUT[kind]}")
    if found is not None:
        raise InputError(f"{name}: is a {found} model, not {_ABOUT[kind]}")
    if model.read.object("config.json") is None:
        raise InputError(
            f"{name}: no model there (neither modules.json nor config.json). Give the folder that "
            "SentenceTransformer.save or `margintool similarity fit --out` wrote"
        )
    raise InputError(
        f"{name}: is a plain transformers model, not {_ABOUT[kind]}: it was not trained to say "
        "how alike two texts are. Take a model that was, or fit this one first with `margintool "
        "similarity fit`"
    )


def _kind(read: _Json) -> str | None:
    """Return the kind of model, or None for one that sentence-transformers did not write."""
    if read.modules() is not None:
        about = read.object("config_sentence_transformers.json") or {}
        return str(about.get("model_type", SENTENCE))
    # Cross-encoders of before version 6 are plain transformers models with a head.
    architectures = (read.object("config.json") or {}).get("architectures") or [""]
    first = architectures[0] if isinstance(architectures, list) else architectures
    return CROSS if str(first).endswith("ForSequenceClassification") else None


def _check_weights(model: _Found) -> None:
    """Refuse pickle files in a folder, as mmpo_core.hub does on the hub.

    Here weights may lie in folders of modules.
    """
    folder = Path(model.located)
    if folder.is_dir() and next(folder.rglob("*.safetensors"), None) is None:
        raise InputError(
            f"{model.shown}: no weights (*.safetensors) there. Pickle files (*.bin, *.pt) can run "
            "code when loaded: convert them once where you trust them, with "
            "SentenceTransformer.save"
        )
