"""Each text is embedded once, however often it comes and however often the run is started."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from margintool.hashing import text_digests
from margintool.similarity import fill as fill_module
from margintool.similarity.chunks import Ints
from margintool.similarity.embedder import Embedded, Embedder, load_embedder
from margintool.similarity.fill import fill
from margintool.similarity.store import EmbeddingStore


class Counting:
    """Stands in for an embedder: a vector is the text's length, and calls are written down."""

    dim = 1

    def __init__(self, stop_after: int | None = None) -> None:
        self.calls: list[list[str]] = []
        self._stop_after = stop_after

    @property
    def embedded(self) -> list[str]:
        return [text for call in self.calls for text in call]

    def stream(self, texts: Sequence[str]) -> Iterator[tuple[Ints, Embedded]]:
        self.calls.append([])
        for row, text in enumerate(texts):
            if len(self.embedded) == self._stop_after:
                raise KeyboardInterrupt
            self.calls[-1].append(text)
            size = np.array([len(text)])
            yield np.array([row]), Embedded(size[:, None].astype(np.float32), size > 3, size)


class Told:
    """Progress that is written down."""

    def __init__(self) -> None:
        self.done, self.notes = 0, list[str]()

    def start(self, stage: str, total: int | None) -> None:
        self.stage = stage

    def advance(self, amount: int) -> None:
        self.done += amount

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[], EmbeddingStore]:
    return lambda: EmbeddingStore(tmp_path, "f", 1)


def columns(*texts: Sequence[str | None]) -> list[pa.ChunkedArray]:
    return [pa.chunked_array([pa.array(some, pa.string())]) for some in texts]


def test_each_text_once(opened: Callable[[], EmbeddingStore]) -> None:
    """Repeats within a column and across them; nulls are no texts. "four" is over the limit."""
    embedder, told = Counting(), Told()
    given = columns(["a", "bb", "a", None], ["bb", "four", ""], [])
    summary = fill(opened(), embedder, given, told)
    assert sorted(embedder.embedded) == ["", "a", "bb", "four"]
    found = (summary.texts, summary.unique, summary.embedded, summary.over_limit, summary.tokens)
    assert found == (6, 4, 4, 1, 0 + 1 + 2 + 4)
    assert told.done == 4
    assert told.notes[-1].endswith(" texts/s")
    keys = text_digests(pa.chunked_array([["four", "a"]]))
    assert opened().vectors(keys)[:, 0].tolist() == [4, 1]


def test_a_second_run_embeds_nothing_and_counts_the_same(
    opened: Callable[[], EmbeddingStore],
) -> None:
    given = columns(["a", "bb", "a"], ["four"])
    first = fill(opened(), Counting(), given)
    again, told = Counting(), Told()
    second = fill(opened(), again, given, told)
    assert again.embedded == []
    assert (second.embedded, second.tokens) == (0, 0)
    assert (second.texts, second.unique, second.over_limit) == (4, 3, 1)
    assert (first.texts, first.unique, first.over_limit) == (4, 3, 1)
    assert told.done == 3


def test_an_interrupted_run_goes_on(opened: Callable[[], EmbeddingStore]) -> None:
    texts = [str(number) for number in range(50)]
    cut_short, rest = Counting(stop_after=20), Counting()
    with pytest.raises(KeyboardInterrupt):
        fill(opened(), cut_short, columns(texts))
    assert fill(opened(), rest, columns(texts)).embedded == 30
    assert sorted(cut_short.embedded + rest.embedded) == sorted(texts)


@pytest.mark.parametrize(("items", "size"), [(10, 10**6), (10**6, 20)])
def test_only_so_much_text_is_held(
    opened: Callable[[], EmbeddingStore], monkeypatch: pytest.MonkeyPatch, items: int, size: int
) -> None:
    """30 texts of two letters, in columns of 4: blocks end at the column with the 10th text."""
    monkeypatch.setattr(fill_module, "BLOCK_ITEMS", items)
    monkeypatch.setattr(fill_module, "BLOCK_CHARACTERS", size)
    embedder = Counting()
    texts = [f"{number:02d}" for number in range(30)]
    fill(opened(), embedder, columns(*(texts[i : i + 4] for i in range(0, 30, 4))))
    assert [len(call) for call in embedder.calls] == [12, 12, 6]


def test_a_large_column_is_not_taken_whole(
    opened: Callable[[], EmbeddingStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill_module, "BLOCK_ITEMS", 1500)
    embedder = Counting()
    fill(opened(), embedder, columns([str(number) for number in range(5000)]))
    assert max(len(call) for call in embedder.calls) <= 2500
    assert len(set(embedder.embedded)) == len(embedder.embedded) == 5000


def test_with_a_model(small: Embedder, small_path: Path, tmp_path: Path) -> None:
    texts = ["the cat", "a dog ran", "the cat", "sun " * 50]
    store = EmbeddingStore(tmp_path, small.fingerprint, small.dim)
    summary = fill(store, small, columns(texts))
    assert (summary.unique, summary.over_limit, summary.tokens) == (3, 1, 2 + 3 + 50)
    kept = store.vectors(text_digests(columns(texts)[0]))
    np.testing.assert_allclose(kept, small.embed(texts).vectors, atol=1e-6)
    again = load_embedder(str(small_path), device="cpu")
    store = EmbeddingStore(tmp_path, again.fingerprint, again.dim)
    assert fill(store, again, columns(texts)).embedded == 0
