"""Out of memory: what is said, and that its numbers are those of plans."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MistralModel

from mmpo_core.engine.batches import dataset_lengths
from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.train import train
from mmpo_core.train_data import load_tables
from mmpo_core.train_options import TrainOptions, checked_options
from mmpo_core.train_plan.plan import plan
from mmpo_core.train_plan.remedies import remedies
from mmpo_core.train_setup import encode_tables
from tests.core.pair_tables import METADATA, pair_table

ON_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
ON_CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate")


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    pairs = tmp_path / "pairs.parquet"
    write_pairs(pair_table([1.0] * 16), pairs, METADATA)
    return checked_options(
        TrainOptions(pairs=pairs, model="tiny", out=tmp_path / "out", eval_split=0, device="cpu")
    )


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The model's forward pass raises where gradients are wanted: in training alone."""
    forward = MistralModel.forward

    def fails(self: Any, *args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled():
            raise request.param
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(MistralModel, "forward", fails)


@pytest.mark.parametrize("no_memory", [ON_GPU, ON_CPU], indirect=True, ids=["gpu", "cpu"])
@pytest.mark.usefixtures("no_memory")
def test_says_what_takes_how_much_and_what_would_help(options: TrainOptions):
    with pytest.raises(InputError, match="out of memory") as raised:
        train(**vars(options))
    table, _, advice = str(raised.value).partition("each by itself:\n")
    for part in ("weights", "gradients", "optimizer", "activations", "12.3 MB"):
        assert part in table
    flags = re.findall(r"^  --(\S+).* saves about \d", advice, re.MULTILINE)
    assert len(flags) == len(set(flags)) == 3


@pytest.mark.parametrize("no_memory", [RuntimeError("other trouble")], indirect=True)
@pytest.mark.usefixtures("no_memory")
def test_other_errors_are_left_alone(options: TrainOptions):
    with pytest.raises(RuntimeError, match="other trouble"):
        train(**vars(options))


def test_savings_are_differences_of_plans_best_first(options: TrainOptions):
    tokenizer, pairs = encode_tables(options, load_tables(options))
    lengths, planned = dataset_lengths(pairs["train"]), plan(options)
    found = remedies(planned, tokenizer, lengths, torch.device("cpu"), most=9)
    by_flag = {one.flag.split()[0]: one for one in found}
    changes: dict[str, dict[str, Any]] = {
        "--gradient-checkpointing": {"gradient_checkpointing": True},
        "--lora-rank": {"lora_rank": 16},
        "--bf16": {"bf16": True},
        "--tokens-per-batch": {
            "tokens_per_batch": int(by_flag["--tokens-per-batch"].flag.split()[1])
        },
    }
    for flag, change in changes.items():
        less = plan(dataclasses.replace(options, **change)).memory.total
        assert by_flag[flag].saves == planned.memory.total - less
    savings = [one.saves for one in found]
    assert savings == sorted(savings, reverse=True)
    assert savings[-1] > 0


def test_what_is_done_already_is_not_advised(options: TrainOptions):
    options = dataclasses.replace(
        options, gradient_checkpointing=True, lora_rank=4, bf16=True, tokens_per_batch=1
    )
    tokenizer, pairs = encode_tables(options, load_tables(options))
    lengths = dataset_lengths(pairs["train"])
    found = remedies(plan(options), tokenizer, lengths, torch.device("cpu"))
    assert [one.flag.split()[0] for one in found] == ["--max-length"]
