"""inspect_pairs on small files worked out by hand, on broken ones, and on real data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from margintool.report.inspecting import inspect_pairs
from margintool.report.scan import scan
from mmpo_core.bradley_terry import probability
from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.schema import PAIR_SCHEMA


def test_a_valid_file_has_no_breach(pair_file: Path) -> None:
    assert inspect_pairs(pair_file).breaches == []


def test_counts_ties_and_turns(pair_file: Path) -> None:
    report = inspect_pairs(pair_file)
    assert (report.pairs, report.ties, report.multi_turn) == (4, 1, 1)
    assert report.sources == {"shp": 4}
    assert report.bytes == pair_file.stat().st_size


def test_columns_say_type_and_nulls(pair_file: Path) -> None:
    found = {c.name: c for c in inspect_pairs(pair_file).columns}
    assert list(found) == PAIR_SCHEMA.names
    assert found["score_chosen"].nulls == 1
    assert found["margin"].nulls == 0
    assert found["margin"].type == "double"


def test_lengths_in_characters_and_words(pair_file: Path) -> None:
    """Prompts: 'one two' twice, 'zwei', 'dritte Frage hier': 7, 7, 4, 17 characters, 2 2 1 3."""
    prompt = inspect_pairs(pair_file).lengths["prompt"]
    assert prompt["characters"]["mean"] == (7 + 7 + 4 + 17) / 4
    assert prompt["words"]["max"] == 3


def test_words_are_counted_as_str_split_does(broken_file: Callable[..., Path]) -> None:
    texts = ["", "  \t\n ", " a  b\u00a0c\u3000d ", "e\n\nf"]
    report = inspect_pairs(broken_file(prompt=texts))
    assert report.lengths["prompt"]["words"]["mean"] == sum(len(t.split()) for t in texts) / 4


def test_lengths_are_code_points_not_bytes(broken_file: Callable[..., Path]) -> None:
    report = inspect_pairs(broken_file(prompt=["日本", "é", "🐼", "ab"]))
    assert report.lengths["prompt"]["characters"]["max"] == 2


def test_longest_prompts_come_first_and_earlier_rows_win(broken_file: Callable[..., Path]) -> None:
    report = inspect_pairs(broken_file(prompt=["bb", "aaaa", "cccc", "d"]))
    assert [p.row for p in report.longest_prompts] == [1, 2, 0, 3]
    assert report.longest_prompts[0].begins == "aaaa"


def test_long_prompts_are_shown_by_their_beginning(broken_file: Callable[..., Path]) -> None:
    report = inspect_pairs(broken_file(prompt=["x" * 100_000, "a", "b", "c"]))
    assert report.longest_prompts[0].characters == 100_000
    assert len(report.longest_prompts[0].begins) == 200


def test_duplicates_in_either_orientation(broken_file: Callable[..., Path]) -> None:
    """Row 1 repeats row 0, row 2 turns it round, row 3 has the same texts under a history."""
    turns: list[Any] = [[], [], [], [{"role": "user", "content": "before"}]]
    same = {"prompt": ["q"] * 4, "chosen": ["a", "a", "b", "a"], "rejected": ["b", "b", "a", "b"]}
    found = inspect_pairs(broken_file(history=turns, **same)).duplicates
    assert found is not None
    assert (found.repeated, found.swapped, found.first_repeated) == (2, 1, 1)
    assert found.prompts == 2
    assert found.pairs_per_prompt == {1: 1, 3: 1}


def test_identical_answers_are_counted(broken_file: Callable[..., Path]) -> None:
    found = inspect_pairs(broken_file(rejected=["xy", "xyz", "x", "also"])).duplicates
    assert found is not None
    assert found.identical_answers == 1


def test_sample_is_seeded_and_in_row_order(pair_file: Path) -> None:
    first = inspect_pairs(pair_file, sample=2, seed=1).sample
    again = inspect_pairs(pair_file, sample=2, seed=1).sample
    assert first == again
    assert [pair["row"] for pair in first] == sorted(pair["row"] for pair in first)
    draws = {
        tuple(p["row"] for p in inspect_pairs(pair_file, sample=2, seed=s).sample)
        for s in range(12)
    }
    assert len(draws) > 1


def test_sample_larger_than_the_file_gives_all_rows(pair_file: Path) -> None:
    assert [p["pair_id"] for p in inspect_pairs(pair_file, sample=99).sample] == list("abcd")


def test_an_empty_file_is_reported(tmp_path: Path, metadata: dict[str, Any]) -> None:
    write_pairs(PAIR_SCHEMA.empty_table(), tmp_path / "empty.parquet", metadata)
    report = inspect_pairs(tmp_path / "empty.parquet", sample=3)
    assert report.pairs == 0
    assert report.breaches == []
    assert report.histogram is None
    json.loads(report.to_json())


# --- breaches -------------------------------------------------------------------------------


def breach(report: Any, kind: str, column: str | None) -> Any:
    found = [b for b in report.breaches if (b.kind, b.column) == (kind, column)]
    assert len(found) == 1, report.breaches
    return found[0]


def test_every_breach_is_named_with_its_first_row(broken_file: Callable[..., Path]) -> None:
    report = inspect_pairs(
        broken_file(
            drop=("weight",),
            pair_id=["a", "b", "b", "b"],
            chosen=["x", None, "y", None],
            margin=[0.0, 1.0, -2.0, float("nan")],
            margin_raw=["0", "1", "2", "3"],
            score_chosen=[1.0, 2.0, float("inf"), None],
        )
    )
    assert breach(report, "missing", "weight").row is None
    assert breach(report, "duplicate", "pair_id").row == 2
    assert breach(report, "null", "chosen").row == 1
    assert breach(report, "value", "margin").row == 2
    assert breach(report, "value", "score_chosen").row == 2
    assert "string" in breach(report, "type", "margin_raw").problem
    assert len(report.breaches) == 6


def test_the_rest_of_a_broken_file_is_still_reported(broken_file: Callable[..., Path]) -> None:
    """Margin -1 is a breach; quantiles, lengths and sample are there all the same."""
    report = inspect_pairs(broken_file(drop=("p_chosen",), margin=[0.0, 1.0, 2.0, -1.0]), sample=1)
    assert report.quantiles["margin"]["min"] == -1
    assert "p_chosen" not in report.quantiles
    assert report.lengths["prompt"]["words"]["max"] == 3
    assert len(report.sample) == 1


def test_first_bad_row_is_counted_over_row_groups(
    tmp_path: Path, pair_columns: Callable[..., dict[str, list[Any]]]
) -> None:
    """Rows are written two to a group; row 3, the second of the second group, is bad."""
    table = pa.table(pair_columns(weight=[1.0, 1.0, 1.0, 0.0]))
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    report = inspect_pairs(tmp_path / "x.parquet")
    assert report.row_groups == 2
    assert breach(report, "value", "weight").row == 3


def test_a_type_that_can_be_read_is_a_breach_but_counts(broken_file: Callable[..., Path]) -> None:
    report = inspect_pairs(broken_file(margin=pa.array([0, 1, 2, 3], pa.int32())))
    assert breach(report, "type", "margin").row is None
    assert report.quantiles["margin"]["max"] == 3


def test_a_column_that_cannot_be_read_is_left_out(broken_file: Callable[..., Path]) -> None:
    report = inspect_pairs(broken_file(margin=["low", "high", "x", "y"]))
    assert breach(report, "type", "margin")
    assert "margin" not in report.quantiles
    assert report.length_bias == []


def test_a_wrong_target_is_named(broken_file: Callable[..., Path]) -> None:
    """gamma is 2: row 2 has margin 2, so p must be sigma(4) = 0.982."""
    right = probability([0.0, 1.0, 2.0, 3.0], 2.0)
    report = inspect_pairs(broken_file(p_chosen=[right[0], right[1], 0.9, 0.6]))
    found = breach(report, "target", "p_chosen")
    assert found.row == 2
    assert "0.982" in found.problem


def test_targets_are_not_compared_where_gamma_is_unknown(broken_file: Callable[..., Path]) -> None:
    meta = json.dumps({"schema_version": 1}).encode()
    report = inspect_pairs(broken_file(meta=meta, p_chosen=[0.5, 0.6, 0.7, 0.8]))
    assert report.gamma is None
    assert report.breaches == []


def test_hard_labels_have_gamma_infinity(broken_file: Callable[..., Path]) -> None:
    meta = json.dumps({"schema_version": 1, "gamma": "inf"}).encode()
    assert inspect_pairs(broken_file(meta=meta, p_chosen=[0.5, 1.0, 1.0, 1.0])).breaches == []
    wrong = inspect_pairs(broken_file(meta=meta, p_chosen=[0.5, 1.0, 0.9, 1.0]))
    assert breach(wrong, "target", "p_chosen").row == 2


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (None, "no margintool metadata"),
        (b"{not json", "not JSON"),
        (b"[1]", "no JSON object"),
        (b'{"schema_version": 99}', "Upgrade margintool"),
    ],
)
def test_bad_metadata_is_a_breach(
    broken_file: Callable[..., Path], meta: bytes | None, words: str
) -> None:
    report = inspect_pairs(broken_file(meta=meta))
    assert words in breach(report, "metadata", None).problem
    assert report.pairs == 4


def test_invalid_utf8_is_named_and_survived(
    tmp_path: Path, broken_file: Callable[..., Path]
) -> None:
    raw = pa.array([b"fine", b"also fine", b"bad \xff", b"bad \xfe"])
    texts = pa.StringArray.from_buffers(4, raw.buffers()[1], raw.buffers()[2])
    report = inspect_pairs(broken_file(chosen=texts), sample=4)
    assert breach(report, "text", "chosen").row == 2
    json.loads(report.to_json())


def test_a_message_without_content_is_named(broken_file: Callable[..., Path]) -> None:
    turns: list[Any] = [[], [], [{"role": "user", "content": None}], []]
    report = inspect_pairs(broken_file(history=turns))
    assert breach(report, "message", "history").row == 2


def test_nulls_in_texts_do_not_stop_the_report(broken_file: Callable[..., Path]) -> None:
    report = inspect_pairs(broken_file(prompt=[None, "b", "c", "d"], history=[None, [], [], []]))
    assert breach(report, "null", "prompt").row == 0
    assert breach(report, "null", "history").row == 0
    assert report.duplicates is not None


def test_a_column_that_stands_twice_is_a_breach(
    tmp_path: Path, pair_columns: Callable[..., dict[str, list[Any]]]
) -> None:
    table = pa.table(pair_columns())
    table = table.append_column("margin", table.column("margin"))
    pq.write_table(table, tmp_path / "twice.parquet")
    report = inspect_pairs(tmp_path / "twice.parquet")
    assert "more than once" in breach(report, "type", "margin").problem


def test_a_column_outside_the_contract_is_shown_and_no_breach(
    tmp_path: Path, pair_file: Path
) -> None:
    table = pq.read_table(pair_file).append_column("note", pa.array(["x", None, None, "y"]))
    pq.write_table(table, tmp_path / "more.parquet")
    report = inspect_pairs(tmp_path / "more.parquet")
    note = report.columns[-1]
    assert (note.name, note.nulls, note.in_contract) == ("note", 2, False)
    assert report.breaches == []


def test_dictionary_and_large_strings_are_within_the_contract(
    tmp_path: Path, pair_file: Path
) -> None:
    table = pq.read_table(pair_file)
    for at, name in enumerate(["pair_id", "prompt"]):
        table = table.set_column(at, name, table.column(name).dictionary_encode())
    table = table.set_column(2, "chosen", table.column("chosen").cast(pa.large_string()))
    pq.write_table(table, tmp_path / "other.parquet")
    report = inspect_pairs(tmp_path / "other.parquet")
    assert report.breaches == []
    assert report.duplicates == inspect_pairs(pair_file).duplicates


# --- files that are no pair file at all ------------------------------------------------------


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        inspect_pairs(tmp_path / "none.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b'{"prompt": "x"}\n', b"PAR1" + b"\0" * 400])
def test_what_is_not_parquet_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(InputError, match="not a Parquet file"):
        inspect_pairs(tmp_path / "x.parquet")


def test_a_damaged_page_is_an_input_error(tmp_path: Path, pair_file: Path) -> None:
    raw = bytearray(pair_file.read_bytes())
    raw[4:300] = b"\xff" * 296
    (tmp_path / "x.parquet").write_bytes(raw)
    with pytest.raises(InputError, match="damaged"):
        inspect_pairs(tmp_path / "x.parquet")


def test_a_parquet_file_of_something_else_lists_all_missing_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["x"], "score": [1]}), tmp_path / "x.parquet")
    report = inspect_pairs(tmp_path / "x.parquet")
    assert [b.column for b in report.breaches if b.kind == "missing"] == PAIR_SCHEMA.names
    assert report.pairs == 1


# --- streaming and real data -----------------------------------------------------------------


def test_batches_do_not_change_the_result(
    pair_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = inspect_pairs(pair_file, sample=3).to_dict()
    monkeypatch.setattr("margintool.report.scan.BATCH_ROWS", 1)
    assert inspect_pairs(pair_file, sample=3).to_dict() == whole


def test_progress_is_told_of_every_row(pair_file: Path) -> None:
    class Told:
        total: int | None = None
        done = 0

        def start(self, stage: str, total: int | None) -> None:
            self.total = total

        def advance(self, amount: int) -> None:
            self.done += amount

    told = Told()
    scan(pair_file, lambda rows: np.arange(0), told)
    assert told.done == told.total == 4


def test_json_is_strict_and_complete(broken_file: Callable[..., Path]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    path = broken_file(margin=[float("nan"), float("inf"), 1.0, 2.0])
    report = json.loads(inspect_pairs(path, sample=4).to_json(), parse_constant=refuse)
    assert report["pairs"] == 4
    assert report["length_bias"][0]["share_longer"] == 0.5
    assert report["sample"][1]["margin"] == "inf"
    assert report["sample"][0]["margin"] is None


@pytest.mark.real_data
def test_real_votes_agree_with_pandas(real_data: Path, tmp_path: Path) -> None:
    """The lengths, shares and duplicates of 3,200 real pairs, worked out again with pandas."""
    rows = pd.read_json(real_data / "votes/eli5_shp_layout.jsonl.gz", lines=True)
    first = rows.score_A >= rows.score_B
    table = pd.DataFrame(
        {
            "pair_id": rows.index.astype(str),
            "prompt": rows.history,
            "chosen": rows.human_ref_A.where(first, rows.human_ref_B),
            "rejected": rows.human_ref_B.where(first, rows.human_ref_A),
            "history": [[] for _ in range(len(rows))],
            "score_chosen": rows[["score_A", "score_B"]].max(axis=1).astype(float),
            "score_rejected": rows[["score_A", "score_B"]].min(axis=1).astype(float),
            "weight": 1.0,
            "source": "shp",
            "origin": "eli5",
        }
    )
    table["margin"] = np.log(table.score_chosen / table.score_rejected)
    table["margin_raw"] = table.margin
    table["p_chosen"] = probability(table.margin, 1.0)
    write_pairs(table, tmp_path / "p.parquet", {"schema_version": 1, "gamma": 1.0})
    report = inspect_pairs(tmp_path / "p.parquet")
    words = table.chosen.str.split().str.len()
    longer = table.chosen.str.len() > table.rejected.str.len()
    won = table.margin > 0
    assert report.breaches == []
    assert report.lengths["chosen"]["words"]["mean"] == pytest.approx(words.mean())
    assert report.length_bias[0].longer == int((longer & won).sum())
    difference = table.chosen.str.len() - table.rejected.str.len()
    spearman = table.margin[won].corr(difference[won], method="spearman")
    assert report.length_bias[0].spearman == pytest.approx(spearman)
    assert report.duplicates is not None
    assert report.duplicates.prompts == table.prompt.nunique()
    per_prompt = table.prompt.value_counts().value_counts().to_dict()
    assert report.duplicates.pairs_per_prompt == per_prompt
