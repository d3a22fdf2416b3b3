"""The text of an answer with its prompt."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from margintool.hashing import text_digests
from margintool.similarity.texts import response_texts


def column(*chunks: list[str | None], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(chunk, kind or pa.string()) for chunk in chunks])


def test_prompt_and_answer_with_an_empty_line_between() -> None:
    found = response_texts(column(["Why?", ""], ["\u00fc"]), column(["So."], ["x", "😀\n"]))
    assert found.to_pylist() == ["Why?\n\nSo.", "\n\nx", "\u00fc\n\n😀\n"]


def test_a_missing_answer_stays_missing() -> None:
    found = response_texts(column(["Why?", "Why?"]), column([None, "So."]))
    assert found.to_pylist() == [None, "Why?\n\nSo."]


def test_string_types_may_differ() -> None:
    found = response_texts(column(["Why?"], kind=pa.large_string()), column(["So."]))
    assert found.to_pylist() == ["Why?\n\nSo."]


def test_no_rows() -> None:
    assert len(response_texts(column([]), column([]))) == 0


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1), st.data())
def test_a_row_does_not_depend_on_its_batch(
    rows: list[tuple[str, str]], data: st.DataObject
) -> None:
    rows = [tuple(t.encode("utf-8", "replace").decode() for t in row) for row in rows]
    at = data.draw(st.integers(0, len(rows)))
    whole = response_texts(column([p for p, _ in rows]), column([r for _, r in rows]))
    parts = [
        response_texts(column([p for p, _ in part]), column([r for _, r in part])).to_pylist()
        for part in (rows[:at], rows[at:])
    ]
    assert whole.to_pylist() == parts[0] + parts[1] == [f"{p}\n\n{r}" for p, r in rows]
    assert len(text_digests(whole)) == len(rows)
