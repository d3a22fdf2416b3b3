"""No file that `score` or `judge run` reads or writes may be the journal, or one of its files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from margintool.judge_runs import run_judge
from margintool.pipeline import score
from margintool.score_options import AskOptions
from mmpo_core.errors import InputError
from tests.score.conftest import write_jsonl

__all__ = ["write_jsonl"]  # fixture

ROW = {"prompt": "Question?", "chosen": "one", "rejected": "two"}
# Nothing listens here: what is refused is refused before anything is asked.
SERVER = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("journal", "taken"),
    [
        ("pairs.parquet", "pairs.parquet"),
        ("pairs.rejects.parquet", "pairs.rejects.parquet"),
        ("link.sqlite", "pairs.parquet"),
        ("folder/../pairs.parquet", "pairs.parquet"),
        ("j.sqlite", "j.sqlite-wal"),
        ("j.sqlite", "j.sqlite.lock"),
    ],
)
def test_outputs_are_not_files_of_the_journal(
    tmp_path: Path, write_jsonl: Callable[..., Path], journal: str, taken: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "pairs.parquet")
    rejects = None if "pairs" in taken else tmp_path / taken
    with pytest.raises(InputError, match=r"the journal .* would lie there") as refused:
        score(
            source="gpt4",
            input=write_jsonl([ROW]),
            out=tmp_path / "pairs.parquet",
            rejects=rejects,
            judge_model=("mock-judge",),
            base_url=SERVER,
            journal=tmp_path / journal,
        )
    assert str(refused.value).startswith(f"{tmp_path / taken}:")
    assert not (tmp_path / "pairs.parquet").exists()


def test_an_input_is_not_the_journal(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    given = write_jsonl([ROW])
    before = given.read_bytes()
    asked = {"judge_model": ("mock-judge",), "base_url": SERVER}
    with pytest.raises(InputError, match=r"the journal .* would lie there"):
        run_judge(AskOptions(input=given, journal=given, **asked))
    with pytest.raises(InputError, match=r"the journal .* would lie there"):
        score(source="gpt4", input=given, out=tmp_path / "p.parquet", journal=given, **asked)
    assert given.read_bytes() == before
