"""The file of answers: what is appended is there again, and a cut line is not."""

import json
import resource
from pathlib import Path

import pytest

from mmpo_core.errors import InputError
from mmpo_core.generation.answer_file import open_answers
from mmpo_core.generation.asked import Answer, Asked, Sampling

ASKED = Asked(({"role": "user", "content": "Why?"},), Sampling())
ANSWERS = {
    "a": Answer("So.", "stop", 3),
    "b": Answer('two\nlines, "quotes", \ud800 and \u2028', "length", None, 7),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "answers.jsonl"
    with open_answers(path) as file:
        for key, answer in ANSWERS.items():
            file.append({key: (ASKED, answer)}, "model 1")
    return path


def test_answers_are_there_again(path: Path) -> None:
    with open_answers(path) as file:
        assert {key: file.get(key) for key in "abc"} == {**ANSWERS, "c": None}
        assert len(file) == 2
    row = json.loads(path.read_text().splitlines()[0])
    assert row["messages"] == [{"role": "user", "content": "Why?"}]
    assert (row["source"], row["sampling"]["temperature"], row["sample"]) == ("model 1", 0.0, 0)


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_line_that_was_cut_off_is_taken_away_and_written_anew(path: Path, cut: int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with open_answers(path) as file:
        assert (file.get("a"), file.get("b")) == (ANSWERS["a"], None)
        file.append({"b": (ASKED, ANSWERS["b"])}, "model 1")
    assert path.read_bytes() == whole


def test_a_full_disk_is_said(path: Path) -> None:
    """No byte over the file's size can be written, neither by `append` nor on closing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def append() -> None:
        with open_answers(path) as file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
            file.append({"c": (ASKED, ANSWERS["a"])}, "model 1")

    try:
        with pytest.raises(InputError, match="cannot be written"):
            append()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with open_answers(path) as file:
        assert (file.get("a"), file.get("b")) == (ANSWERS["a"], ANSWERS["b"])


@pytest.mark.parametrize("line", ["nothing", "[1]", '{"key": "c", "text": "no more"}'])
def test_what_is_no_answer_is_named(path: Path, line: str) -> None:
    path.write_text(line + "\n" + path.read_text())
    with pytest.raises(InputError, match="line 1: not an answer"), open_answers(path):
        pass


def test_one_writer_at_a_time(path: Path) -> None:
    with (
        open_answers(path),
        pytest.raises(InputError, match="writing this file of answers"),
        open_answers(path),
    ):
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"max_new_tokens": 0},
    ],
)
def test_sampling_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_a_key_is_of_the_source_and_everything_asked() -> None:
    """Eight questions that differ in one thing each have eight keys; the same one has one."""
    user, other = {"role": "user", "content": "a"}, {"role": "user", "content": "b"}
    system = {"role": "system", "content": "a"}
    asked = [
        Asked((user,), Sampling()),
        Asked((other,), Sampling()),
        Asked((system,), Sampling()),
        Asked((user, user), Sampling()),
        Asked((user,), Sampling(), 1),
        Asked((user,), Sampling(temperature=0.5)),
        Asked((user,), Sampling(top_p=0.5)),
        Asked((user,), Sampling(max_new_tokens=5)),
        Asked((user,), Sampling(seed=1)),
    ]
    keys = {one.key(source) for one in asked for source in ("model 1", "model 2")}
    assert len(keys) == 2 * len(asked)
    assert Asked(({"content": "a", "role": "user"},), Sampling()).key("x") == asked[0].key("x")
    draws = {one.draws().random() for one in asked}
    assert len(draws) == len(asked)
