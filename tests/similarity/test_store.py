"""A store of vectors: what is put in comes out, in any process, however the last one ended."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.hashing import text_digests
from margintool.similarity import store as store_module
from margintool.similarity.digest_index import ABSENT, DigestIndex, first_of_each
from margintool.similarity.parts import Rows, read_part, write_part
from margintool.similarity.store import EmbeddingStore
from mmpo_core.errors import InputError

DIM = 3
KEYS = st.integers(0, 40)


def digests(keys: list[int]) -> np.ndarray:
    """Digests of which many share their first half, and many their second."""
    halves = [[key // 5, key % 5] for key in keys]
    return np.array(halves, np.uint64).reshape(-1, 2).view(np.uint8)


def rows(keys: list[int], version: int = 0) -> Rows:
    vectors = np.array([[key, key / 7, version] for key in keys], np.float32).reshape(-1, DIM)
    return Rows(digests(keys), vectors, np.array([key % 2 == 1 for key in keys], bool))


@given(st.lists(st.lists(KEYS, unique=True, max_size=8), max_size=12), st.lists(KEYS))
def test_index_is_a_dict(added: list[list[int]], asked: list[int]) -> None:
    index, expected = DigestIndex(), dict[int, int]()
    for keys in added:
        new = [key for key in keys if key not in expected]
        values = [len(expected) + place for place in range(len(new))]
        expected.update(zip(new, values, strict=True))
        index.add(digests(new), np.array(values, np.int64))
    assert index.find(digests(asked)).tolist() == [expected.get(key, ABSENT) for key in asked]
    assert len(index) == len(expected)


@given(st.lists(KEYS))
def test_first_of_each(keys: list[int]) -> None:
    expected = [place for place, key in enumerate(keys) if key not in keys[:place]]
    assert first_of_each(digests(keys)).tolist() == expected


@given(
    st.lists(st.tuples(st.lists(KEYS, max_size=8), st.sampled_from(["", "flush", "reopen"]))),
    st.lists(KEYS),
)
def test_store_is_a_dict(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[list[int], str]],
    asked: list[int],
) -> None:
    """What was added first stays, whether waiting, written or read by another."""
    folder = tmp_path_factory.mktemp("store")
    store, expected = EmbeddingStore(folder, "f", DIM), dict[int, int]()
    for version, (keys, then) in enumerate(steps):
        with store.writing():
            store.add(rows(keys, version))
            for key in keys:
                expected.setdefault(key, version)
            if then == "flush":
                store.flush()
            # A key may occur twice in one call: the first counts.
            assert store.known(digests(asked)).tolist() == [key in expected for key in asked]
        if then == "reopen":
            store = EmbeddingStore(folder, "f", DIM)
    there = [key for key in asked if key in expected]
    assert len(store) == len(expected)
    np.testing.assert_array_equal(
        store.vectors(digests(there)),
        np.array([[key, key / 7, expected[key]] for key in there], np.float32).reshape(-1, DIM),
    )
    assert store.over_limit(digests(there)).tolist() == [key % 2 == 1 for key in there]


def test_what_waits_can_be_read(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, "f", DIM)
    with store.writing():
        store.add(rows([1, 2]))
        assert store.vectors(digests([2]))[0, 0] == 2


def test_parts_are_written_when_there_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PART_BYTES", 3 * (4 * DIM + 17))
    store = EmbeddingStore(tmp_path, "f", DIM)
    with store.writing():
        for key in range(7):
            store.add(rows([key]))
        assert len(list((tmp_path / "f").glob("*.arrow"))) == 2
    assert len(list((tmp_path / "f").glob("*.arrow"))) == 3


def test_parts_are_written_when_time_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PART_SECONDS", 0.0)
    store = EmbeddingStore(tmp_path, "f", DIM)
    with store.writing():
        store.add(rows([1]))
        assert (tmp_path / "f" / "00000000.arrow").exists()


def test_models_have_folders_of_their_own(tmp_path: Path) -> None:
    first, second = (EmbeddingStore(tmp_path, name, DIM) for name in ("first", "second"))
    with first.writing(), second.writing():
        first.add(rows([1], version=1))
        assert not second.known(digests([1])).any()
        second.add(rows([1], version=2))
    assert [store.vectors(digests([1]))[0, 2] for store in (first, second)] == [1, 2]


def test_an_unknown_text_is_an_error(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, "f", DIM)
    with store.writing():
        store.add(rows([1]))
    with pytest.raises(InputError, match="2 texts are not there"):
        store.vectors(digests([1, 2, 3]))


def test_reading_makes_no_folder_and_needs_no_lock(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path / "none", "f", DIM)
    assert len(store) == 0
    assert store.vectors(digests([])).shape == (0, DIM)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_damaged_part_is_named(tmp_path: Path, keep: float) -> None:
    store = EmbeddingStore(tmp_path, "f", DIM)
    with store.writing():
        store.add(rows(list(range(40))))
    part = tmp_path / "f" / "00000000.arrow"
    content = part.read_bytes()
    part.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(InputError, match=r"00000000\.arrow: is damaged .* Remove the file"):
        EmbeddingStore(tmp_path, "f", DIM)
    part.unlink()
    assert len(EmbeddingStore(tmp_path, "f", DIM)) == 0


def test_a_zeroed_page_is_no_other_vector(tmp_path: Path) -> None:
    """Arrow reads such a part: its framing is whole."""
    store = EmbeddingStore(tmp_path, "f", DIM)
    with store.writing():
        store.add(rows(list(range(400))))
    part = tmp_path / "f" / "00000000.arrow"
    content = bytearray(part.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    part.write_bytes(content)
    pa.ipc.open_file(part).get_batch(0).validate(full=True)
    with pytest.raises(
        InputError, match=r"00000000\.arrow: is damaged .*checksum.* Remove the fil"
    ):
        EmbeddingStore(tmp_path, "f", DIM)


def test_no_changed_byte_changes_what_is_read(tmp_path: Path) -> None:
    """Wherever it is: the part is refused, or the byte held nothing (padding, a second schema)."""
    part, expected, refused = tmp_path / "part.arrow", rows(list(range(40))), 0
    write_part(part, expected)
    content = part.read_bytes()
    for place in range(0, len(content), 7):
        part.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            read = read_part(part, DIM)
        except InputError:
            refused += 1
            continue
        np.testing.assert_array_equal(read.digests, expected.digests)
        np.testing.assert_array_equal(read.vectors, expected.vectors)
        np.testing.assert_array_equal(read.over_limit, expected.over_limit)
    assert refused >= 40 * (4 * DIM + 16) // 7  # each one in digests and vectors


def test_a_part_without_a_checksum_is_named(tmp_path: Path) -> None:
    part = tmp_path / "part.arrow"
    write_part(part, rows([1]))
    table = pa.ipc.open_file(pa.py_buffer(part.read_bytes())).read_all()
    with pa.ipc.new_file(str(part), table.schema.remove_metadata()) as writer:
        writer.write_table(table.replace_schema_metadata(None))
    with pytest.raises(InputError, match=r"part\.arrow: is damaged .*checksum"):
        read_part(part, DIM)


def test_files_of_other_names_are_no_parts(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, "f", DIM)
    with store.writing():
        store.add(rows([1]))
    for name in ("0abc.arrow", "1.arrow", "000000001.arrow"):
        (tmp_path / "f" / name).write_text("no part")
    assert len(EmbeddingStore(tmp_path, "f", DIM)) == 1


def test_a_part_of_other_vectors_is_named(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, "f", DIM)
    with store.writing():
        store.add(rows([1]))
    with pytest.raises(InputError, match=r"00000000\.arrow: .*not vectors of 4 numbers"):
        EmbeddingStore(tmp_path, "f", 4)


def test_one_writes_at_a_time_and_sees_what_others_wrote(tmp_path: Path) -> None:
    one, other = (EmbeddingStore(tmp_path, "f", DIM) for _ in range(2))
    with one.writing():
        one.add(rows([1], version=1))
        with (
            pytest.raises(InputError, match="is writing this store of embeddings"),
            other.writing(),
        ):
            pass
    with other.writing():
        other.add(rows([1, 2], version=2))
    again = EmbeddingStore(tmp_path, "f", DIM)
    assert again.vectors(digests([1, 2]))[:, 2].tolist() == [1, 2]


def test_an_error_keeps_what_was_added(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, "f", DIM)

    def interrupted() -> None:
        with store.writing():
            store.add(rows([1]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert EmbeddingStore(tmp_path, "f", DIM).known(digests([1])).all()


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
import pyarrow.ipc
from margintool.similarity.parts import Rows
from margintool.similarity import store as module

module.PART_BYTES = 1
store = module.EmbeddingStore(Path(sys.argv[1]), "f", 1)
with store.writing():
    for number in range(5):
        digest = np.array([[number, 0]], np.uint64).view(np.uint8)
        if number == 3:
            # In the midst of writing the fourth part, half of which is on the disk.
            plain = pyarrow.ipc.new_file
            def killing(path, schema):
                Path(path).write_bytes(b"ARROW1 half of a part")
                os.kill(os.getpid(), signal.SIGKILL)
            pyarrow.ipc.new_file = killing
        store.add(Rows(digest, np.array([[number]], np.float32), np.array([False])))
"""


