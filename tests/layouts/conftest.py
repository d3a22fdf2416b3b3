"""Rows of each layout, good and bad, for the contract tests; and how to run a layout on rows."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from margintool.layouts import LAYOUTS

Row = dict[str, Any]


def user(text: Any) -> Row:
    return {"role": "user", "content": text}


def assistant(text: Any) -> Row:
    return {"role": "assistant", "content": text}


def completion(response: str | None, overall: Any, *ratings: str, **more: Any) -> Row:
    names = ("instruction_following", "honesty", "truthfulness", "helpfulness")
    annotations = {
        n: {"Rating": r, "Rationale": "so"} for n, r in zip(names, ratings, strict=False)
    }
    return {
        "model": "m",
        "response": response,
        "annotations": annotations,
        "overall_score": overall,
        **more,
    }


def binarized(prompt: str, chosen: str, rejected: str, high: Any, low: Any) -> Row:
    return {
        "prompt": prompt,
        "chosen": [user(prompt), assistant(chosen)],
        "rejected": [user(prompt), assistant(rejected)],
        "score_chosen": high,
        "score_rejected": low,
    }


def transcript(asked: str, answer: str) -> str:
    """A conversation as hh-rlhf writes it; `asked` may hold several turns."""
    return f"\n\nHuman: {asked}\n\nAssistant: {answer}"


def transcripts(asked: str, chosen: str, rejected: str) -> tuple[str, str]:
    return transcript(asked, chosen), transcript(asked, rejected)


def _pairs(names: tuple[str, str, str, str, str], *rows: tuple[Any, ...]) -> list[Row]:
    return [dict(zip(names, row, strict=True)) for row in rows]


SHP = ("history", "human_ref_A", "human_ref_B", "score_A", "score_B")
JUDGED = ("prompt", "answer_1", "answer_2", "score_1", "score_2")
RATED = ("prompt", "response_a", "response_b", "rating_a", "rating_b")
ANNOTATED = ("instruction", "response1", "response2", "annotator1", "annotator2")
HELPSTEER2 = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")

EXAMPLES: dict[str, list[Row]] = {
    "shp": [
        {**row, "labels": label}
        for row, label in zip(
            _pairs(SHP, ("Why?", "So.", "No.", 7, 2), ("", "a", "b", 2, 5), ("p", "a", "a", 1, 1)),
            (1, 0, 0),
            strict=True,
        )
    ],
    "votes_pair": _pairs(
        ANNOTATED, ("Do", "a", "b", 1, 0), ("Do", " ", "b", 1, 2), ("x", "a", "b", 7, 1)
    ),
    "ultrafeedback": [
        {
            "instruction": "Tell",
            "completions": [completion("a", 8.0, "4", "5"), completion("b", 10.0, "1", "2", "N/A")],
        },
        {"instruction": "None", "completions": []},
        {"instruction": " ", "completions": [completion("c", 5.0), completion(None, None)]},
        {
            "instruction": "End",
            "completions": [completion("d", 7.5, **{"fine-grained_score": 4.0})],
        },
    ],
    "ultrafeedback_binarized": [
        binarized("p", "good", "bad", 8.5, 3.0),
        binarized("q", "same", "same", 5.0, 5.0),
        {**binarized("r", "c", "d", 9.0, 1.0), "rejected": [user("other"), assistant("d")]},
    ],
    "argilla_ultrafeedback": [
        {"prompt": "p", "chosen": "c", "rejected": r, "chosen-rating": 4.5, "rejected-rating": 2.0}
        for r in ("d", None, "")
    ],
    "helpsteer2": [
        {"prompt": p, "response": r, **dict.fromkeys(HELPSTEER2, 3), "verbosity": 1}
        for p, r in (
            ("c#", "A language"),
            ("Hi\n<extra_id_1>Assistant\nHello\n<extra_id_1>User\nBye", "See you"),
            ("Hi\n<extra_id_1>Assistant\nHello", "again"),
            ("c#", None),
        )
    ],
    "helpsteer3": [
        {"context": c, "response1": "a", "response2": "b", "overall_preference": g}
        for c, g in (
            ([user("p")], -3),
            ([user("p"), assistant("q"), user("r")], 2),
            ([user("p"), assistant("q")], 0),
            ([], 1),
            ([user("p")], None),
        )
    ],
    "ratings_long": [
        {"prompt": p, "response": r, "rating": s, "model": m, "aspects": {"x": x, "y": 2}}
        for p, r, s, m, x in (
            ("p", "a", 8, "m", "5"),
            ("p", "b", None, None, "N/A"),
            (None, "c", 3, "m", None),
        )
    ],
    "judgments": _pairs(
        JUDGED, ("p", "a", "b", 8.0, 6.5), ("p", "b", "a", None, 7.0), ("q", "", "b", 1.0, 2.0)
    ),
    "pairs": [
        {"prompt": p, "chosen": c, "rejected": r, "history": h}
        for p, c, r, h in (
            ("p", "c", "r", None),
            ("q", "c", "r", [user("x"), assistant("y")]),
            (" ", "c", "r", []),
            ("p", "same", "same", None),
            ("p", "c", None, None),
        )
    ],
    "pair_file": [
        {
            "pair_id": "0" * 32,
            "prompt": "p",
            "chosen": "c",
            "rejected": rejected,
            "history": history,
            "score_chosen": high,
            "score_rejected": low,
            "margin_raw": margin,
        }
        for rejected, history, high, low, margin in (
            ("r", [], 7.0, 5.0, 2.0),
            ("t", [user("x"), assistant("y")], 5.0, 5.0, 0.0),
            ("u", None, None, None, 0.0),
            ("v", [], None, None, 0.3),
            (None, [], None, None, 0.3),
        )
    ],
    "hh": [
        {"chosen": c, "rejected": r}
        for c, r in (
            transcripts("q", "c", "r"),
            transcripts("one\n\nAssistant: two\n\nHuman: three", "c", "r"),
            (transcript("p", "c"), transcript("q", "r")),
            (transcript("p", ""), transcript("p", "r")),
            (transcript("p", "c"), "no turns"),
            (transcript("p", "c"), None),
        )
    ],
    "responses": [
        {"prompt": p, "responses": r, "models": m}
        for p, r, m in (
            ("p", ["a", "b"], ["m", None]),
            ("q", ["a", None, " "], None),
            ("q", [], []),
            ("r", ["a", "b"], ["m"]),
            (None, ["a"], ["m"]),
        )
    ],
    "ratings_pair": _pairs(RATED, ("p", "a", "b", "8", "N/A"), ("p", "x", "x", "1", "2")),
}


@pytest.fixture(scope="session")
def examples() -> dict[str, pa.Table]:
    """Layout name -> raw rows, good and bad."""
    return {name: pa.Table.from_pylist(rows) for name, rows in EXAMPLES.items()}


@pytest.fixture(scope="session")
def convert() -> Callable[[str, list[Row]], list[Row]]:
    """Run a layout on rows given as dicts, and return the canonical rows as dicts."""

    def call(layout: str, rows: list[Row]) -> list[Row]:
        converted: list[Row] = LAYOUTS[layout].convert(pa.Table.from_pylist(rows)).to_pylist()
        return converted

    return call
