"""The parser on replies that GPT-4 wrote as MT-bench's judge, against the scores stored there."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from margintool.judge.item import Verdict
from margintool.judge.reading.parse import read_verdict
from tests.judge.replies import asker, completion, item

pytestmark = pytest.mark.real_data


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def answer_in(prompt: str) -> str:
    """The answer judged: the only one, or the last of a conversation."""
    if "[The Start of Assistant's Answer]" in prompt:
        return prompt.split("[The Start of Assistant's Answer]\n")[1].split("\n[The End of")[0]
    return prompt.split("### Assistant A:\n")[-1].split("\n\n<|The End of")[0]


def judged(row: dict[str, Any]) -> Verdict:
    """Read a stored judgment as the reply to a request about the answer that it judges."""
    asked = asker().request(item(answer_in(row["user_prompt"])))
    return read_verdict(asked.task, completion(row["judgment"]), asked.body, asked.fence)


def test_the_parser_agrees_with_all_800_stored_scores(real_data: Path) -> None:
    """Stored as -1, FastChat's mark for a failure, is one judgment without any rating: null."""
    stored = rows(real_data / "judge" / "mtbench_gpt4_single.jsonl.gz")
    assert len(stored) == 800
    found = [(judged(row), row) for row in stored]
    unread = [row["judgment"] for verdict, row in found if verdict.value is None]
    assert Counter(row["score"] for v, row in found if v.value is None) == {-1: 1}
    assert unread[0].endswith("The assistant's response is non-existent.")
    assert [row for v, row in found if v.value is not None and v.value != row["score"]] == []
    assert len({v.value for v, _ in found}) > 8  # the scale is used, halves among it


def test_the_failed_judgments_are_null(real_data: Path) -> None:
    failed = rows(real_data / "judge" / "mtbench_gpt4_failed.jsonl.gz")
    verdicts = [judged(row) for row in failed]
    assert [(v.value, v.reason) for v in verdicts] == [(None, "judge_no_verdict")] * 4
