"""SftTrainer: the mean over a step's assistant tokens, whatever the packing; no neighbour shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy
from transformers import MambaConfig, MambaForCausalLM, TrainingArguments

from mmpo_core.encoded_pairs import Ragged
from mmpo_core.engine.batches import dataset_lengths
from mmpo_core.engine.rows import Limits
from mmpo_core.errors import InputError
from mmpo_core.sft.batching import (
    ConversationBatching,
    ConversationCollator,
)
from mmpo_core.sft.conversations import Conversations
from mmpo_core.sft.options import SftOptions
from mmpo_core.sft.trainer import SftTrainer, token_losses
from mmpo_core.train_batching import run_batching
from tests.core.small_models import PAD, VOCABULARY, small_policy, small_tokenizer


def conversations(count: int, seed: int = 0) -> Conversations:
    """Random ids, 4 to 30 of each, about half of them wanted, at least one."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(4, 31, count)
    ids = [generator.integers(3, VOCABULARY, n).astype(np.int32) for n in lengths]
    masks = [generator.random(n) < 0.5 for n in lengths]
    for mask in masks:
        mask[0], mask[-1] = False, True
    return Conversations(Ragged.of(ids), np.concatenate(masks))


def plain_loss(model: Any, data: Conversations, indices: Any) -> torch.Tensor:
    """One conversation at a time through the model's own forward: sum over wanted / their number.

    transformers' convention: labels are -100 where nothing is learnt, and shifted by one.
    """
    total, tokens = torch.zeros((), dtype=torch.float64), 0
    for index in indices:
        start, end = data.tokens.offsets[index], data.tokens.offsets[index + 1]
        ids = torch.from_numpy(data.tokens.values[start:end].astype(np.int64))
        wanted = torch.from_numpy(data.wanted[start:end])
        labels = torch.where(wanted, ids, -100)
        logits = model(input_ids=ids[None]).logits[0]
        total = total + cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum")
        tokens += int(wanted.sum())
    return total / tokens


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def make(folder: Path, data: Conversations, batching: ConversationBatching, **more: Any) -> Any:
    fields = {"per_device_train_batch_size": len(data), "save_strategy": "no", "max_steps": 1}
    fields |= {"remove_unused_columns": False, "use_cpu": True, "report_to": "none"}
    model = small_policy(1).double()  # so that the order of sums does not show
    arguments = TrainingArguments(output_dir=str(folder), **(fields | more))
    return SftTrainer(
        model=model, args=arguments, batching=batching, train_dataset=data, eval_dataset=data
    )


WAYS = {
    "packed": ConversationBatching(PAD, Limits(64), shared=True),
    "packed, one row": ConversationBatching(PAD, Limits(512, long_rows=True), shared=True),
    "packed, by fours": ConversationBatching(PAD, Limits(64, pairs=4, multiple_of=8), shared=True),
    "padded": ConversationBatching(PAD, Limits(64)),
    "padded, one by one": ConversationBatching(PAD, Limits(1)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_step_has_the_loss_and_gradients_of_conversations_one_by_one(
    way: ConversationBatching, tmp_path: Path
):
    data = conversations(11)
    trainer = make(tmp_path, data, way)
    step = trainer.data_collator([data[i] for i in range(len(data))])
    loss = trainer.training_step(trainer.model, step)
    found = gradients(trainer.model)

    model = small_policy(1).double()
    expected = plain_loss(model, data, range(len(data)))
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    assert found.keys() == gradients(model).keys()
    for name, gradient in gradients(model).items():
        apart = float((found[name] - gradient).norm() / gradient.norm())
        assert apart < 1e-6, name


@given(seed=st.integers(0, 99), tokens=st.integers(1, 200), shared=st.booleans(), data=st.data())
@settings(max_examples=25)
def test_order_and_limits_change_no_tokens_loss(seed: int, tokens: int, shared: bool, data):
    """The sorted losses of all tokens are the same, in any order and any micro-batches."""
    texts = conversations(6, seed)
    model = small_policy(1).double()
    order = data.draw(st.permutations(range(6)))
    batching = ConversationBatching(PAD, Limits(tokens), shared=shared)
    mixed = texts.select(order)
    plan = batching.plan(dataset_lengths(mixed))
    assert sorted(int(i) for group in plan for i in group) == list(range(6))
    with torch.no_grad():
        losses = [
            token_losses(model, batching.collate([mixed[int(i)] for i in group])) for group in plan
        ]
        one_by_one = ConversationBatching(PAD, Limits(1))
        plain = [token_losses(model, one_by_one.collate([texts[i]])) for i in range(6)]
    found, expected = torch.cat(losses).sort().values, torch.cat(plain).sort().values
    assert len(found) == texts.wanted_tokens
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_evaluation_is_over_tokens_and_gives_the_perplexity(tmp_path: Path):
    data = conversations(7)
    trainer = make(tmp_path, data, WAYS["packed"])
    metrics = trainer.evaluate()
    with torch.no_grad():
        expected = float(plain_loss(small_policy(1).double(), data, range(7)))
    assert metrics["eval_loss"] == pytest.approx(expected, rel=1e-9)
    assert metrics["eval_perplexity"] == pytest.approx(np.exp(expected), rel=1e-9)


def test_processes_share_a_step_in_equal_numbers_of_micro_batches():
    """The loss is divided by the tokens of all; each conversation is in one share."""
    data = conversations(5)
    examples = [data[i] for i in range(5)]
    steps = [ConversationCollator(WAYS["padded, one by one"], 3, i)(examples) for i in range(3)]
    assert {step["pairs"] for step in steps} == {data.wanted_tokens}
    assert len({len(step["micro_batches"]) for step in steps}) == 1
    targets = [batch["token_ids"] for step in steps for batch in step["micro_batches"]]
    assert len(torch.cat(targets)) == data.wanted_tokens
    assert any(len(ids) == 0 for ids in targets)  # 5 conversations, 3 processes of 2 each


def mamba() -> MambaForCausalLM:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}
    return MambaForCausalLM(MambaConfig(**sizes, pad_token_id=PAD)).eval()


@pytest.mark.parametrize(("name", "model"), [("mistral", small_policy(1)), ("mamba", mamba())])
def test_models_that_cannot_pack_are_found_out(
    name: str, model: Any, caplog: pytest.LogCaptureFixture
):
    splits = {"train": conversations(9)}

    def choose(packing: str) -> Any:
        options = SftOptions(model="none", packing=packing, tokens_per_batch=64)
        return run_batching(options, model, small_tokenizer(), splits, ConversationBatching)

    packs = name == "mistral"
    chosen = choose("auto")
    assert chosen.batching.shared == packs
    assert (chosen.why_padded is None) == packs
    assert ("packing padded" in caplog.text) == (not packs)
    assert chosen.tokens_apart == int(splits["train"].lengths.sum())
    assert not choose("padded").batching.shared
    if packs:
        assert chosen.tokens < choose("padded").tokens
    else:
        with pytest.raises(InputError, match="packing shared"):
            choose("shared")
