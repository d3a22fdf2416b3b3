"""predictions.parquet written once and read again while nothing that it depends on has changed.

The file's metadata holds what its scores depend on (fingerprints.py), in words and as a key. Read
by running.py.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import xxhash

from mmpo_core.errors import InputError
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.pair_file import COMPRESSION, damage_named, open_parquet, whole_file

logger = logging.getLogger("mmpo_core.evaluate")

MADE_FROM = b"margintool_made_from"

Parts = Mapping[str, Any]


def content_key(parts: Parts) -> str:
    """Return 32 hexadecimal digits that are others where any part is."""
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return str(xxhash.xxh3_128_hexdigest(text.encode()))


def write_predictions(
    path: Path, predictions: Predictions, parts: Parts | None, about: Mapping[str, Any]
) -> None:
    """Write a predictions file, whole or not at all.

    Args:
        path: of the file.
        predictions: of N pairs.
        parts: what their scores depend on; None if that is not known, and the file is for reading
            alone.
        about: how they were computed.

    Raises:
        InputError: if it cannot be written.
    """
    table = predictions.to_table()
    made_from = {"key": parts and content_key(parts), "parts": parts, "about": about}
    metadata = {**table.schema.metadata, MADE_FROM: json.dumps(made_from).encode()}
    with whole_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression=COMPRESSION)


def read_predictions(path: Path, parts: Parts | None) -> tuple[Predictions, dict[str, Any]] | None:
    """Return the predictions of a file and how they were computed, if they are of these parts.

    None if there is no such file, or it holds others; a damaged one is said.
    """
    if parts is None or not path.is_file():
        return None
    try:
        with open_parquet(path) as file:
            metadata = file.schema_arrow.metadata or {}
            made_from = json.loads(metadata.get(MADE_FROM, b"{}"))
            if made_from.get("key") != content_key(parts):
                return None
            with damage_named(path):
                table = file.read()
        return Predictions.from_table(table, str(path)), made_from["about"]
    except (InputError, ValueError) as error:
        logger.warning("%s is computed again: it cannot be read (%s)", path, error)
        return None
