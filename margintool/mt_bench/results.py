"""What a run leaves in its folder: the numbers, a row an answer, answers in FastChat's form.

Read by run.py. Each file is written whole or not at all.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from margintool.judge.asking.judging import Judging
from margintool.mt_bench.facts import PUBLISHED, PUBLISHED_SOURCE
from margintool.mt_bench.options import MtBenchOptions
from margintool.mt_bench.questions import Question, Texts, file_facts
from margintool.mt_bench.table import Table
from mmpo_core.options import plain_values
from mmpo_core.pair_file import whole_file
from mmpo_core.run_folder import write_json
from mmpo_core.run_record import versions

if TYPE_CHECKING:
    from margintool.judge.item import Item
    from margintool.mt_bench.rating import Rated

RESULTS, ROWS, ANSWERS = "mt_bench.json", "mt_bench.parquet", "model_answer.jsonl"


@dataclass(frozen=True)
class MtBench:
    """What MT-bench came to.

    Args:
        folder: holds every file of the run.
        report: the content of mt_bench.json; None where no judge was named.
        table: the mean ratings; None as well.
        lines: (label, text) of the judges' run, for the terminal.
        unfinished: what to do where requests to a judge failed; None if none did.
        status: the exit status of a command that ends so.
    """

    folder: Path
    report: Mapping[str, Any] | None
    table: Table | None
    lines: Sequence[tuple[str, str]] = ()
    unfinished: str | None = None
    status: int = 0


def write_answers(
    folder: Path, model: str, questions: Sequence[Question], answers: Sequence[Texts]
) -> None:
    """Write the answers in FastChat's form, for --answers and for other tools."""
    with whole_file(folder / ANSWERS) as temporary:
        temporary.write_text(
            "".join(
                json.dumps(
                    {
                        "question_id": _as_given(question.question_id),
                        "model_id": model,
                        "choices": [{"index": 0, "turns": list(turns)}],
                    }
                )
                + "\n"
                for question, turns in zip(questions, answers, strict=True)
            ),
            encoding="utf-8",
        )


def _as_given(question_id: str) -> int | str:
    """Return a question's number as a number, as FastChat has it."""
    return int(question_id) if question_id.isdecimal() else question_id


def write_rows(
    folder: Path,
    judges: Sequence[str],
    questions: Sequence[Question],
    judged: Sequence["Item"],
    rated: "Rated",
) -> None:
    """Write a row for each question and turn: what was judged, and the rating or why none."""
    twice = [question for question in questions for _ in range(2)]
    reasons = [problem if problem is not None else (None, None) for problem in rated.problems]
    columns: dict[str, pa.Array] = {
        "question_id": pa.array([one.question_id for one in twice], pa.string()),
        "category": pa.array([one.category for one in twice], pa.string()),
        "turn": pa.array([1, 2] * len(questions), pa.int64()),
        "prompt": pa.array([item.prompt for item in judged], pa.string()),
        "answer": pa.array([item.answers[0] for item in judged], pa.string()),
        "reference": pa.array([item.reference for item in judged], pa.string()),
        # NaN becomes null
        "rating": pa.array(rated.rating, pa.float64(), from_pandas=True),
        **{
            f"rating_{judge}": pa.array(rated.by_judge[:, number], pa.float64(), from_pandas=True)
            for number, judge in enumerate(judges)
        },
        "reason": pa.array([reason for reason, _ in reasons], pa.string()),
        "detail": pa.array([detail for _, detail in reasons], pa.string()),
    }
    with whole_file(folder / ROWS) as temporary:
        pq.write_table(pa.table(columns), temporary)


def write_report(
    options: MtBenchOptions,
    judging: Judging,
    about: Mapping[str, Any],
    table: Table,
    rated: "Rated",
) -> dict[str, Any]:
    """Write mt_bench.json and return its content.

    Args:
        options: of the run.
        judging: what was asked of whom.
        about: the model, and where its answers come from.
        table: the mean ratings.
        rated: all ratings.
    """
    problems = [problem for problem in rated.problems if problem is not None]
    report = {
        "arguments": plain_values(options),
        **about,
        "questions": file_facts(options.data),
        "references": file_facts(options.references),
        "judge": judging.about(),
        "ratings": table.as_json(),
        "without_verdict": dict(Counter(reason for reason, _ in problems)),
        "bootstrap": options.bootstrap,
        "seed": options.seed,
        "published": {"source": PUBLISHED_SOURCE, "scores": published()},
        "versions": versions(),
    }
    write_json(options.folder / RESULTS, report)
    return report


def published() -> list[dict[str, Any]]:
    """Return the paper's numbers, for orientation: other judges and prompts, other runs."""
    return [
        {"model": model, "trained_on": data, "dpo": dpo, "mmpo": mmpo}
        for (model, data), (dpo, mmpo) in PUBLISHED.items()
    ]
