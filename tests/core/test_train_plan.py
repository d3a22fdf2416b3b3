"""Plans of runs: counts against what runs do, bytes against what torch holds."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mmpo_core.engine.batches import Batching
from mmpo_core.engine.packed import lengths_of
from mmpo_core.engine.rewards import side_rewards
from mmpo_core.engine.rows import Limits, PairLengths
from mmpo_core.errors import InputError
from mmpo_core.logprobs import completion_logps
from mmpo_core.models import load_tokenizer
from mmpo_core.pair_file import write_pairs
from mmpo_core.tiny import make_tiny_policy
from mmpo_core.train import train
from mmpo_core.train_options import TrainOptions, checked_options
from mmpo_core.train_plan.activations import MicroBatch, activation_bytes, layer_bytes, sizes_of
from mmpo_core.train_plan.memory import Memory, gradient_bytes, optimizer_bytes, weight_bytes
from mmpo_core.train_plan.plan import plan
from mmpo_core.train_plan.shapes import parameter_counts, start_shape
from mmpo_core.train_plan.steps import count_steps, largest_micro_batch
from mmpo_core.train_plan.words import size
from mmpo_core.train_setup import load_start
from tests.core.pair_tables import METADATA, pair_file, pair_table

CPU = torch.device("cpu")


def tiny_options(**more: Any) -> TrainOptions:
    return checked_options(TrainOptions(pairs=Path("x"), model="tiny", device="cpu", **more))


def same_lengths(count: int, prompt: int = 10, answer: int = 5) -> PairLengths:
    return PairLengths(*(np.full(count, n, dtype=np.int64) for n in (prompt, answer, answer)))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"dtype": "bfloat16"},
        {"objective": "reward"},
        {"lora_rank": 4},
        {"lora_rank": 4, "dora": True, "objective": "reward"},
    ],
    ids=str,
)
def test_weights_gradients_and_optimizer_are_those_of_the_real_model(more: dict[str, Any]):
    options, tokenizer = tiny_options(**more), load_tokenizer("tiny")
    shape = start_shape(options, tokenizer)
    assert {one.device.type for one in shape.parameters()} == {"meta"}
    real = load_start(options, tokenizer)
    trained = [one for one in real.parameters() if one.requires_grad]
    for one in trained:
        one.grad = torch.zeros_like(one)
    optimizer = torch.optim.AdamW(trained)
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values()]

    def held(tensors: list[torch.Tensor]) -> int:
        return sum(one.untyped_storage().nbytes() for one in tensors)

    assert weight_bytes(shape) == held(list(real.parameters()))
    assert gradient_bytes(shape) == held([one.grad for one in trained if one.grad is not None])
    assert optimizer_bytes(shape, "adamw_torch") == (held(states), False)
    assert parameter_counts(shape) == (
        sum(one.numel() for one in real.parameters()),
        sum(one.numel() for one in trained),
    )


def test_an_optimizer_that_is_not_known_counts_as_adamw_and_says_so():
    layer = nn.Linear(3, 2, bias=False)
    assert optimizer_bytes(layer, "adamw_torch") == (2 * 4 * 6 + 4, False)
    assert optimizer_bytes(layer, "lion_32bit") == (2 * 4 * 6 + 4, True)
    assert optimizer_bytes(layer, "sgd") == (0, False)


def test_bytes_of_four_bits():
    """64 x 64 weights: 2048 bytes, 64 scales in a byte each, a quarter of 4 bytes for 256."""
    layer = nn.Linear(64, 64, bias=False).requires_grad_(False)
    model = nn.Sequential(layer, nn.Linear(64, 2, bias=False))
    assert weight_bytes(model, quantized=True) == 2048 + 64 + 1 + 4 * 128
    assert weight_bytes(model) == 4 * 4096 + 4 * 128


def saved_bytes(model: Any, forward: Callable[[], Any]) -> int:
    """Bytes of what a forward pass saves for its backward pass, but for the weights."""
    weights = {one.untyped_storage().data_ptr() for one in model.parameters()}
    held: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(held[i].untyped_storage().nbytes() for i in held.keys() - weights)


SHORT, LONG = (8, 60, 30), (1, 700, 160)  # pairs, tokens of a prompt, tokens of an answer


@pytest.mark.parametrize(
    ("more", "shape"),
    [
        ({}, SHORT),
        ({}, LONG),
        ({"gradient_checkpointing": True}, SHORT),
        ({"attn_implementation": "eager"}, LONG),
        ({"bf16": True}, SHORT),
        ({"dtype": "bfloat16"}, SHORT),
        ({"lora_rank": 8}, SHORT),
        ({"objective": "reward"}, LONG),
        ({"packing": "padded"}, LONG),
    ],
    ids=str,
)
def test_activations_are_within_a_third_of_what_torch_saves(
    more: dict[str, Any], shape: tuple[int, int, int]
):
    options, tokenizer = tiny_options(**more), load_tokenizer("tiny")
    count, *lengths = shape
    ids = [np.full(length, 9, dtype=np.int32) for length in (*lengths, lengths[-1])]
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    examples = [dict(zip(names, ids, strict=True))] * count
    batching = Batching(0, Limits(1024), shared=options.packing != "padded")
    group = batching.plan(lengths_of(examples))[0]
    batch = batching.collate([examples[i] for i in group])
    rows, width = batch["input_ids"].shape
    size_of_batch = MicroBatch(len(group), rows, width, 2 * len(group) * lengths[-1])
    model = load_start(options, tokenizer)
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    model.train()

    def forward() -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
            reward = options.objective == "reward"
            return side_rewards(model, batch) if reward else completion_logps(model, batch)

    measured = saved_bytes(model, forward)
    if options.gradient_checkpointing:
        # the hooks do not see what the backward pass makes again: one layer of four at a time
        model.gradient_checkpointing_disable()
        measured += saved_bytes(model, forward) // 4
    estimate = activation_bytes(model, size_of_batch, options, CPU)
    assert measured / 1.33 < estimate < measured * 1.33


def test_steps_by_hand():
    """A pair takes 20 tokens shared, two rows of 15 padded; a forward pass takes 40 tokens."""
    batching = Batching(0, Limits(40), shared=True)
    steps = count_steps(tiny_options(batch_size=4, epochs=2), batching, same_lengths(10))
    assert (steps.per_epoch, steps.total) == (3, 6)
    assert steps.micro_batches == pytest.approx((2 + 2 + 1) / 3)
    assert steps.rows == pytest.approx(10 / 3)
    assert (steps.tokens, steps.tokens_padded, steps.tokens_apart) == (200, 300, 300)


def test_processes_share_a_step(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    batching = Batching(0, Limits(40), shared=True)
    steps = count_steps(tiny_options(batch_size=4), batching, same_lengths(8))
    assert (steps.micro_batches, steps.rows, steps.tokens) == (1, 4, 160)


def test_the_largest_micro_batch_is_found_in_steps_that_were_not_planned(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("mmpo_core.train_plan.steps.STEPS_TRIED", 1)
    lengths = same_lengths(400)
    lengths.prompt[399] = 490
    batching = Batching(0, Limits(40), shared=True)
    largest = largest_micro_batch(
        tiny_options(batch_size=2), batching, lengths, make_tiny_policy().config
    )
    assert largest == MicroBatch(pairs=1, rows=1, width=500, scored=10)


def test_a_long_epoch_is_scaled_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mmpo_core.train_plan.steps.STEPS_TRIED", 2)
    batching = Batching(0, Limits(40), shared=True)
    steps = count_steps(tiny_options(batch_size=4), batching, same_lengths(100))
    assert (steps.per_epoch, steps.tokens, steps.tokens_padded) == (25, 2000, 3000)


def test_a_layer_by_hand():
    """H = 256, A = 4 x 64, I = 704, 2 rows of 10 tokens, float32, sdpa."""
    sizes = sizes_of(make_tiny_policy().config)
    by_hand = 20 * (24 * 256 + 4 * 4 * (256 + 704)) + 4 * 2 * 10 * 10
    assert layer_bytes(sizes, MicroBatch(1, 2, 10, 4), 4) == by_hand


@pytest.mark.parametrize("objective", ["policy", "reward"])
def test_a_plan_says_what_the_run_then_does(objective: Any, micro_model: Path, tmp_path: Path):
    long = pair_table([1.0] * 24, ["why " * (4 + 12 * (i % 4)) + str(i) for i in range(24)])
    pairs = tmp_path / "pairs.parquet"
    write_pairs(long, pairs, METADATA)
    options = TrainOptions(
        pairs=pairs,
        model=str(micro_model),
        objective=objective,
        out=tmp_path / "out",
        batch_size=4,
        eval_split=0.25,
        max_length=150,
        overlong="drop",
        tokens_per_batch=300,
        device="cpu",
    )
    before = set(tmp_path.iterdir())
    planned = plan(options)
    assert set(tmp_path.iterdir()) == before
    made = train(**vars(options))
    record = made.record
    for split, report in record["data"].items():
        assert report["dropped"]
        assert {name: planned.data[split][name] for name in report} == report
    assert planned.steps.total == made.steps
    assert planned.packed == (record["packing"]["used"] == "shared")
    assert planned.steps.tokens_apart == record["packing"]["tokens_of_conversations"]
    computed = record["reference"] and record["reference"]["pairs"]
    assert planned.reference_pairs == (computed or 0)
    assert json.loads(json.dumps(planned.as_dict()))["memory"]["total"] == planned.memory.total


def test_reference_models_beside_the_policy(micro_model: Path, tmp_path: Path):
    pairs = pair_file(tmp_path)

    def memory(**more: Any) -> Memory:
        options = TrainOptions(pairs=pairs, model=str(micro_model), device="cpu", **more)
        return plan(options).memory

    alone = memory()
    assert alone.reference == 0
    assert memory(reference_logps="online").reference == alone.weights
    assert memory(reference_logps="online").total == alone.total + alone.weights
    assert memory(reference_logps="online", lora_rank=2).reference == 0
    other = memory(reference="tiny")
    assert other.reference == weight_bytes(make_tiny_policy())
    assert other.total == other.weights + other.reference > alone.total


@pytest.mark.parametrize("more", [{"loss": "simpo"}, {"objective": "reward"}], ids=str)
def test_without_a_reference_no_pass_is_planned(
    more: dict[str, Any], micro_model: Path, tmp_path: Path
):
    options = TrainOptions(pairs=pair_file(tmp_path), model=str(micro_model), device="cpu", **more)
    assert plan(options).reference_pairs == 0


def test_wrong_options_are_refused_as_in_a_run(tmp_path: Path):
    options = TrainOptions(pairs=pair_file(tmp_path), model="tiny", device="cpu")
    with pytest.raises(InputError, match="use --lr"):
        plan(dataclasses.replace(options, set=("learning_rate=1",)))
    with pytest.raises(InputError, match="no layer 'nope'"):
        plan(dataclasses.replace(options, lora_rank=2, lora_targets=("q_proj", "nope")))
    with pytest.raises(InputError, match="no such folder"):
        plan(dataclasses.replace(options, model="./nowhere"))


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 B"), (1000, "1 kB"), (12_345_678, "12.3 MB"), (999_600, "1 MB"), (0, "0 B")],
)
def test_bytes_in_words(count: int, text: str):
    assert size(count) == text
