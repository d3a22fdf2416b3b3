"""Bad inputs to `score`: each is named, in one message without a traceback, with what to do.

Run `pytest tests/cli/test_bad_inputs.py -s` to read what each one prints.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.score.conftest import shp_row

LINE = json.dumps(shp_row(9, 2)) + "\n"
LINES = "".join(json.dumps(shp_row(2 + i, 2, 3 * i)) + "\n" for i in range(40)).encode()


def file(name: str, content: bytes | str) -> Callable[[Path], list[str]]:
    """An input file with this content."""

    def make(folder: Path) -> list[str]:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return ["--input", str(path)]

    return make


def rows(*content: dict[str, Any]) -> Callable[[Path], list[str]]:
    return file("votes.jsonl", "".join(json.dumps(row) + "\n" for row in content))


def options(make: Callable[[Path], list[str]], *more: str) -> Callable[[Path], list[str]]:
    return lambda folder: [*make(folder), *more]


def parquet(folder: Path) -> bytes:
    path = folder / "whole.parquet"
    pq.write_table(pa.Table.from_pylist([shp_row(9, 2, i) for i in range(99)]), path)
    return path.read_bytes()


def truncated_parquet(folder: Path) -> list[str]:
    return file("cut.parquet", parquet(folder)[:-50])(folder)


def damaged_parquet(folder: Path) -> list[str]:
    whole = bytearray(parquet(folder))
    whole[4:400] = b"\xff" * 396
    return file("damaged.parquet", bytes(whole))(folder)


def empty_folder(folder: Path) -> list[str]:
    (folder / "empty").mkdir()
    return ["--input", str(folder / "empty")]


def output_under_a_file(folder: Path) -> list[str]:
    (folder / "file").write_text("x")
    return [*file("votes.jsonl", LINE)(folder), "--out", str(folder / "file" / "pairs.parquet")]


def output_is_a_folder(folder: Path) -> list[str]:
    return [*file("votes.jsonl", LINE)(folder), "--out", str(folder)]


def output_is_the_input(folder: Path) -> list[str]:
    path = folder / "votes.parquet"
    pq.write_table(pa.Table.from_pylist([json.loads(LINE)]), path)
    return ["--input", str(path), "--out", str(path), "--overwrite"]


# name -> (input, parts of the message)
REFUSED: dict[str, tuple[Callable[[Path], list[str]], list[str]]] = {
    "missing file": (lambda f: ["--input", str(f / "no.jsonl")], ["no.jsonl", "no such file"]),
    "empty file": (file("votes.jsonl", ""), ["votes.jsonl", "empty"]),
    "only blank lines": (file("votes.jsonl", "\n\n \n"), ["votes.jsonl"]),
    "truncated gzip": (file("v.jsonl.gz", gzip.compress(LINES)[:-30]), ["v.jsonl.gz", "cut off"]),
    "not gzip": (file("v.jsonl.gz", LINE), ["v.jsonl.gz", "gzip"]),
    "truncated zstd": (
        file("v.jsonl.zst", pa.compress(LINES, "zstd", asbytes=True)[:-20]),
        ["v.jsonl.zst", "cut off"],
    ),
    "latin-1": (
        file("v.jsonl", LINES + LINE.replace("Question", "Frage \xfc").encode("latin-1")),
        ["v.jsonl", "line 41", "UTF-8"],
    ),
    "utf-16": (file("v.jsonl", LINE.encode("utf-16")), ["v.jsonl", "UTF-16"]),
    "broken json": (file("v.jsonl", LINE + '{"history": "x", \n' + LINE), ["v.jsonl", "line 2"]),
    "line is a list": (file("v.jsonl", LINE + "[1, 2]\n"), ["v.jsonl", "line 2", "object"]),
    "json object": (file("v.json", '{"rows": {"history": "x"}, "more": [1]}'), ["v.json"]),
    "truncated json list": (file("v.json", "[" + LINE + ", {"), ["v.json"]),
    "truncated parquet": (truncated_parquet, ["cut.parquet", "Parquet"]),
    "damaged parquet": (damaged_parquet, ["damaged.parquet"]),
    "text called parquet": (file("v.parquet", LINE), ["v.parquet", "Parquet"]),
    "unknown suffix": (file("v.xlsx", LINE), ["v.xlsx", ".jsonl"]),
    "glob without match": (lambda f: ["--input", f"{f}/*.jsonl"], ["*.jsonl", "no"]),
    "folder without data": (empty_folder, ["empty"]),
    "missing column": (rows({"history": "x", "human_ref_A": "a"}), ["human_ref_B", "--map"]),
    "no known column": (rows({"foo": 1}), ["--layout", "--map"]),
    "csv: duplicate columns": (file("v.csv", "a,a\n1,2\n"), ["v.csv", "'a'"]),
    "csv: row too short": (
        file("v.csv", "history,human_ref_A,human_ref_B,score_A,score_B\nx,a,b,3,2\nx,a\n"),
        ["v.csv", "3"],
    ),
    "map to no column": (
        options(rows(shp_row(9, 2)), "--map", "history=historie"),
        ["historie", "history"],
    ),
    "malformed map": (options(rows(shp_row(9, 2)), "--map", "history"), ["--map"]),
    "split of a file": (options(rows(shp_row(9, 2)), "--split", "train"), ["split"]),
    "all ties": (rows(shp_row(5, 5)), ["ties", "--gamma"]),
    "output under a file": (output_under_a_file, ["/file is a file, not a folder"]),
    "output is a folder": (output_is_a_folder, ["folder"]),
    "output is the input": (output_is_the_input, ["votes.parquet: is an input", "--out"]),
    "unknown option": (options(rows(shp_row(9, 2)), "--gama", "1"), ["--gamma"]),
    "csv with semicolons": (
        file("v.csv", "history;human_ref_A;human_ref_B;score_A;score_B\nx;a;b;3;2\n"),
        ["one column with semicolons in its name", "commas"],
    ),
    "input without a name": (lambda _: ["--input", ""], ["--input is empty"]),
    "hub id among files": (
        options(rows(shp_row(9, 2)), "--input", "nobody/nothing"),
        ["nobody/nothing: no such file", "give its id alone"],
    ),
    "hub out of reach": (lambda _: ["--input", "nobody/nothing"], ["nobody/nothing", "--input"]),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_with_one_message(cli: Callable[..., Any], tmp_path: Path, name: str) -> None:
    make, parts = REFUSED[name]
    args = make(tmp_path)
    if "--out" not in args:
        args += ["--out", str(tmp_path / "pairs.parquet")]
    before = sorted(tmp_path.rglob("*"))
    done = cli("score", "--source", "shp", *args)
    print(f"\n[{name}] {done.err.strip().replace(str(tmp_path), '.')}")
    assert done.status == 2
    assert "Traceback" not in done.err
    for part in parts:
        assert part.lower() in done.err.lower()
    assert sorted(tmp_path.rglob("*")) == before  # nothing written, nothing left behind


# name -> (row beside a good one, reason in the rejects file, part of its detail)
REJECTED: dict[str, tuple[dict[str, Any], str, str]] = {
    "null votes": (shp_row(None, 2, 3), "votes_missing", "first answer"),
    "NaN votes": (shp_row(float("nan"), 2, 3), "votes_not_finite", "nan"),
    "votes in words": (shp_row("12k", 2, 3), "votes_not_a_number", "'12k'"),
    "votes of 400 digits": (shp_row(10**400, 2, 3), "votes_not_finite", "first answer"),
    "negative votes": (shp_row(-7, 2, 3), "votes_negative", "-7"),
    "empty prompt": (shp_row(9, 2, 3, history="  "), "empty_prompt", ""),
    "empty answer": (shp_row(9, 2, 3, human_ref_B=""), "empty_response", "human_ref_B"),
    "null answer": (shp_row(9, 2, 3, human_ref_A=None), "empty_response", "human_ref_A"),
    "answer is true": (shp_row(9, 2, 3, human_ref_A=True), "not_text", "true"),
    "identical answers": (shp_row(9, 2, 3, human_ref_A="Answer B3"), "identical_responses", ""),
    "label 7": (shp_row(9, 2, 3, labels=7), "bad_label", "7"),
    "repeated row": (shp_row(9, 2, 0), "duplicate_pair", ""),
}


@pytest.mark.parametrize("name", sorted(REJECTED))
def test_rejected_by_name(cli: Callable[..., Any], tmp_path: Path, name: str) -> None:
    row, reason, detail = REJECTED[name]
    args = rows(shp_row(9, 2, 0), row)(tmp_path)
    done = cli("score", "--source", "shp", *args, "--out", tmp_path / "pairs.parquet")
    assert done.status == 0, done.err
    assert f"{reason} 1" in done.out
    rejected = pq.read_table(tmp_path / "pairs.rejects.parquet").to_pylist()
    print(f"\n[{name}] {rejected[0]['reason']}: {rejected[0]['detail']}")
    assert [r["reason"] for r in rejected] == [reason]
    assert rejected[0]["origin"].endswith("votes.jsonl:2")
    assert detail in rejected[0]["detail"]
    assert pq.read_table(tmp_path / "pairs.parquet").num_rows == 1


def test_huge_but_finite_votes_and_a_long_prompt_are_scored(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    """10^30 votes to 10 is ln(10^29); a prompt of 10 MB is kept whole."""
    prompt = "why? " * 2_000_000
    args = rows(shp_row(10**30, 10, 0), shp_row(9, 2, 3, history=prompt))(tmp_path)
    done = cli("score", "--source", "shp", *args, "--out", tmp_path / "pairs.parquet")
    assert done.status == 0, done.err
    pairs = pq.read_table(tmp_path / "pairs.parquet").to_pylist()
    assert pairs[0]["margin_raw"] == pytest.approx(29 * 2.302585092994046)
    assert pairs[1]["prompt"] == prompt


def test_a_byte_order_mark_is_no_part_of_the_first_column(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    args = file("v.jsonl", b"\xef\xbb\xbf" + LINE.encode())(tmp_path)
    assert cli("score", "--source", "shp", *args, "--out", tmp_path / "p.parquet").status == 0