def test_a_killed_writer_loses_the_part_being_written_alone(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=Path(__file__).parents[2], check=False
    )
    assert ended.returncode == -9
    store = EmbeddingStore(tmp_path, "f", 1)
    keys = np.array([[number, 0] for number in range(5)], np.uint64).view(np.uint8)
    assert store.known(keys).tolist() == [True, True, True, False, False]
    with store.writing():  # its lock is gone with it
        store.add(Rows(keys, np.full((5, 1), 9, np.float32), np.zeros(5, bool)))
    assert store.vectors(keys)[:, 0].tolist() == [0, 1, 2, 9, 9]
    assert len(EmbeddingStore(tmp_path, "f", 1)) == 5
    names = sorted(path.name for path in (tmp_path / "f").iterdir())
    assert names == [f"0000000{number}.arrow" for number in range(4)]  # nor is the half part there


def test_digests_of_texts_are_keys(tmp_path: Path) -> None:
    texts = pa.chunked_array([["one", "two"], ["", "one"]])
    keys = text_digests(texts)
    store = EmbeddingStore(tmp_path, "f", 1)
    with store.writing():
        vectors = np.arange(4, dtype=np.float32)[:, None]
        store.add(Rows(keys, vectors, np.zeros(4, bool)))
    assert store.vectors(keys)[:, 0].tolist() == [0, 1, 2, 0]
