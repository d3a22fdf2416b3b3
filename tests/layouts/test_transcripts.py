"""Transcripts taken apart: against a reading of one text at a time, written with a regex."""

import re

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from margintool.layouts.transcripts import read_transcripts

ROLES = {"Human": "user", "Assistant": "assistant", "System": "system"}
PIECES = ["\n", "\n\n", "Human:", "Assistant:", "System:", "human:", " ", "text", "é\u2003", ":"]
texts = st.none() | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def turns_of(text: str | None) -> tuple[str, list[tuple[str, str]]]:
    """What stands before the first turn, and the turns, (role, text)."""
    start, *rest = re.split(r"\n\n(Human|Assistant|System):", "\n\n" + (text or ""))
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return start.strip(), [(ROLES[name], said.strip()) for name, said in pairs]


@given(st.lists(texts, max_size=6))
def test_as_one_text_at_a_time(rows: list[str | None]) -> None:
    messages, before = read_transcripts(pa.array(rows, pa.string()))
    found = [
        [(message["role"], message["content"]) for message in turns]
        for turns in messages.history().to_pylist()
    ]
    assert list(zip(before.to_pylist(), found, strict=True)) == [turns_of(row) for row in rows]


def test_a_slice_of_a_chunked_column() -> None:
    column = pa.chunked_array([["skipped", "Human: a"], ["Human: b\n\nAssistant: c"]]).slice(1)
    messages, before = read_transcripts(column)
    assert messages.lengths.tolist() == [1, 2]
    assert messages.content.to_pylist() == ["a", "b", "c"]
    assert before.to_pylist() == ["", ""]
