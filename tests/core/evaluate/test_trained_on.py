"""Pairs and prompts that a model was trained on, found in other files; what is unknown is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmpo_core.evaluate import trained_on as module
from mmpo_core.evaluate.models import EvaluatedModel
from mmpo_core.evaluate.predictions import POLICY
from mmpo_core.evaluate.trained_on import Candidate, seen_rows, trained_on
from mmpo_core.pair_file import write_pairs
from mmpo_core.run_record import fingerprint
from mmpo_core.train_data import load_tables
from mmpo_core.train_options import TrainOptions
from tests.core.pair_tables import METADATA, pair_table

PROMPTS = [f"question {i // 2}" for i in range(20)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """20 pairs, two to a prompt."""
    write_pairs(pair_table([1.0] * 20, PROMPTS), tmp_path / "pairs.parquet", METADATA)
    return tmp_path / "pairs.parquet"


def options(file: Path, **given: Any) -> TrainOptions:
    return TrainOptions(pairs=file, model="tiny", **{"eval_split": 0, **given})


def model(file: Path, **given: Any) -> EvaluatedModel:
    record = {"pairs": {"fingerprint": fingerprint(file)}}
    return EvaluatedModel("runs/a", "a", POLICY, options(file, **given), record)


@pytest.mark.parametrize("given", [{}, {"eval_split": 0.3}, {"eval_split": 0.3, "limit": 14}])
def test_of_the_file_itself_they_are_those_that_training_reads(file: Path, given: dict[str, Any]):
    asked = options(file, **given)
    trained = load_tables(asked).train["pair_id"].to_pylist()
    table = pair_table([1.0] * 20, PROMPTS)
    pairs, prompts = seen_rows(table, file, asked)
    assert table["pair_id"].filter(pa.array(pairs)).to_pylist() == trained
    assert pairs.tolist() == prompts.tolist() or "limit" in given


def test_single_pairs_and_prompts_are_found_whichever_answer_was_chosen(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    """New; the same; answers the other way round; a known prompt with an answer of its own; one
    that was beyond the run's limit."""
    table = pair_table([1.0] * 20, PROMPTS).to_pylist()
    new = {**table[0], "prompt": "another question"}
    turned = {**table[3], "chosen": table[3]["rejected"], "rejected": table[3]["chosen"]}
    other = {**table[5], "rejected": "an answer of its own"}
    rows = pa.Table.from_pylist([new, table[2], turned, other, table[19]])
    expected = [False, True, True, False, False], [False, True, True, True, False]
    for size in (module._ROWS, 3):
        monkeypatch.setattr(module, "_ROWS", size)
        found = seen_rows(rows, file, options(file, limit=18))
        assert tuple(one.tolist() for one in found) == expected


def test_they_are_counted_and_warned_of(file: Path, caplog: pytest.LogCaptureFixture):
    table = pair_table([1.0] * 20, PROMPTS)
    mixed = pa.concat_tables([table.slice(0, 3), pair_table([1.0] * 2, ["new", "newer"])])
    assert trained_on([model(file)], mixed) == {"a": {"pairs": 3, "prompts": 2}}
    assert "a was trained on 3 of these 5 pairs, and on 2 of their 4 prompts" in caplog.text
    assert "Give other pairs" in caplog.text


def test_held_out_pairs_are_not_among_them(file: Path, caplog: pytest.LogCaptureFixture):
    one = model(file, eval_split=0.3)
    assert one.run is not None
    held_out = load_tables(one.run).evaluation
    assert held_out is not None
    assert trained_on([one], held_out) == {"a": {"pairs": 0, "prompts": 0}}
    assert "WARNING" not in caplog.text


@pytest.mark.parametrize("change", ["gone", "other content"])
def test_what_is_not_known_is_said(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str
):
    one, table = model(file), pair_table([1.0] * 20, PROMPTS)
    moved = file.rename(tmp_path / "moved.parquet")
    if change == "other content":
        write_pairs(table.slice(0, 4), file, METADATA)
    with caplog.at_level("INFO"):
        assert trained_on([one], table) == {"a": None}
    assert "whether it was trained on these pairs is not known" in caplog.text
    # under another name the file is known by its content
    here = Candidate(moved, fingerprint(moved))
    assert trained_on([one], table, here) == {"a": {"pairs": 20, "prompts": 10}}


def test_models_without_a_run_were_trained_on_no_pairs_that_are_known():
    assert trained_on([EvaluatedModel("tiny", "tiny", POLICY)], pair_table([1.0])) == {}


def test_masks_fit_no_pair_at_all(file: Path):
    pairs, prompts = seen_rows(pair_table([1.0], ["new"]), file, options(file))
    assert np.array_equal(pairs, [False])
    assert np.array_equal(prompts, [False])
