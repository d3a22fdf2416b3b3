"""A journal as a table: the same rows in every form, written whole or not at all."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from margintool.judge.asking.fence import fenced
from margintool.judge.cost.prices import Price, Prices
from margintool.judge.item import Request, Verdict
from margintool.judge.journal.export import FORMATS, FULL_SCHEMA, SCHEMA, ExportSummary, export
from margintool.judge.journal.journal import Failure, Journal
from mmpo_core.errors import InputError
from tests.judge.journal_rows import SERVER, key, reply, request

PRICES = Prices({"gpt-4o": Price(1.0, 10.0)})
FENCE = "0123456789abcdef"


def asked(number: int, *answers: str, **changes: Any) -> Request:
    labels = ["ANSWER"] if len(answers) == 1 else ["ANSWER A", "ANSWER B"]
    parts = [fenced("PROMPT", 'Why? "\n', FENCE)]
    parts += [fenced(label, text, FENCE) for label, text in zip(labels, answers, strict=True)]
    return replace(request(number, "Judge.\n" + "\n\n".join(parts), **changes), fence=FENCE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    where = tmp_path / "journal.sqlite"
    with Journal.open(where, write=True) as journal:
        journal.plan([asked(0, "One, \ud800 [[10]]"), asked(1, "a", "b", mode="pair")])
        journal.plan([asked(2, "x", model="local"), asked(3, "y"), asked(4, "z")])
        journal.new_batch([key(1)], "gpt-4o", served_by=SERVER)
        verdict = Verdict(3.5, "json", {"honesty": 3.0, "truthfulness": 4.0}, 'so\n"it" is')
        journal.store([reply(0, verdict=verdict), reply(1, None), reply(2, 5.0)])
        journal.fail([Failure(key(3), "HTTP 500")])
    return where


def read_parquet(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return [{**r, "aspects": None if r["aspects"] is None else dict(r["aspects"])} for r in rows]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


READERS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    ".parquet": read_parquet,
    ".jsonl": read_jsonl,
    ".csv": read_csv,
}


def test_every_form_is_read_here() -> None:
    assert set(READERS) == set(FORMATS)


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_the_rows(path: Path, tmp_path: Path, ending: str) -> None:
    """Costs: (1000 * 1 + 100 * 10) / 10^6 = 0.002, half by batch, none without a price."""
    summary = export(path, tmp_path / f"out{ending}", prices=PRICES)
    assert summary == ExportSummary(5, 3, 2, ("local",))
    rows = READERS[ending](tmp_path / f"out{ending}")
    assert list(rows[0]) == SCHEMA.names
    first = rows[0]
    assert (first["key"], first["model"], first["mode"], first["draw"]) == (
        key(0), "gpt-4o", "single", 0,
    )  # fmt: skip
    assert first["prompt"] == 'Why? "\n'
    assert first["answers"] == ["One, ? [[10]]"]
    assert (first["value"], first["read_from"]) == (3.5, "json")
    assert first["aspects"] == {"honesty": 3.0, "truthfulness": 4.0}
    assert first["rationale"] == 'so\n"it" is'
    assert (first["prompt_tokens"], first["completion_tokens"], first["seconds"]) == (
        1000,
        100,
        0.25,
    )
    assert first["served_by"] == SERVER
    assert rows[1]["answers"] == ["a", "b"]
    assert (rows[1]["value"], rows[1]["reason"]) == (None, "judge_empty")
    assert [row["cost"] for row in rows] == pytest.approx([0.002, 0.001, None, None, None])
    assert [row["by_batch"] for row in rows] == [False, True, False, False, False]
    assert [row["error"] for row in rows] == [None, None, None, "HTTP 500", None]
    assert rows[4]["read_from"] is None


def test_csv_has_the_same_cells(path: Path, tmp_path: Path) -> None:
    export(path, tmp_path / "out.csv", full=True, prices=PRICES)
    export(path, tmp_path / "out.jsonl", full=True, prices=PRICES)
    cells = read_csv(tmp_path / "out.csv")
    rows = read_jsonl(tmp_path / "out.jsonl")
    assert list(cells[0]) == FULL_SCHEMA.names
    for name in FULL_SCHEMA.names:
        for cell, row in zip(cells, rows, strict=True):
            value = row[name]
            nested = isinstance(value, list | dict)
            text = "" if value is None else str(value)
            assert (json.loads(cell[name]) if nested else cell[name]) == (value if nested else text)


def test_full_adds_messages_and_the_raw_reply(path: Path, tmp_path: Path) -> None:
    export(path, tmp_path / "out.parquet", full=True, prices=PRICES)
    first, *_, last = read_parquet(tmp_path / "out.parquet")
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    assert FENCE in first["messages"][1]["content"]
    assert json.loads(first["raw"])["choices"]
    assert last["raw"] is None


def test_a_template_without_the_usual_segments(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, write=True) as journal:
        journal.plan([request(1, "Is it good?")])
    export(path, tmp_path / "out.jsonl")
    (row,) = read_jsonl(tmp_path / "out.jsonl")
    assert (row["prompt"], row["answers"]) == (None, [])


def test_more_rows_than_a_chunk(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, write=True) as journal:
        journal.plan(request(number) for number in range(2345))
    for ending, read in READERS.items():
        assert export(path, tmp_path / f"out{ending}").rows == 2345
        assert [row["key"] for row in read(tmp_path / f"out{ending}")] == [
            key(number) for number in range(2345)
        ]


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_a_damaged_journal_leaves_the_old_file(tmp_path: Path, ending: str) -> None:
    path, out = tmp_path / "journal.sqlite", tmp_path / f"out{ending}"
    with Journal.open(path, write=True) as journal:
        journal.plan(request(number) for number in range(1500))
        with journal.transaction() as db:
            db.execute("UPDATE requests SET body = x'00' WHERE id = 1400")
    out.write_text("before")
    with pytest.raises(InputError, match="damaged journal"):
        export(path, out)
    assert out.read_text() == "before"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["journal.sqlite", out.name]


def test_other_endings_and_missing_journals_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown form of file '.xlsx'.*\.parquet, \.csv"):
        export(path, tmp_path / "out.xlsx")
    with pytest.raises(InputError, match="no such journal"):
        export(tmp_path / "none.sqlite", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["journal.csv", "link.csv"])
def test_the_journal_is_not_replaced_by_its_table(tmp_path: Path, name: str) -> None:
    journal = tmp_path / "journal.csv"
    with Journal.open(journal, write=True) as opened:
        opened.plan([asked(0, "One")])
    (tmp_path / "link.csv").symlink_to(journal)
    out = tmp_path / name
    with pytest.raises(InputError, match="names the journal"):
        export(journal, out)
    with Journal.open(journal, write=False) as opened:
        assert opened.counts().planned == 1
