"""Loss and every gradient equal those of TRL's trainers on the same token ids and weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import TrainingArguments

from mmpo_core.logprobs import completion_logps
from mmpo_core.losses import LOSSES
from mmpo_core.reward import RewardTrainer
from mmpo_core.trainer import MMPOTrainer
from tests.core.small_models import (
    EOS,
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

Measured = tuple[float, dict[str, torch.Tensor]]


def loss_and_gradients(trainer: Any, loss: Callable[[], torch.Tensor]) -> Measured:
    """Return the loss, and parameter name -> gradient."""
    trainer.model.train()
    trainer.model.zero_grad()
    value = loss()
    value.backward()
    parameters = trainer.model.named_parameters()
    return float(value.detach()), {name: p.grad for name, p in parameters if p.grad is not None}


def measured(trainer: Any, batch: dict[str, Any]) -> Measured:
    return loss_and_gradients(trainer, lambda: trainer.compute_loss(trainer.model, batch))


def assert_equal(ours: Measured, theirs: Measured) -> None:
    """The loss, and every parameter's gradient, to 1e-5 relative."""
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in theirs[1].items():
        assert float(gradient.norm()) > 0, name
        assert float((ours[1][name] - gradient).norm() / gradient.norm()) < 1e-5, name


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


def our_policy(folder: Path, pairs: list[Any], p: float = 1.0, **options: Any) -> Measured:
    """Ours, on policy 1 against reference 2, with one target for all pairs."""
    batch = IdCollator()(pairs) | {"weight": torch.ones(len(pairs))}
    with torch.no_grad():
        logps, _ = completion_logps(small_policy(2).eval(), batch)
    batch["reference_chosen_logps"], batch["reference_rejected_logps"] = logps.chunk(2)
    batch["target"] = torch.full((len(pairs),), p)
    trainer = MMPOTrainer(model=small_policy(1), args=our_arguments(folder), **options)
    return measured(trainer, batch)


def trl_policy(folder: Path, pairs: list[Any], **options: Any) -> Measured:
    trainer = trl.DPOTrainer(
        model=small_policy(1),
        ref_model=small_policy(2).eval(),
        args=trl_arguments(trl.DPOConfig, folder, **options),
        train_dataset=DUMMY,
        processing_class=small_tokenizer(),
    )
    batch = trainer.data_collator(pairs)
    assert torch.equal(batch["input_ids"], IdCollator()(pairs)["input_ids"])
    return measured(trainer, batch)


@pytest.mark.parametrize(
    ("ours", "theirs", "p"),
    [
        ("mmpo", "sigmoid", 1.0),
        ("mmpo-norm", "sigmoid_norm", 1.0),
        ("dpo", "sigmoid", 0.8),
        ("robust", "robust", 0.8),
        ("ipo", "ipo", 0.8),
        ("hinge", "hinge", 0.8),
    ],
)
@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_policy_losses_equal_trl(ours: str, theirs: str, p: float, beta: float, tmp_path: Path):
    smoothing = {"label_smoothing": 0.2} if ours == "robust" else {}
    mine = our_policy(tmp_path, PAIRS, p, loss=ours, beta=beta, loss_options=smoothing)
    assert_equal(mine, trl_policy(tmp_path, PAIRS, loss_type=[theirs], beta=beta, **smoothing))


def test_sft_term_equals_trl_where_chosen_answers_are_equally_long(tmp_path: Path):
    """TRL divides the batch's sum by its tokens, we each answer's by its own: the same here."""
    pairs = [pair | {"chosen_ids": [5 + i, 7, 9 + i, EOS]} for i, pair in enumerate(PAIRS)]
    ours = our_policy(tmp_path, pairs, loss="dpo", beta=0.3, sft_weight=0.7)
    theirs = trl_policy(
        tmp_path, pairs, beta=0.3, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.7]
    )
    assert_equal(ours, theirs)
    assert ours[0] > our_policy(tmp_path, pairs, loss="dpo", beta=0.3)[0] + 0.5


