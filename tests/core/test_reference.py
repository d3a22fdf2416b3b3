"""The reference pass: right numbers, nothing computed twice, nothing lost to an interrupt."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.encoded_pairs import EncodedPairs, EncodeReport, Ragged
from mmpo_core.engine.batches import Batching
from mmpo_core.engine.rows import Limits
from mmpo_core.errors import InputError
from mmpo_core.reference import ReferenceReport, add_reference_logps, batches_of
from mmpo_core.reference_cache import ReferenceCache
from mmpo_core.reference_model import reference_key
from mmpo_core.reference_pass import _next_size
from tests.conftest import ROOT
from tests.core.small_models import PAD, id_pairs, small_policy

KEY = "model"


def encoded(examples: list[dict[str, list[int]]]) -> EncodedPairs:
    runs = [
        Ragged.of([np.array(e[name], np.int32) for e in examples])
        for name in ("prompt_ids", "chosen_ids", "rejected_ids")
    ]
    count = len(examples)
    names = [f"id-{i}" for i in range(count)]
    return EncodedPairs(*runs, np.arange(count), names, EncodeReport(count, count, 0, 0, 0, 0))


def by_pairs(count: int) -> Batching:
    """Padded batches of so many pairs."""
    return Batching(PAD, Limits(tokens=10**6, pairs=count))


class Counting(Batching):
    """Counts pairs, and is interrupted after some batches."""

    def __init__(self, until: int = 10**9, batching: Batching | None = None) -> None:
        batching = batching or by_pairs(2)
        super().__init__(batching.pad_token_id, batching.limits, batching.shared)
        vars(self).update(pairs=0, left=until)

    def collate(self, examples: Any, like: Any = None) -> dict[str, torch.Tensor]:
        if self.left == 0:
            raise KeyboardInterrupt
        vars(self).update(left=self.left - 1, pairs=self.pairs + len(examples))
        return super().collate(examples, like)


def run(
    pairs: EncodedPairs,
    cache: ReferenceCache | None = None,
    batching: Batching | None = None,
    batch_size: int = 2,
    **how: Any,
) -> tuple[np.ndarray, ReferenceReport]:
    """Return (2, N) log-probs, and the report."""
    batching = batching or by_pairs(batch_size)
    done, report = add_reference_logps(pairs, small_policy(1), batching, cache=cache, **how)
    return np.stack([done.columns[f"reference_{s}_logps"] for s in ("chosen", "rejected")]), report


def one_by_one(examples: list[dict[str, list[int]]]) -> np.ndarray:
    """(2, N) sums of log-softmax values in float64, a sequence at a time, without a mask."""
    model = small_policy(1).double().eval()
    out = np.zeros((2, len(examples)))
    for i, example in enumerate(examples):
        for side, name in enumerate(("chosen_ids", "rejected_ids")):
            prompt, answer = example["prompt_ids"], example[name]
            with torch.no_grad():
                logits = model(torch.tensor([prompt + answer])).logits[0]
            logps = logits.log_softmax(-1)[len(prompt) - 1 : -1]
            out[side, i] = logps.gather(1, torch.tensor(answer)[:, None]).sum()
    return out


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_log_probs_come_back_to_their_pairs(batch_size: int):
    examples = id_pairs(11)
    logps, report = run(encoded(examples), batch_size=batch_size)
    assert logps == pytest.approx(one_by_one(examples), rel=1e-5)
    assert (report.pairs, report.computed) == (11, 11)


def test_what_the_cache_has_is_not_computed_again(tmp_path: Path):
    pairs, batching = encoded(id_pairs(9)), Counting()
    first, _ = run(pairs, ReferenceCache(tmp_path, KEY))
    again, report = run(pairs, ReferenceCache(tmp_path, KEY), batching)
    assert np.array_equal(again, first)
    assert (batching.pairs, report.computed, report.forward_tokens) == (0, 0, 0)


def test_only_pairs_that_are_new_are_computed(tmp_path: Path):
    """Seven pairs of nine in another order, and three new ones: three are computed."""
    examples = id_pairs(12)
    run(encoded(examples[:9]), ReferenceCache(tmp_path, KEY))
    mixed = [*examples[11:8:-1], *examples[8:1:-1]]
    batching = Counting()
    logps, report = run(encoded(mixed), ReferenceCache(tmp_path, KEY), batching)
    assert (batching.pairs, report.computed) == (3, 3)
    assert logps == pytest.approx(one_by_one(mixed), rel=1e-5)
    assert len(ReferenceCache(tmp_path, KEY)) == 12


def test_the_same_pair_twice_is_computed_once():
    examples = id_pairs(3)
    batching = Counting()
    logps, report = run(encoded([*examples, examples[1]]), batching=batching)
    assert batching.pairs == 3
    assert logps[:, 3].tolist() == logps[:, 1].tolist()
    assert report.to_dict()["from_cache"] == 1


def test_positions_are_counted_with_their_padding():
    """Two pairs of 5 tokens at most make 4 rows of 5; one of 3 tokens adds 2 rows of 3."""
    examples = [
        {"prompt_ids": [1, 3], "chosen_ids": [4, 5, 2], "rejected_ids": [6, 2]},
        {"prompt_ids": [1, 3, 4, 5], "chosen_ids": [2], "rejected_ids": [2]},
    ]
    assert run(encoded(examples))[1].forward_tokens == 20
    assert run(encoded(examples), batch_size=1)[1].forward_tokens == 20
    shorter = {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3, 2]}
    assert run(encoded([*examples, shorter]))[1].forward_tokens == 26


@pytest.mark.parametrize("until", [0, 1, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_an_interrupted_pass_goes_on_and_ends_with_the_same_numbers(
    until: int, shared: bool, tmp_path: Path
):
    pairs = encoded(id_pairs(9))
    limits = Limits(tokens=60, pairs=2)
    whole, _ = run(pairs, batching=Batching(PAD, limits, shared))
    with pytest.raises(KeyboardInterrupt):
        run(pairs, ReferenceCache(tmp_path, KEY), Counting(until, Batching(PAD, limits, shared)))
    batching = Counting(batching=Batching(PAD, limits, shared))
    again, report = run(pairs, ReferenceCache(tmp_path, KEY), batching)
    assert np.array_equal(again, whole)  # to the last bit: the rest of the same batches
    assert batching.pairs == report.computed
    assert report.computed == 9 if until == 0 else report.computed < 9


def test_shared_prompts_give_the_same_log_probs():
    examples = id_pairs(11)
    shared = Batching(PAD, Limits(tokens=60), shared=True)
    logps, report = run(encoded(examples), batching=shared)
    assert logps == pytest.approx(one_by_one(examples), rel=1e-5)
    assert report.forward_tokens < run(encoded(examples))[1].forward_tokens


def test_a_killed_pass_keeps_the_parts_it_has_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Parts of one batch: after two of them nothing more is written, as by kill -9 in the third."""
    monkeypatch.setattr("mmpo_core.reference_pass._FIRST_PART_TOKENS", 1)
    monkeypatch.setattr("mmpo_core.reference_pass.PART_SECONDS", 0.0)
    pairs, cache = encoded(id_pairs(9)), ReferenceCache(tmp_path, KEY)
    add, written = cache.add, []

    def two_parts(rows: Any) -> None:
        written.append(len(rows))
        if len(written) > 2:
            raise SystemExit
        add(rows)

    monkeypatch.setattr(cache, "add", two_parts)
    with pytest.raises(SystemExit):
        run(pairs, cache)
    _, report = run(pairs, ReferenceCache(tmp_path, KEY))
    assert (written[:2], report.computed) == ([2, 2], 5)


