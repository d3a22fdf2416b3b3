"""Datasets on the Hugging Face hub, streamed by `datasets`. The only module that imports it."""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from margintool.storage.columns import Wanted, columns_to_read
from margintool.storage.stream import Chunk, Part, regroup
from mmpo_core.errors import InputError

T = TypeVar("T")

DEFAULT_SPLIT = "train"
TIMEOUT = 10.0  # seconds that the hub has to answer the first request
_ROWS_AT_ONCE = 1000
_INSTEAD = "To read a local file instead, give its path: --input FILE"


def hub_part(
    dataset: str, *, split: str | None, config: str | None, revision: str | None
) -> tuple[Part, str]:
    """Return a split of a hub dataset, streaming, and what identifies its content.

    One quick request comes first: without it, `datasets` takes 23 seconds of retries to see
    that there is no network. Its answer, the commit, pins what is read.

    Raises:
        InputError: the hub cannot be reached, or has no such dataset, config or split, or wants
            a login; says how to give a local file.
    """
    chosen = split or DEFAULT_SPLIT

    def load() -> tuple[Any, str]:
        from huggingface_hub import HfApi

        commit = HfApi().dataset_info(dataset, revision=revision, timeout=TIMEOUT).sha
        import datasets  # takes seconds: only where the hub has answered

        stream = datasets.load_dataset(
            dataset, name=config, split=chosen, revision=commit or revision, streaming=True
        )
        return stream, f"{dataset}@{commit or revision}:{config or 'default'}:{chosen}"

    stream, identity = _asking(dataset, load)
    part = Part(f"{dataset}:{chosen}", None, (), partial(_read, dataset, stream))
    return part, identity


def _read(
    dataset: str, stream: Any, wanted: Wanted | None, batch_bytes: int
) -> Generator[Chunk, None, None]:
    yield from regroup(_tables(dataset, stream, wanted), batch_bytes)


def _tables(dataset: str, stream: Any, wanted: Wanted | None) -> Iterator[Chunk]:
    tables = stream.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE)
    while True:
        table: pa.Table | None = _asking(dataset, lambda: next(tables, None))
        if table is None:
            return
        yield Chunk(table.select(columns_to_read(dataset, wanted, table.schema)), 0)


def _asking(dataset: str, action: Callable[[], T]) -> T:
    """Return `action()`; whatever the hub's libraries raise becomes one InputError."""
    try:
        return action()
    except Exception as error:
        raise InputError(
            f"{dataset}: not a file here, and not to be had from the Hugging Face hub: "
            f"{_cause(error)}. {_INSTEAD}"
        ) from error


def _cause(error: Exception) -> str:
    """Say in words why the hub's libraries gave up.

    By class name: these classes have moved between modules, and httpx's are not OSErrors.
    """
    classes = {kind.__name__ for kind in type(error).__mro__}
    first_line = next(iter(str(error).strip().splitlines()), "").rstrip(". ")
    known = {
        "OfflineModeIsEnabled": "offline mode is on (HF_HUB_OFFLINE)",
        "GatedRepoError": "the dataset is gated: accept its terms on the hub and `hf auth login`",
        "RepositoryNotFoundError": "no such dataset, or a private one: check the name, or "
        "`hf auth login`",
        "RevisionNotFoundError": "no such revision",
        "TransportError": f"it cannot be reached ({first_line})",
        "ConnectionError": f"it cannot be reached ({first_line})",
    }
    for name, words in known.items():
        if name in classes:
            return words
    return first_line or type(error).__name__
