"""What MT-bench's judges said and used, from the journal of the folder.

A journal elsewhere (--journal) is not looked for. Read by mt_bench.py and mt_bench_answers.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from margintool.judge.cost.prices import load_prices
from margintool.judge.journal.export import shown
from margintool.judge.journal.journal import Journal
from margintool.judge.journal.text import plain
from margintool.mt_bench.rating import JOURNAL
from margintool.page.folders import Result
from margintool.report.rows import Fact
from margintool.report.words import count

_NO_WORDS = "(no words beside the rating)"


@dataclass(frozen=True)
class Judgment:
    """What a judge said of an answer."""

    judge: str
    words: str


# question and answer, as mt_bench.parquet has them -> judgments
Judgments = Mapping[tuple[str, str], Sequence[Judgment]]


def judgments_of(bench: Result, rows: Sequence[Mapping[str, Any]]) -> Judgments:
    """Return the judgments of some answers; empty without a journal.

    Args:
        bench: a folder of MT-bench.
        rows: of mt_bench.parquet.
    """
    wanted = {(plain(one["prompt"]), plain(one["answer"])): one for one in rows}
    found: dict[tuple[str, str], list[Judgment]] = {}
    if not wanted or (path := _journal(bench)) is None:
        return found
    with Journal.open(path, write=False) as journal:
        for stored in journal.all_rows():
            prompt, answers = shown(stored.request)
            row = wanted.get((prompt, answers[-1] if answers else None))
            if row is None or stored.reply is None:
                continue
            key = (row["prompt"], row["answer"])
            found.setdefault(key, []).append(
                Judgment(stored.request.model, stored.reply.verdict.rationale or _NO_WORDS)
            )
    return found


def used_by_judges(bench: Result) -> list[Fact]:
    """Return what all replies in the journal used and cost; empty without a journal."""
    path = _journal(bench)
    if path is None:
        return []
    prices = load_prices()
    facts = []
    with Journal.open(path, write=False) as journal:
        for model, used in journal.spent().items():
            price = prices.of(model)
            cost = "no price known"
            if price is not None and not used.untold:
                cost = f"USD {price.cost(used.prompt_tokens, used.completion_tokens):,.4f}"
            tokens = f"{count(used.prompt_tokens)} in, {count(used.completion_tokens)} out"
            facts.append((f"tokens of {model}", f"{tokens} ({cost})"))
    return facts


def _journal(bench: Result) -> Path | None:
    path = bench.folder / JOURNAL
    return path if path.is_file() else None
