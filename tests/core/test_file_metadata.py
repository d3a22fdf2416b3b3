"""Metadata: strict JSON, the same bytes for the same content, and what is wrong said in words."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmpo_core.checks import ContractError
from mmpo_core.file_metadata import (
    metadata_breaches,
    pack_metadata,
    recorded_gamma,
    unpack_metadata,
)
from mmpo_core.schema import SCHEMA_VERSION


@pytest.mark.parametrize(
    "metadata",
    [{}, {"schema_version": "1"}, {"schema_version": None}, {"schema_version": True}],
)
def test_metadata_without_a_version_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="x: the metadata has no schema_version"):
        pack_metadata(metadata, "x")


@pytest.mark.parametrize("metadata", [[], "text", None, 3])
def test_metadata_that_is_no_mapping_is_a_breach(metadata: Any) -> None:
    assert [b.kind for b in metadata_breaches(metadata)] == ["metadata"]
    with pytest.raises(ContractError, match=f"type {type(metadata).__name__}"):
        pack_metadata(metadata, "x")


def test_a_newer_schema_is_refused_with_what_to_do() -> None:
    with pytest.raises(ContractError, match=rf"version {SCHEMA_VERSION + 1}.*Upgrade margintool"):
        pack_metadata({"schema_version": SCHEMA_VERSION + 1}, "x")


def test_this_and_older_schemas_are_read() -> None:
    for version in range(SCHEMA_VERSION + 1):
        assert list(metadata_breaches({"schema_version": version})) == []


@pytest.mark.parametrize(
    ("value", "gamma"),
    [(2, 2.0), (0, 0.0), (1.5, 1.5), ("inf", math.inf), (math.inf, math.inf), (None, None)],
)
def test_gamma_is_a_number_or_inf_or_not_there(value: Any, gamma: float | None) -> None:
    metadata = {"schema_version": 1, "gamma": value}
    assert recorded_gamma(metadata) == gamma
    assert list(metadata_breaches(metadata)) == []


@pytest.mark.parametrize("value", [-1, "2", "infinity", True, [], math.nan, -math.inf, 10**400])
def test_any_other_gamma_is_a_breach(value: Any) -> None:
    metadata = {"schema_version": 1, "gamma": value}
    assert recorded_gamma(metadata) is None
    (breach,) = metadata_breaches(metadata)
    assert "gamma is" in breach.problem


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (None, "no margintool metadata"),
        (b"", "not JSON"),
        (b"{not json", "not JSON"),
        (b'{"schema_version": 1, "note": "\xff"}', "not JSON in UTF-8"),
        ('{"schema_version": 1}'.encode("utf-16"), "not JSON in UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "no JSON object but of type list"),
        (b'"text"', "no JSON object but of type str"),
        (b"null", "no JSON object but of type NoneType"),
    ],
)
def test_what_cannot_be_unpacked_is_one_breach(packed: bytes | None, words: str) -> None:
    metadata, (breach,) = unpack_metadata(packed)
    assert metadata == {}
    assert words in str(breach)


def test_the_readable_part_is_given_beside_the_breach() -> None:
    metadata, (breach,) = unpack_metadata(b'{"schema_version": 99, "source": "shp"}')
    assert metadata["source"] == "shp"
    assert "Upgrade" in str(breach)


def test_infinity_is_written_as_text_so_that_the_json_is_strict() -> None:
    packed = pack_metadata(
        {"schema_version": 1, "gamma": math.inf, "options": {"bounds": [-math.inf, 2.5]}}, "x"
    )

    def no_constant(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(packed, parse_constant=no_constant)
    assert found["gamma"] == "inf"
    assert found["options"] == {"bounds": ["-inf", 2.5]}
    assert recorded_gamma(found) == math.inf


def test_numpy_scalars_and_tuples_are_plain_json() -> None:
    metadata = {"schema_version": np.int64(1), "gamma": np.float32(0.5), "mean": (np.inf, 1)}
    found, breaches = unpack_metadata(pack_metadata(metadata, "x"))
    assert breaches == []
    assert found == {"schema_version": 1, "gamma": 0.5, "mean": ["inf", 1]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nan, "'a.b.1' holds nan of type float"),
        (np.float64("nan"), "'a.b.1' holds nan"),
        (Path("x"), "of type PosixPath"),
        (b"x", "of type bytes"),
        ({1: 2}, "'a.b.1' holds 1 of type int"),
        ("\udcff.jsonl", r"'a.b.1' holds '\udcff.jsonl' of type str"),
    ],
)
def test_what_json_cannot_hold_is_named_by_its_key(value: Any, words: str) -> None:
    with pytest.raises(ContractError) as error:
        pack_metadata({"schema_version": 1, "a": {"b": [0, value]}}, "x")
    assert str(error.value).startswith("x: metadata ")
    assert words in str(error.value)


def test_the_order_of_keys_does_not_matter() -> None:
    metadata = {"schema_version": 1, "source": "ä", "counts": {"read": 1, "kept": 2}}
    turned = dict(reversed(metadata.items()))
    assert pack_metadata(metadata, "x") == pack_metadata(turned, "x")
