"""MT-bench's answers with the lowest and the highest ratings, and those without one.

From mt_bench.parquet. Read by mt_bench.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from margintool.mt_bench.results import ROWS
from margintool.page.folders import Result
from margintool.page.mt_bench_judgments import Judgments, judgments_of
from margintool.page.texts import begins, cut
from margintool.page.views import Block, Example, Paragraph, Part
from margintool.report.rows import Fact
from margintool.report.words import counted, number
from mmpo_core.pair_file import damage_named, open_parquet

Row = Mapping[str, Any]


def answer_blocks(bench: Result, most: int) -> list[Block]:
    """Return the answers with the lowest and the highest ratings, and some without a rating.

    Args:
        bench: a folder of MT-bench.
        most: how many are shown of each; 0 for none.
    """
    path = bench.folder / ROWS
    if not most:
        return []
    if not path.is_file():
        return [Paragraph(f"{ROWS} is not there, so no answers are shown.", quiet=True)]
    with open_parquet(path) as file, damage_named(path):
        rows = file.read().to_pylist()
    rated = sorted((row for row in rows if row["rating"] is not None), key=_rating)
    unrated = [row for row in rows if row["rating"] is None]
    # Both ends of few: the highest are those that are not among the lowest.
    lowest = rated[:most]
    highest = rated[most:][-most:][::-1]
    firsts = {row["question_id"]: row for row in rows if row["turn"] == 1}
    said = judgments_of(bench, [*lowest, *highest, *unrated[:most]])
    groups = (
        ("Lowest ratings", lowest),
        ("Highest ratings", highest),
        (f"Without a rating: {counted(len(unrated), 'answer')}", unrated[:most]),
    )
    return [
        Part(title, [_example(row, firsts, said) for row in some], folded=True)
        for title, some in groups
        if some
    ]


def _rating(row: Row) -> float:
    return float(row["rating"])


def _example(row: Row, firsts: Mapping[str, Row], judgments: Judgments) -> Example:
    rating = "no rating" if row["rating"] is None else f"{row['rating']:.4g}"
    title = f"{rating}: {row['category']}, turn {row['turn']}: {begins(row['prompt'])}"
    texts: list[tuple[str, str | None]] = []
    first = firsts.get(row["question_id"])
    if row["turn"] == 2 and first is not None:
        texts += [("first question", first["prompt"]), ("first answer", first["answer"])]
    texts += [("question", row["prompt"]), ("answer", row["answer"])]
    if row["reference"] is not None:
        texts.append(("reference answer, shown to the judge", row["reference"]))
    texts += [
        (f"judgment of {one.judge}", one.words)
        for one in judgments.get((row["prompt"], row["answer"]), ())
    ]
    return Example(title, _facts(row), [cut(who, text) for who, text in texts])


def _facts(row: Row) -> Sequence[Fact]:
    facts = [("question", str(row["question_id"])), ("category", str(row["category"]))]
    ratings = [name for name in row if name.startswith("rating_")] or ["rating"]
    facts += [
        (name.removeprefix("rating_"), "-" if row[name] is None else number(row[name]))
        for name in ratings
    ]
    why = [("reason", row["reason"]), ("detail", row["detail"])]
    return facts + [(name, str(value)) for name, value in why if value is not None]
