"""Real verdicts in both orders: qlora's GPT-4 scores joined with the answers that they are of.

Read by tests of the `judgments` layout and of whatever merges both orders. To have the joined
rows as a file: python -m tests.layouts.qlora DATA_FOLDER judgments.jsonl
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any


def joined_judgments(data: Path) -> list[dict[str, Any]]:
    """Return the verdicts, in their order, as rows of the `judgments` layout.

    An answer whose text is not there (model 30b-huggingchat) is None.

    Args:
        data: the folder of real data.
    """
    questions = {row["question_id"]: row["text"] for row in _rows(data, "qlora_questions")}
    answers = {
        (row["model"], row["question_id"]): row["answer"] for row in _rows(data, "qlora_answers")
    }
    return [
        {
            "prompt": questions[row["question_id"]],
            "answer_1": answers.get((row["model_1"], row["question_id"])),
            "answer_2": answers.get((row["model_2"], row["question_id"])),
            **row,
        }
        for row in _rows(data, "qlora_gpt4_both_orders")
    ]


def write_joined(data: Path, out: Path) -> None:
    """Write the joined verdicts as JSON Lines."""
    lines = (json.dumps(row, ensure_ascii=False) for row in joined_judgments(data))
    out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _rows(data: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(data / "judge" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


if __name__ == "__main__":
    write_joined(Path(sys.argv[1]), Path(sys.argv[2]))
