"""A journal as a table that any tool reads, one row a request: `margintool judge export`."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from margintool.judge.asking.fence import unfenced
from margintool.judge.cost.prices import Prices, load_prices
from margintool.judge.item import Request
from margintool.judge.journal.chunks import chunks
from margintool.judge.journal.file import files_of, real
from margintool.judge.journal.journal import Journal, StoredRow
from margintool.judge.journal.text import plain
from margintool.progress import Progress, no_progress
from mmpo_core.errors import InputError, lookup
from mmpo_core.pair_file import COMPRESSION, whole_file

CHUNK = 1000

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("model", pa.string()),
        ("mode", pa.string()),
        ("draw", pa.int32()),
        ("prompt", pa.string()),  # null where a template of one's own has no such segment
        ("answers", pa.list_(pa.string())),  # as they were shown
        ("value", pa.float64()),
        ("aspects", pa.map_(pa.string(), pa.float64())),
        ("rationale", pa.string()),
        ("read_from", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("seconds", pa.float64()),
        ("served_by", pa.string()),
        ("by_batch", pa.bool_()),
        ("cost", pa.float64()),  # US dollars; null without a price or a token count
        ("error", pa.string()),
    ]
)
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
FULL_SCHEMA = pa.schema([*SCHEMA, ("messages", _MESSAGES), ("raw", pa.string())])

Row = dict[str, Any]
Write = Callable[[list[Row]], None]


@dataclass(frozen=True)
class ExportSummary:
    """What was written.

    Args:
        rows: requests.
        answered: those with a reply.
        readable: those with a value.
        unpriced: models without a price, whose cost is null.
    """

    rows: int
    answered: int
    readable: int
    unpriced: tuple[str, ...]


def export(
    journal_path: str | PathLike[str],
    out: str | PathLike[str],
    *,
    full: bool = False,
    prices: Prices | None = None,
    progress: Progress = no_progress,
) -> ExportSummary:
    """Write one row for each request of a journal: what was asked, said, used and paid.

    Args:
        journal_path: the journal.
        out: NAME.parquet, NAME.csv or NAME.jsonl; written whole or not at all. In CSV, lists and
            mappings are JSON.
        full: with the messages and the raw reply of each request.
        prices: what models cost; the built-in prices if not given.
        progress: told of each row.

    Raises:
        InputError: if the journal cannot be read, or `out` cannot be written or has another
            ending.
    """
    open_table = lookup("form of file", Path(out).suffix, FORMATS)
    if real(Path(out)) in files_of(Path(journal_path)):
        raise InputError(f"{out}: --out names the journal, or a file of it; give it another name")
    prices = load_prices() if prices is None else prices
    schema = FULL_SCHEMA if full else SCHEMA
    count, answered, readable = 0, 0, 0
    unpriced: set[str] = set()
    with (
        Journal.open(journal_path, write=False) as journal,
        whole_file(out) as temporary,
        open_table(temporary, schema) as write,
    ):
        progress.start("export", journal.counts().planned)
        for stored in chunks(journal.all_rows(), CHUNK):
            rows = [_row(one, prices, full) for one in stored]
            write(rows)
            count += len(rows)
            answered += sum(one.reply is not None for one in stored)
            readable += sum(row["value"] is not None for row in rows)
            unpriced |= {r["model"] for r in rows if prices.of(r["model"]) is None}
            progress.advance(len(rows))
    return ExportSummary(count, answered, readable, tuple(sorted(unpriced)))


def _row(stored: StoredRow, prices: Prices, full: bool) -> Row:
    request, reply = stored.request, stored.reply
    prompt, answers = shown(request)
    row: Row = dict.fromkeys(SCHEMA.names)
    row |= {
        "key": request.key,
        "model": request.model,
        "mode": request.task.mode,
        "draw": request.draw,
        "prompt": prompt,
        "answers": answers,
        "by_batch": stored.by_batch,
        "error": stored.error,
    }
    if full:
        messages = request.body["messages"]
        row["messages"] = [{k: plain(m[k]) for k in ("role", "content")} for m in messages]
        row["raw"] = None if reply is None else plain(reply.raw)
    if reply is not None:
        verdict = reply.verdict
        row |= {name: getattr(reply, name) for name in _OF_REPLY}
        row |= {name: getattr(verdict, name) for name in _OF_VERDICT}
        row["cost"] = _cost(stored, prices)
    return row


_OF_REPLY = ("finish_reason", "prompt_tokens", "completion_tokens", "seconds", "served_by")
_OF_VERDICT = ("value", "aspects", "rationale", "read_from", "reason", "detail")


def shown(request: Request) -> tuple[str | None, list[str | None]]:
    """Return the prompt and the answers that a request shows, out of their fences."""
    segments = [
        segment
        for message in request.body["messages"]
        for segment in unfenced(str(message["content"]), request.fence)
    ]
    prompt = next((text for label, text in segments if label == "PROMPT"), None)
    answers = [text for label, text in segments if label.split(" ")[0] == "ANSWER"]
    return plain(prompt), [plain(answer) for answer in answers]


def _cost(stored: StoredRow, prices: Prices) -> float | None:
    price, reply = prices.of(stored.request.model), stored.reply
    if price is None or reply is None:
        return None
    if reply.prompt_tokens is None or reply.completion_tokens is None:
        return None
    return price.cost(reply.prompt_tokens, reply.completion_tokens, batch=stored.by_batch)


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with pq.ParquetWriter(path, schema, compression=COMPRESSION) as writer:
        yield lambda rows: writer.write_table(
            pa.Table.from_pylist([_mapped(row) for row in rows], schema=schema)
        )


def _mapped(row: Row) -> Row:
    """Return a row with its mapping as the pairs that Arrow's map type takes."""
    aspects = row["aspects"]
    return row if aspects is None else {**row, "aspects": list(aspects.items())}


@contextmanager
def _csv(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, schema.names)
        writer.writeheader()
        yield lambda rows: writer.writerows({k: _cell(v) for k, v in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    nested = isinstance(value, list | Mapping)
    return json.dumps(value, ensure_ascii=False) if nested else value


@contextmanager
def _jsonl(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda rows: file.writelines(
            json.dumps({name: row[name] for name in schema.names}, ensure_ascii=False) + "\n"
            for row in rows
        )


Open = Callable[[Path, pa.Schema], AbstractContextManager[Write]]
FORMATS: dict[str, Open] = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
