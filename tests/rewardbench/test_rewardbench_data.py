"""Examples of RewardBench out of files and of its own datasets; what cannot be used is refused."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest

from margintool import rewardbench_data
from margintool.progress import no_progress
from margintool.rewardbench_data import read_examples
from margintool.storage import RawInput, open_input
from mmpo_core.errors import InputError
from mmpo_core.evaluate.rewardbench.examples import EXAMPLES
from tests.rewardbench.made_rows import ALL, row, rows, write_rows


def read(path: Path | None, *, core_only: bool = False) -> pa.Table:
    return read_examples(path, lambda: nullcontext(no_progress), core_only=core_only)


def test_all_formats_give_the_same_examples(tmp_path: Path) -> None:
    made = rows(ALL, each=1)
    table = pa.Table.from_pylist(made)
    pq.write_table(table, tmp_path / "rows.parquet")
    pc_csv.write_csv(table, tmp_path / "rows.csv")
    write_rows(tmp_path / "rows.jsonl", made)
    found = {kind: read(tmp_path / f"rows.{kind}") for kind in ("parquet", "csv", "jsonl")}
    for kind, examples in found.items():
        assert examples.schema.equals(EXAMPLES)
        assert examples["subset"].to_pylist() == ALL
        assert examples["id"].to_pylist() == [str(n) for n in range(len(ALL))]
        assert examples["prompt"][3].as_py() == made[3]["prompt"]
        assert examples["history"][3].as_py() == []
        assert examples["origin"][3].as_py().endswith(f"rows.{kind}:4")


def test_prompts_may_be_conversations(tmp_path: Path) -> None:
    """As in the hub's Prior Sets: messages, the user's last."""
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello you"},
        {"role": "user", "content": "And now?"},
    ]
    examples = read(write_rows(tmp_path / "hh.jsonl", [row("anthropic_helpful", prompt=turns)]))
    assert examples["prompt"].to_pylist() == ["And now?"]
    assert examples["history"].to_pylist() == [turns[:2]]


def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    examples = read(write_rows(tmp_path / "r.jsonl", [row("shp", rejected="")]))
    assert examples["rejected"].to_pylist() == [""]


@pytest.mark.parametrize("column", ["prompt", "chosen", "rejected", "subset", "id"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    one = row("shp")
    del one[column]
    path = write_rows(tmp_path / "r.jsonl", [one])
    with pytest.raises(InputError, match=f"r.jsonl: column '{column}' is missing"):
        read(path)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"prompt": " "}, r"r.jsonl:2: prompt is empty or only white space \(2 such rows among"),
        ({"chosen": None}, r"r.jsonl:2: chosen is null"),
        ({"rejected": ["x"]}, r"r.jsonl:2: rejected is"),
        ({"subset": "shpp"}, r"r.jsonl:2: unknown subset 'shpp'.*'shp'"),
        ({"id": None}, r"r.jsonl:2: id is null"),
    ],
)
def test_a_row_that_cannot_be_used_stops_the_run(
    tmp_path: Path, other: dict[str, Any], words: str
) -> None:
    some = [row("shp"), row("shp", **other), row("hep-go"), row("shp", **other)]
    path = write_rows(tmp_path / "r.jsonl", some)
    with pytest.raises(InputError, match=words):
        read(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "r.jsonl", [])
    with pytest.raises(InputError, match=r"r\.jsonl: the file is empty"):
        read(path)


def test_messages_name_this_command_s_option() -> None:
    with pytest.raises(InputError, match="--data") as caught:
        read(Path("no/where"))
    assert "--input" not in str(caught.value)


def test_core_only_leaves_prior_sets_and_uncounted_ones_out(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "r.jsonl", rows(["shp", "hep-go", "pku_safer"], each=2))
    assert read(path, core_only=True)["subset"].to_pylist() == ["hep-go", "hep-go"]


@pytest.mark.parametrize("core_only", [False, True])
def test_without_a_file_the_datasets_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, core_only: bool
) -> None:
    """The core's filtered split, and the four splits of Prior Sets, whose name is the subset: their
    own `subset` column names the parts of a set, as helpful-base."""
    asked: list[tuple[str, str | None]] = []

    def local(spec: str, *, split: str | None = None) -> RawInput:
        asked.append((spec, split))
        made = [row("hep-go")] if split == "filtered" else [row("helpful-base")]
        return open_input(write_rows(tmp_path / f"{split}.jsonl", made))

    monkeypatch.setattr(rewardbench_data, "open_input", local)
    examples = read(None, core_only=core_only)
    prior = ["anthropic_helpful", "anthropic_hhh", "shp", "summarize"]
    expected = ["filtered"] if core_only else ["filtered", *prior]
    assert [split for _, split in asked] == expected
    assert {spec for spec, _ in asked[1:]} == (set() if core_only else {"allenai/pref-test-sets"})
    assert asked[0][0] == "allenai/reward-bench"
    assert examples["subset"].to_pylist() == ["hep-go", *expected[1:]]
