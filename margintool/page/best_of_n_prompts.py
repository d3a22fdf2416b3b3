"""Prompts of best-of-n with their picked and worst candidate, from candidates.parquet.

Read by best_of_n.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from margintool.best_of_n.results import REWARD, ROWS
from margintool.page.folders import Result
from margintool.page.texts import begins, cut
from margintool.page.views import Block, Example, Paragraph, Part, Said
from margintool.report.words import number
from mmpo_core.pair_file import damage_named, open_parquet

Row = Mapping[str, Any]


def prompt_blocks(one: Result, most: int) -> list[Block]:
    """Return prompts whose picked and worst candidate are furthest apart.

    Args:
        one: a folder of best-of-n.
        most: how many are shown.
    """
    path = one.folder / ROWS
    if not most:
        return []
    if not path.is_file():
        return [Paragraph(f"{ROWS} is not there, so no answers are shown.", quiet=True)]
    with open_parquet(path) as file, damage_named(path):
        # Texts are read of what is shown alone: there may be thousands of prompts.
        every = file.read(columns=["prompt_id", "candidate", "win_probability", "chosen"])
        wanted = _furthest_apart(every, most)
        found: dict[tuple[str, int], Row] = {}
        ids = pa.array([prompt for prompt, *_ in wanted], pa.string())
        for batch in file.iter_batches(batch_size=4096):
            for row in batch.filter(pc.is_in(batch["prompt_id"], ids)).to_pylist():
                found[row["prompt_id"], row["candidate"]] = row
    examples = [
        _example(found[prompt, best], found[prompt, worst]) for prompt, best, worst in wanted
    ]
    if not examples:
        return []
    title = "Prompts whose picked and worst candidate are furthest apart"
    return [Part(title, examples, folded=True)]


def _furthest_apart(table: pa.Table, most: int) -> list[tuple[str, int, int]]:
    """Return (prompt_id, pick, worst candidate) by the gap of their win probabilities.

    Prompts with a single candidate have none. Of equals the first counts.
    """
    best: dict[str, Row] = {}
    worst: dict[str, Row] = {}
    for row in table.to_pylist():
        prompt, p = row["prompt_id"], row["win_probability"]
        if p is None:
            continue
        if row["chosen"]:
            best[prompt] = row
        if prompt not in worst or p < worst[prompt]["win_probability"]:
            worst[prompt] = row
    gaps = {
        prompt: row["win_probability"] - worst[prompt]["win_probability"]
        for prompt, row in best.items()
    }
    ordered = sorted(gaps, key=lambda prompt: -gaps[prompt])[:most]
    return [(one, best[one]["candidate"], worst[one]["candidate"]) for one in ordered]


def _example(best: Row, worst: Row) -> Example:
    earlier = [(str(turn["role"]), turn["content"]) for turn in best["history"] or []]
    said: list[Said] = [cut(who, text) for who, text in [*earlier, ("prompt", best["prompt"])]]
    said += [cut("picked candidate", best["response"]), cut("worst candidate", worst["response"])]
    facts = [
        (f"{name}, {which}", number(row[name]))
        for name in (*_rewards(best), "win_probability")
        for which, row in (("picked", best), ("worst", worst))
    ]
    return Example(begins(best["prompt"]), facts, said)


def _rewards(row: Row) -> Sequence[str]:
    return [name for name in row if name == REWARD or name.startswith(f"{REWARD}_")]