def test_without_a_terminal_lines_say_how_far_the_pass_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """One before the first pair, one between parts; on a terminal there is a bar instead."""
    monkeypatch.setattr("mmpo_core.reference_pass._FIRST_PART_TOKENS", 1)
    monkeypatch.setattr("mmpo_core.reference_pass.PART_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    with caplog.at_level(logging.INFO, "mmpo_core.train.reference"):
        run(encoded(id_pairs(5)))
        assert caplog.messages == [
            f"reference log-probs: {done} of 5 pairs computed" for done in (0, 2, 4)
        ]
        caplog.clear()
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        run(encoded(id_pairs(5)))
    assert caplog.messages == []


def test_a_part_grows_until_it_takes_its_time():
    assert _next_size(1000, 0.1) == 4000
    assert _next_size(1000, 20.0) == 1500
    assert _next_size(1000, 60.0) == 500
    assert _next_size(1, 1e6) == 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(1, 7), st.data())
def test_batches_hold_every_row_once_from_long_to_short(
    lengths: list[int], batch_size: int, data: st.DataObject
):
    pairs = encoded(
        [{"prompt_ids": [1] * n, "chosen_ids": [2], "rejected_ids": [2]} for n in lengths]
    )
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, len(lengths) - 1), min_size=1))))
    batches = batches_of(pairs, rows, by_pairs(batch_size))
    flat = np.concatenate(batches)
    assert sorted(flat) == list(rows)
    assert all(a >= b for a, b in zip(pairs.lengths[flat], pairs.lengths[flat][1:], strict=False))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    # whatever was done of them, the rest makes the same batches
    done = data.draw(st.integers(0, len(batches)))
    left = np.sort(np.concatenate([*batches[done:], rows[:0]]))
    rest = batches_of(pairs, left, by_pairs(batch_size))
    assert [list(batch) for batch in rest] == [list(batch) for batch in batches[done:]]


