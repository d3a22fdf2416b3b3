"""Made examples with the columns of RewardBench's datasets, for tests of reading and of the CLI."""

import json
from pathlib import Path
from typing import Any

from mmpo_core.evaluate.rewardbench.sections import SECTIONS, UNCOUNTED

COUNTED = [subset for one in SECTIONS.values() for subset in one.counts]
ALL = [*COUNTED, *UNCOUNTED]


def row(name: str, number: int = 0, **other: Any) -> dict[str, Any]:
    """Return an example of the subset `name`; the shorter answer is chosen where number is even."""
    short, long = f"It is {number + 1}.", f"I will not say what {number} and one are."
    chosen, rejected = (short, long) if number % 2 == 0 else (long, short)
    made = {
        "prompt": f"What is {number} and one, said as {name}?",
        "chosen": chosen,
        "chosen_model": "human",
        "rejected": rejected,
        "rejected_model": "a model",
        "subset": name,
        "id": number,
    }
    return made | other


def rows(subsets: list[str], each: int = 2) -> list[dict[str, Any]]:
    """Return some examples of each subset, their ids counted through."""
    names = [subset for subset in subsets for _ in range(each)]
    return [row(subset, number) for number, subset in enumerate(names)]


def write_rows(path: Path, some: list[dict[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(one) + "\n" for one in some), encoding="utf-8")
    return path
