"""Small helpers: write a file in any form, read an input whole."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from margintool.storage import Wanted, open_input


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACK = {"": lambda data: data, ".gz": gzip.compress, ".zst": zstd}


def only(*names: str) -> Wanted:
    """These columns, of files that need have none of them."""
    return Wanted(tuple((name,) for name in names), (), check=lambda _: None)


Write = Callable[[str, "bytes | str | list[Any]"], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write(name, content): bytes as they are; text as UTF-8; a list as JSON Lines."""

    def call(name: str, content: bytes | str | list[Any]) -> Path:
        if isinstance(content, list):
            content = "".join(json.dumps(record) + "\n" for record in content)
        data = content.encode() if isinstance(content, str) else content
        suffix = Path(name).suffix if Path(name).suffix in PACK else ""
        path = tmp_path / name
        path.write_bytes(PACK[suffix](data))
        return path

    return call


@pytest.fixture
def rows() -> Callable[..., list[dict[str, Any]]]:
    """rows(spec, columns=None, ...): all rows of an input as dicts."""

    def call(spec: Any, columns: Any = None, **options: Any) -> list[dict[str, Any]]:
        wanted = None if columns is None else only(*columns)
        batches = open_input(spec, **options).batches(wanted)
        return [row for batch in batches for row in batch.table.to_pylist()]

    return call
