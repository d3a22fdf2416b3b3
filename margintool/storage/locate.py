"""From what the user typed to the parts to read: files, globs, folders, saved datasets, hub ids."""

import glob
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from margintool.storage.delimited import read_delimited
from margintool.storage.files import SUPPORTED, has_known_suffix, input_file, reading
from margintool.storage.json_lines import read_json_lines
from margintool.storage.json_list import read_json
from margintool.storage.parquet import read_parquet
from margintool.storage.saved import is_saved_dataset, saved_part
from margintool.storage.stream import Part
from mmpo_core.errors import InputError

READERS = {
    "json": read_json,
    "jsonl": read_json_lines,
    "csv": read_delimited,
    "tsv": read_delimited,
    "parquet": read_parquet,
}

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_id(spec: str) -> bool:
    """Whether `spec` means a dataset on the hub: shaped `org/name`, and not on this disk."""
    return (
        _HUB_ID.fullmatch(spec) is not None
        and not has_known_suffix(spec)
        and not _exists(Path(spec), spec)
    )


def local_parts(spec: str, split: str | None) -> list[Part]:
    """Return the files of one path, glob or folder, in order, or one split of a saved dataset.

    Args:
        spec: as the user gave it.
        split: only a saved dataset has splits.

    Raises:
        InputError: nothing there, nothing readable there, or a split of plain files.
    """
    path = Path(spec).expanduser()
    if not _exists(path, spec):
        paths = _matches(spec)
    elif not path.is_dir():
        paths = [path]
    elif reading(spec, partial(is_saved_dataset, path)):
        return [saved_part(path, spec, split)]
    else:
        paths = _files_in(path, spec)
    if split is not None:
        raise no_effect("--split", spec)
    return [_file_part(found) for found in paths]


def no_effect(option: str, spec: str) -> InputError:
    """Return the error for an option that plain files do not have."""
    return InputError(
        f"{spec}: {option} has no effect on files; it chooses within a dataset on the hub"
        + (" or one saved by `datasets`" if option == "--split" else "")
    )


def _exists(path: Path, spec: str) -> bool:
    return bool(reading(spec, path.exists))


def _matches(spec: str) -> list[Path]:
    pattern = os.path.expanduser(spec)  # noqa: PTH111  Path would drop a leading ./
    if not glob.has_magic(spec):
        raise InputError(
            f"{spec}: no such file or folder. A dataset on the hub is given as its id, such as "
            "stanfordnlp/SHP"
        )
    # Path.glob takes no absolute patterns
    found = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [path for path in found if path.is_file()]
    if not files:
        raise InputError(f"{spec}: no file matches")
    return files


def _files_in(folder: Path, spec: str) -> list[Path]:
    entries = sorted(reading(spec, lambda: list(folder.iterdir())))
    files = [
        path
        for path in entries
        if path.is_file() and has_known_suffix(path.name) and not path.name.startswith(".")
    ]
    if not files:
        raise InputError(
            f"{spec}: the folder has no file that can be read. Known suffixes: {SUPPORTED}"
        )
    return files


def _file_part(path: Path) -> Part:
    name = str(path)
    file = input_file(path, name)
    return Part(name, file.size, (path,), partial(READERS[file.format], file))


def specs_of(spec: "str | Path | Sequence[str | Path]") -> list[str]:
    """Return one or several inputs as a list of texts.

    Raises:
        InputError: for an empty list or an empty text.
    """
    given = [spec] if isinstance(spec, str | Path) else list(spec)
    if not given:
        raise InputError("no input given")
    specs = [str(one) for one in given]
    if "" in specs:  # as a path it would be the current folder
        raise InputError("--input is empty; give a file, a folder, a glob or a dataset's id")
    return specs