def cpo_batch(pairs: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """The same pairs as TRL's CPOTrainer takes them: each side padded, prompts without label."""
    whole = IdCollator()(pairs)
    batch = {}
    for side, rows in (("chosen", slice(0, len(pairs))), ("rejected", slice(len(pairs), None))):
        ids, scored = whole["input_ids"][rows], whole["completion_mask"][rows]
        batch[f"{side}_input_ids"] = ids
        batch[f"{side}_attention_mask"] = whole["attention_mask"][rows]
        batch[f"{side}_labels"] = torch.where(scored, ids, -100)
    return batch


@pytest.mark.parametrize(("beta", "margin"), [(2.0, 0.5), (2.5, 1.4)])
def test_simpo_equals_trl(beta: float, margin: float, tmp_path: Path):
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    options = {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": beta, "simpo_gamma": margin}
    trainer = CPOTrainer(
        model=small_policy(1),
        args=trl_arguments(CPOConfig, tmp_path, **options),
        train_dataset=DUMMY,
        processing_class=small_tokenizer(),
    )
    batch = cpo_batch(PAIRS)
    theirs = loss_and_gradients(
        trainer, lambda: trainer.get_batch_loss_metrics(trainer.model, batch)[0]
    )
    ours = our_policy(
        tmp_path, PAIRS, loss="simpo", beta=beta, loss_options={"simpo_margin": margin}
    )
    assert_equal(ours, theirs)


@pytest.mark.parametrize("loss", ["mmpo", "hard", "offset"])
@pytest.mark.parametrize("centring", [0.0, 0.01])
def test_reward_losses_equal_trl(loss: str, centring: float, tmp_path: Path):
    gaps = torch.tensor([0.0, 0.4, 1.0, 2.5, 7.0])
    rows = [
        {
            "chosen_ids": pair["prompt_ids"] + pair["chosen_ids"],
            "rejected_ids": pair["prompt_ids"] + pair["rejected_ids"],
        }
        | ({"margin": float(gap)} if loss == "offset" else {})
        for pair, gap in zip(PAIRS, gaps, strict=True)
    ]
    coefficient = centring or None
    trl_trainer = trl.RewardTrainer(
        model=small_reward_model(1),
        args=trl_arguments(trl.RewardConfig, tmp_path, center_rewards_coefficient=coefficient),
        train_dataset=DUMMY,
        processing_class=small_tokenizer(),
    )
    trainer = RewardTrainer(
        loss=loss,
        center_rewards=centring,
        model=small_reward_model(1),
        args=our_arguments(tmp_path),
    )
    batch = IdCollator()(PAIRS) | {"target": torch.ones(5), "weight": torch.ones(5)}
    batch["target_gap"] = gaps
    trl_batch = trl_trainer.data_collator(rows)

    assert torch.equal(trl_batch["input_ids"], batch["input_ids"])
    assert_equal(measured(trainer, batch), measured(trl_trainer, trl_batch))


def logps_in_numpy(seed: int, pairs: list[dict[str, list[int]]]) -> np.ndarray:
    """Return (2, B) sums of log-probs, each pair alone, from float64 logits by log-sum-exp."""
    model = small_policy(seed).double().eval()
    sums = np.zeros((2, len(pairs)))
    for i, pair in enumerate(pairs):
        for side, key in enumerate(("chosen_ids", "rejected_ids")):
            ids, start = pair["prompt_ids"] + pair[key], len(pair["prompt_ids"])
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0].numpy()
            highest = logits.max(axis=1)
            total = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
            sums[side, i] = sum(
                logits[t - 1, ids[t]] - total[t - 1] for t in range(start, len(ids))
            )
    return sums


@pytest.mark.parametrize("name", ["mmpo", "mmpo-norm", "simpo-mm"])
def test_mmpo_equals_numpy_in_float64(name: str, tmp_path: Path):
    """Model in float32, and -p ln sigma(h) - (1 - p) ln(1 - sigma(h)) from float64 log-probs."""
    beta, p = 0.1, 0.8
    lengths = np.array([[len(pair[k]) for pair in PAIRS] for k in ("chosen_ids", "rejected_ids")])
    scores = logps_in_numpy(1, PAIRS)
    if not LOSSES[name].reference_free:
        scores = scores - logps_in_numpy(2, PAIRS)
    if LOSSES[name].length_normalised:
        scores = scores / lengths
    h = beta * (scores[0] - scores[1])
    expected = np.mean(p * np.logaddexp(0, -h) + (1 - p) * np.logaddexp(0, h))
    ours, _ = our_policy(tmp_path, PAIRS, p, loss=name, beta=beta)
    assert ours == pytest.approx(expected, rel=1e-6)
