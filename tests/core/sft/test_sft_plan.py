"""Plans of supervised runs against what the runs do; out of memory."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import MistralModel

from mmpo_core.engine.rows import Limits, PairLengths
from mmpo_core.errors import InputError
from mmpo_core.sft.batching import ConversationBatching
from mmpo_core.sft.options import SftOptions, checked_options
from mmpo_core.sft.planning import plan_sft
from mmpo_core.sft.source import RunSources
from mmpo_core.sft.train import train_sft
from mmpo_core.tiny import make_tiny_policy
from mmpo_core.train_plan.activations import MicroBatch
from mmpo_core.train_plan.steps import count_steps, largest_micro_batch
from tests.core.sft.test_sft_train import source


def test_a_plan_says_what_the_run_then_does(micro_model: Path, tmp_path: Path):
    given = {"eval_split": 0.2, "max_length": 44, "overlong": "drop", "tokens_per_batch": 300}
    given |= {"model": str(micro_model), "batch_size": 5, "epochs": 2, "device": "cpu"}
    options = SftOptions(out=tmp_path / "out", **given)
    planned = plan_sft(options, RunSources(source()))
    assert not (tmp_path / "out").exists()
    result = train_sft(options, RunSources(source()))
    record = result.record
    assert planned.data == {"train": record["data"]}
    assert record["data"]["dropped"]["overlong"] > 0
    assert planned.splits == {n: s["conversations"] for n, s in record["splits"].items()}
    assert planned.steps.total == result.steps
    assert planned.packed == (record["packing"]["used"] == "shared")
    assert planned.steps.tokens_apart == record["packing"]["tokens_of_conversations"]
    assert planned.memory.reference == 0
    assert json.loads(json.dumps(planned.as_dict()))["memory"]["total"] == planned.memory.total


@pytest.mark.parametrize("shared", [True, False])
def test_steps_by_hand(shared: bool):
    """Ten conversations of 20 tokens, two in a row of 40, in batches of 4: 2, 2 and 1 rows of 40.

    Padded, each has a row of 20, and a forward pass of 40 tokens takes two: 4, 4 and 2 rows.
    """
    batching = ConversationBatching(0, Limits(40, long_rows=True), shared=shared)
    batching = batching if shared else batching.padded()
    lengths = PairLengths(*(np.full(10, n, dtype=np.int64) for n in (15, 5, 0)))
    options = checked_options(SftOptions(model="tiny", batch_size=4, device="cpu"))
    steps = count_steps(options, batching, lengths)
    assert (steps.per_epoch, steps.tokens_apart, steps.tokens_padded) == (3, 200, 200)
    assert steps.tokens == 200
    assert steps.rows == pytest.approx((5 if shared else 10) / 3)
    assert steps.micro_batches == pytest.approx(5 / 3)
    largest = largest_micro_batch(options, batching, lengths, make_tiny_policy().config)
    rows, width = (1, 40) if shared else (2, 20)
    assert largest == MicroBatch(pairs=2, rows=rows, width=width, scored=10)


def test_out_of_memory_ends_with_the_table_and_advice(
    micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    forward = MistralModel.forward

    def fails(self: Any, *args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(MistralModel, "forward", fails)
    options = SftOptions(model=str(micro_model), out=tmp_path / "out", device="cpu")
    with pytest.raises(InputError, match="out of memory") as raised:
        train_sft(options, RunSources(source()))
    table, _, advice = str(raised.value).partition("each by itself:\n")
    for part in ("weights", "gradients", "optimizer", "activations"):
        assert part in table
    assert "--tokens-per-batch" in advice
    assert "--reference-logps" not in advice
