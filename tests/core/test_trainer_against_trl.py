"""Loss and gradient equal TRL's DPOTrainer and RewardTrainer on the same token ids and weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainingArguments

from mmpo_core.logprobs import completion_logps
from mmpo_core.reward import RewardTrainer
from mmpo_core.trainer import MMPOTrainer
from tests.core.small_models import (
    IdCollator,
    id_pairs,
    small_policy,
    small_reward_model,
    small_tokenizer,
)

trl = pytest.importorskip("trl")
PAIRS = id_pairs(5)
# TRL's trainers want a data set; the batches compared are collated from PAIRS directly.
DUMMY = Dataset.from_list([{"prompt": "w3", "chosen": "w4", "rejected": "w5"}])


def loss_and_gradient(trainer: Any, batch: dict[str, Any]) -> tuple[float, torch.Tensor]:
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    gradients = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    return float(loss.detach()), torch.cat(gradients)


def assert_equal(ours: tuple[float, torch.Tensor], theirs: tuple[float, torch.Tensor]) -> None:
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    difference = (ours[1] - theirs[1]).norm() / theirs[1].norm()
    assert float(theirs[1].norm()) > 0
    assert float(difference) < 1e-5


def trl_arguments(make: Callable[..., Any], folder: Path, **more: Any) -> Any:
    return make(
        output_dir=str(folder),
        report_to="none",
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        **more,
    )


def our_arguments(folder: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder), report_to="none", use_cpu=True, remove_unused_columns=False
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "p"),
    [("mmpo", "sigmoid", 1.0), ("dpo", "sigmoid", 0.8), ("ipo", "ipo", 0.8), ("hinge", "hinge", 1)],
)
@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_policy_losses_equal_trl(ours: str, theirs: str, p: float, beta: float, tmp_path: Path):
    reference = small_policy(2).eval()
    arguments = trl_arguments(trl.DPOConfig, tmp_path, loss_type=[theirs], beta=beta)
    trl_trainer = trl.DPOTrainer(
        model=small_policy(1),
        ref_model=reference,
        args=arguments,
        train_dataset=DUMMY,
        processing_class=small_tokenizer(),
    )
    trl_batch = trl_trainer.data_collator(PAIRS)
    trainer = MMPOTrainer(loss=ours, beta=beta, model=small_policy(1), args=our_arguments(tmp_path))
    batch = IdCollator()(PAIRS)
    with torch.no_grad():
        logps, _ = completion_logps(reference, batch)
    batch["reference_chosen_logps"], batch["reference_rejected_logps"] = logps.chunk(2)
    batch |= {"target": torch.full((5,), p), "weight": torch.ones(5)}

    assert torch.equal(trl_batch["input_ids"], batch["input_ids"])
    assert_equal(loss_and_gradient(trainer, batch), loss_and_gradient(trl_trainer, trl_batch))


def test_reward_loss_with_certain_targets_equals_trl(tmp_path: Path):
    rows = [
        {
            "chosen_ids": pair["prompt_ids"] + pair["chosen_ids"],
            "rejected_ids": pair["prompt_ids"] + pair["rejected_ids"],
        }
        for pair in PAIRS
    ]
    trl_trainer = trl.RewardTrainer(
        model=small_reward_model(1),
        args=trl_arguments(trl.RewardConfig, tmp_path),
        train_dataset=DUMMY,
        processing_class=small_tokenizer(),
    )
    trainer = RewardTrainer(model=small_reward_model(1), args=our_arguments(tmp_path))
    batch = IdCollator()(PAIRS) | {"target": torch.ones(5), "weight": torch.ones(5)}
    trl_batch = trl_trainer.data_collator(rows)

    assert torch.equal(trl_batch["input_ids"], batch["input_ids"])
    assert_equal(loss_and_gradient(trainer, batch), loss_and_gradient(trl_trainer, trl_batch))
