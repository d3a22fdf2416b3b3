"""A pair file's metadata: one JSON object, strict, under the key METADATA_KEY of the schema.

Holds schema and tool version, source, normaliser, gamma and counts; only `schema_version` must
be there. Read and written by pair_file.py; margintool/report shows it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mmpo_core.checks import Breach, ContractError, refuse
from mmpo_core.schema import SCHEMA_VERSION


def recorded_gamma(metadata: Mapping[str, Any]) -> float | None:
    """Return the gamma in a file's metadata, None where it is missing or no number >= 0.

    JSON has no infinity: hard labels are recorded as the string "inf".
    """
    value = metadata.get("gamma")
    if value == "inf":
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def metadata_breaches(metadata: Any) -> Iterator[Breach]:
    """Yield what is wrong with a file's metadata. metadata: any value that JSON can hold."""
    if not isinstance(metadata, Mapping):
        problem = f"the metadata is no JSON object but of type {type(metadata).__name__}"
        yield Breach("metadata", None, None, problem)
        return
    version = metadata.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int):
        yield Breach("metadata", None, None, "the metadata has no schema_version")
    elif version > SCHEMA_VERSION:
        problem = (
            f"written with schema version {version}; this margintool reads up to "
            f"{SCHEMA_VERSION}. Upgrade margintool to read it"
        )
        yield Breach("metadata", None, None, problem)
    gamma = metadata.get("gamma")
    if gamma is not None and recorded_gamma(metadata) is None:
        problem = f"the metadata's gamma is {gamma!r:.60}, expected a number >= 0 or 'inf'"
        yield Breach("metadata", None, None, problem)


def unpack_metadata(packed: bytes | None) -> tuple[dict[str, Any], list[Breach]]:
    """Return a file's metadata as far as it can be read, and what is wrong with it.

    Args:
        packed: what the file has under METADATA_KEY; None where it has nothing.
    """
    if packed is None:
        problem = (
            "no margintool metadata. A pair file is made by `margintool score`; "
            "write your own with mmpo_core.write_pairs"
        )
        return {}, [Breach("metadata", None, None, problem)]
    try:
        metadata = json.loads(packed.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        problem = f"the metadata is not JSON in UTF-8 ({error})"
        return {}, [Breach("metadata", None, None, problem)]
    return metadata if isinstance(metadata, dict) else {}, list(metadata_breaches(metadata))


def pack_metadata(metadata: Mapping[str, Any], where: str) -> bytes:
    """Return metadata as it is stored: strict JSON, the same for the same content.

    Infinity becomes the string "inf", and tuples become lists, as JSON has neither.

    Args:
        metadata: JSON values, numpy scalars and infinity.
        where: what to call the file in messages.

    Raises:
        ContractError: naming the key, for NaN and whatever else JSON cannot hold.
    """
    plain = _plain(metadata, "", where)
    refuse(metadata_breaches(plain), where)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def _plain(value: Any, key: str, where: str) -> Any:
    """Return `value` as JSON can hold it. key: where it stands, as in `counts.read`."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {
            _text(name, key, where): _plain(item, _below(key, name), where)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(item, _below(key, at), where) for at, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value, key, where)
    if isinstance(value, float) and math.isinf(value):
        return str(float(value))
    if value is None or isinstance(value, int) or (isinstance(value, float) and value == value):
        return value
    raise _unstorable(value, key, where)


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _text(value: object, key: str, where: str) -> str:
    """Return a str that UTF-8 can encode: file names that are not valid UTF-8 cannot."""
    try:
        if isinstance(value, str):
            value.encode()
            return value
    except UnicodeEncodeError:
        pass
    raise _unstorable(value, key, where)


def _unstorable(value: object, key: str, where: str) -> ContractError:
    return ContractError(
        f"{where}: metadata {key!r} holds {value!r:.60} of type {type(value).__name__}, which JSON "
        "cannot hold. Use text, finite numbers or infinity, true, false, null, lists and objects "
        "with text keys"
    )
