"""A folder written by `datasets` (save_to_disk), read as the Arrow streams it consists of.

Read without `datasets`, which would map the files into memory: a split of any size passes
through in batches.
"""

import json
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from margintool.storage.columns import Wanted, columns_to_read
from margintool.storage.files import reading
from margintool.storage.stream import Chunk, Part, regroup
from mmpo_core.errors import InputError, nearest


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets` wrote the folder: a Dataset or a DatasetDict."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def saved_part(folder: Path, name: str, split: str | None) -> Part:
    """Return one split of a saved dataset.

    Args:
        folder: where it is.
        name: the folder as the user gave it.
        split: which split; None where there is only one.

    Raises:
        InputError: an unknown split, several and none chosen, or missing files.
    """
    splits = _splits(folder, name)
    if split is None and len(splits) > 1:
        raise InputError(f"{name}: has several splits; choose one by --split {'|'.join(splits)}")
    chosen = split if split is not None else next(iter(splits))
    if chosen not in splits:
        raise InputError(
            f"{name}: no split {chosen!r}.{nearest(chosen, splits)} Splits: {', '.join(splits)}"
        )
    home = splits[chosen]
    state = _json(home / "state.json", name)
    files = tuple(home / entry["filename"] for entry in state["_data_files"])
    size = sum(reading(name, path.stat).st_size for path in files)
    origin = f"{name}:{chosen}" if home != folder else name
    return Part(origin, size, files, partial(_read, files, name))


def _splits(folder: Path, name: str) -> dict[str, Path]:
    if (folder / "dataset_dict.json").is_file():
        names = _json(folder / "dataset_dict.json", name)["splits"]
        return {split: folder / split for split in names}
    return {_json(folder / "state.json", name).get("_split") or "train": folder}


def _json(path: Path, name: str) -> Any:
    text = reading(f"{name} ({path.name})", path.read_text)
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{name}: {path.name} is damaged ({error})") from error


def _read(
    files: tuple[Path, ...], name: str, wanted: Wanted | None, batch_bytes: int
) -> Generator[Chunk, None, None]:
    yield from regroup(_batches(files, name, wanted), batch_bytes)


def _batches(files: tuple[Path, ...], name: str, wanted: Wanted | None) -> Iterator[Chunk]:
    before = 0
    for path in files:
        with reading(f"{name} ({path.name})", partial(pa.OSFile, str(path))) as file:
            try:
                for batch in pa.ipc.open_stream(file):
                    columns = columns_to_read(name, wanted, batch.schema)
                    table = pa.Table.from_batches([batch]).select(columns)
                    yield Chunk(table, before + file.tell())
            except (pa.ArrowInvalid, OSError) as error:
                raise InputError(f"{name}: {path.name} is damaged ({error})") from error
            before += file.size()