def test_a_model_whose_numbers_are_not_finite_is_an_error_and_nothing_is_kept(tmp_path: Path):
    pairs, cache = encoded(id_pairs(2)), ReferenceCache(tmp_path, KEY)
    model = small_policy(1)
    with torch.no_grad():
        model.lm_head.weight[5] = float("nan")
    with pytest.raises(InputError, match=r"no finite log-prob to the answers of pair id-\d"):
        add_reference_logps(pairs, model, by_pairs(1), cache=cache)
    assert len(ReferenceCache(tmp_path, KEY)) == 0


def test_bfloat16_is_computed_as_bfloat16_and_kept_apart(tmp_path: Path):
    pairs, model = encoded(id_pairs(6)), small_policy(1)
    keys = [reference_key(model, device="cpu", bf16=bf16)[0] for bf16 in (False, True)]
    full, _ = run(pairs, ReferenceCache(tmp_path, keys[0]))
    half, report = run(pairs, ReferenceCache(tmp_path, keys[1]), bf16=True)
    assert report.computed == 6
    assert half == pytest.approx(full, rel=0.05)
    assert not np.allclose(half, full, rtol=1e-4)


def test_the_model_is_left_in_the_mode_it_was_in():
    model = small_policy(1).train()
    add_reference_logps(encoded(id_pairs(2)), model, by_pairs(2))
    assert model.training


DISTRIBUTED = """
import sys
from pathlib import Path
import numpy as np
import torch.distributed as dist
import mmpo_core.reference_pass
from mmpo_core.reference_cache import ReferenceCache
from tests.core.small_models import id_pairs
from tests.core.test_reference import Counting, KEY, encoded, run
folder = Path(sys.argv[1])
mmpo_core.reference_pass._FIRST_PART_TOKENS = 60
dist.init_process_group("gloo")
main = dist.get_rank() == 0
cache = ReferenceCache(folder, KEY) if main else None
batching = Counting()
logps, report = run(encoded(id_pairs(11)), cache, batching)
np.save(folder / f"{dist.get_rank()}.npy", logps)
(folder / f"{dist.get_rank()}.txt").write_text(f"{batching.pairs} {report.computed}")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_processes_share_the_work_and_end_with_the_numbers_of_one(tmp_path: Path):
    """Eleven pairs, three of which are there: eight, in four batches of two, by two processes."""
    whole, _ = run(encoded(id_pairs(11)))
    run(encoded(id_pairs(11)[:3]), ReferenceCache(tmp_path, KEY))
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    script = tmp_path / "run.py"
    script.write_text(DISTRIBUTED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    subprocess.run([sys.executable, *command, script, tmp_path], check=True, env=environment)
    both = [np.load(tmp_path / f"{rank}.npy") for rank in range(2)]
    assert np.array_equal(both[0], both[1])
    assert both[0] == pytest.approx(whole, rel=1e-5)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == ["4 8", "4 8"]
    assert len(ReferenceCache(tmp_path, KEY)) == 11
