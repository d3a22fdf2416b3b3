"""MMPOTrainer and RewardTrainer: averages over pairs, micro-batches, metrics, learnt gaps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainingArguments

from mmpo_core.bradley_terry import probability
from mmpo_core.engine.batches import Batching
from mmpo_core.engine.rows import Limits
from mmpo_core.errors import InputError
from mmpo_core.logprobs import completion_logps
from mmpo_core.losses import LOSSES
from mmpo_core.reward import RewardTrainer
from mmpo_core.trainer import MMPOTrainer, PairTrainer
from tests.core.small_models import PAD, IdCollator, id_pairs, small_policy, small_reward_model

BETA = 0.1


def pairs_with_targets(count: int, seed: int = 0) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    return [
        pair
        | {
            "target": generator.uniform(0.5, 1),
            "margin": generator.uniform(0, 3),
            "weight": generator.uniform(0.5, 2),
            "reference_chosen_logps": generator.normal(-60, 9),
            "reference_rejected_logps": generator.normal(-60, 9),
        }
        for pair in id_pairs(count, seed)
    ]


def make(
    kind: type[PairTrainer],
    folder: Path,
    train: list[Any],
    evaluate: list[Any] | None = None,
    batching: Batching | None = None,
    **arguments: Any,
) -> PairTrainer:
    """A trainer with steps of 2 pairs and evaluations in padded micro-batches of 2."""
    fields = {
        "per_device_train_batch_size": 2,
        "learning_rate": 0.0,
        "logging_steps": 1,
        "max_grad_norm": 0.0,
        "save_strategy": "no",
        "num_train_epochs": 1,
    }
    model = small_policy(1) if kind is MMPOTrainer else small_reward_model(1)
    # in float64, so that the order of sums does not show
    model = model.double()
    extra = {"beta": BETA} if kind is MMPOTrainer else {}
    return kind(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            remove_unused_columns=False,
            **{**fields, **arguments},
        ),
        batching=batching or Batching(PAD, Limits(tokens=10**6, pairs=2)),
        train_dataset=train,
        eval_dataset=evaluate,
        **extra,
    )


KINDS = pytest.mark.parametrize("kind", [MMPOTrainer, RewardTrainer])


def weights_after_one_step(trainer: PairTrainer) -> tuple[float, torch.Tensor]:
    trainer.train()
    loss = trainer.state.log_history[0]["loss"]
    return loss, torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


BATCHINGS = {
    "one padded batch": Batching(PAD, Limits(tokens=10**6)),
    "a pair at a time": Batching(PAD, Limits(tokens=10**6, pairs=1)),
    "3 + 1 pairs": Batching(PAD, Limits(tokens=10**6, pairs=3)),
    "padded by tokens": Batching(PAD, Limits(tokens=50)),
    "shared, one row": Batching(PAD, Limits(tokens=200, long_rows=True), shared=True),
    "shared, rows": Batching(PAD, Limits(tokens=10**6), shared=True),
    "shared by tokens": Batching(PAD, Limits(tokens=50), shared=True),
    "shared, padded to 8": Batching(PAD, Limits(tokens=80, multiple_of=8), shared=True),
}


@KINDS
@pytest.mark.parametrize("name", BATCHINGS)
def test_gradients_do_not_depend_on_how_a_step_is_cut_and_packed(
    kind: type[PairTrainer], name: str, tmp_path: Path
):
    """SGD at lr 1 moves the weights by the gradient: each way against one padded batch."""
    common = {"optim": "sgd", "learning_rate": 1.0, "lr_scheduler_type": "constant"}
    pairs = pairs_with_targets(4)
    start = torch.cat(
        [p.detach().flatten() for p in make(kind, tmp_path, pairs).model.parameters()]
    )
    results = []
    for batching in (BATCHINGS["one padded batch"], BATCHINGS[name]):
        trainer = make(
            kind, tmp_path, pairs, batching=batching, per_device_train_batch_size=4, **common
        )
        results.append(weights_after_one_step(trainer))
        assert trainer.state.global_step == 1
    (loss, whole), (cut_loss, cut) = results
    gradient = whole - start
    assert float(gradient.norm()) > 0.01
    assert float((cut - whole).norm() / gradient.norm()) < 1e-6
    assert cut_loss == pytest.approx(loss, rel=1e-6)


def test_accumulation_over_batches_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="a batch is a whole optimizer step"):
        make(RewardTrainer, tmp_path, pairs_with_targets(2), gradient_accumulation_steps=2)


def test_steps_have_the_same_pairs_however_they_are_packed(tmp_path: Path):
    """The order is the seed's; 5 pairs by 2 make steps of 2, 2 and 1."""
    pairs = pairs_with_targets(5)
    steps = []
    for name in ("one padded batch", "shared by tokens"):
        trainer = make(MMPOTrainer, tmp_path, pairs, batching=BATCHINGS[name], data_seed=7)
        loader = trainer.get_train_dataloader()
        steps.append(
            [
                sorted(t for batch in step["micro_batches"] for t in batch["target"].tolist())
                for step in loader
            ]
        )
    assert [len(step) for step in steps[0]] == [2, 2, 1]
    assert steps[0] == steps[1]


def expected_means(trainer: PairTrainer, pairs: list[dict[str, Any]]) -> dict[str, float]:
    """Means over pairs, each pair alone, with no batch anywhere."""
    rows = []
    for pair in pairs:
        batch = IdCollator()([pair])
        with torch.no_grad():
            if isinstance(trainer, MMPOTrainer):
                chosen, rejected = completion_logps(trainer.model, batch)[0].double().tolist()
                row = {"logps/chosen": chosen, "logps/rejected": rejected}
                chosen = BETA * (chosen - pair["reference_chosen_logps"])
                rejected = BETA * (rejected - pair["reference_rejected_logps"])
            else:
                row = {}
                ids, mask = batch["input_ids"], batch["attention_mask"]
                rewards = trainer.model(input_ids=ids, attention_mask=mask).logits
                chosen, rejected = rewards.double().squeeze(1).tolist()
        h, p = chosen - rejected, pair["target"]
        loss = p * np.log1p(np.exp(-h)) + (1 - p) * np.log1p(np.exp(h))
        rows.append(
            row
            | {
                "loss": pair["weight"] * loss,
                "rewards/chosen": chosen,
                "rewards/rejected": rejected,
                "rewards/accuracies": float(chosen > rejected),
                "rewards/margins": h,
                "targets/mean": p,
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


@KINDS
@pytest.mark.parametrize("batching", [None, BATCHINGS["shared by tokens"]])
def test_evaluation_means_are_over_pairs_with_an_uneven_last_batch(
    kind: type[PairTrainer], batching: Batching | None, tmp_path: Path
):
    """Batches of 2, 2 and 1: a mean of batch means would count the fifth pair twice."""
    pairs = pairs_with_targets(5)
    trainer = make(kind, tmp_path, pairs, evaluate=pairs, batching=batching)
    metrics = trainer.evaluate()
    for name, value in expected_means(trainer, pairs).items():
        assert metrics[f"eval_{name}"] == pytest.approx(value, rel=1e-6), name
    logged = trainer.state.log_history[-1]
    assert logged["eval_rewards/margins"] == metrics["eval_rewards/margins"]


@pytest.mark.parametrize("loss", LOSSES)
def test_sft_term_divides_each_answer_by_its_own_length(loss: str, tmp_path: Path):
    """weight * W * (-log pi(chosen) / tokens) for every pair, added to the loss without it."""
    pairs = [pair | {"target_gap": 0.5} for pair in pairs_with_targets(4)]
    trainer = make(MMPOTrainer, tmp_path, pairs, evaluate=pairs)
    trainer.loss, trainer.beta = LOSSES[loss], 0.1
    plain = trainer.evaluate()["eval_loss"]
    trainer.sft_weight = 0.3
    metrics = trainer.evaluate()
    terms = []
    for pair in pairs:
        with torch.no_grad():
            logps, _ = completion_logps(trainer.model, IdCollator()([pair]))
        terms.append(-float(logps[0]) / len(pair["chosen_ids"]))
    added = np.mean([0.3 * pair["weight"] * t for pair, t in zip(pairs, terms, strict=True)])
    assert metrics["eval_loss"] - plain == pytest.approx(added, rel=1e-5)
    assert metrics["eval_sft_loss"] == pytest.approx(np.mean(terms), rel=1e-6)


@KINDS
def test_training_means_are_over_pairs_of_all_micro_batches(
    kind: type[PairTrainer], tmp_path: Path
):
    """One optimizer step over micro-batches of 2, 2 and 1 pairs, at lr 0."""
    pairs = pairs_with_targets(5)
    trainer = make(kind, tmp_path, pairs, per_device_train_batch_size=5)
    trainer.train()
    first = trainer.state.log_history[0]
    assert trainer.state.global_step == 1
    for name, value in expected_means(trainer, pairs).items():
        assert first[name] == pytest.approx(value, rel=1e-6), name


@KINDS
def test_each_log_entry_covers_only_the_steps_since_the_last(
    kind: type[PairTrainer], tmp_path: Path
):
    pairs = pairs_with_targets(4)
    for number, pair in enumerate(pairs):
        pair["target"] = 0.5 + number / 8
    trainer = make(kind, tmp_path, pairs, per_device_train_batch_size=1, seed=3, data_seed=3)
    trainer.train()
    targets = [e["targets/mean"] for e in trainer.state.log_history if "targets/mean" in e]
    assert sorted(targets) == pytest.approx([0.5, 0.625, 0.75, 0.875])


def test_last_step_is_logged_when_no_multiple_of_logging_steps(tmp_path: Path):
    trainer = make(RewardTrainer, tmp_path, pairs_with_targets(10), logging_steps=3)
    trainer.train()
    assert [e["step"] for e in trainer.state.log_history if "loss" in e] == [3, 5]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path):
    pairs = pairs_with_targets(2)
    pairs[0]["reference_chosen_logps"] = float("nan")
    trainer = make(MMPOTrainer, tmp_path, pairs, logging_nan_inf_filter=False)
    with pytest.raises(InputError, match="loss became nan by step 1"):
        trainer.train()


def test_learnt_reward_gap_approaches_gamma_times_margin(tmp_path: Path):
    """The minimum lies at h = gamma * m, a finite gap: 0.8 * (0.5, 1, 2, 3) = 0.4 ... 2.4."""
    margins, gamma = np.array([0.5, 1.0, 2.0, 3.0]), 0.8
    pairs = [
        pair | {"target": float(p), "weight": 1.0}
        for pair, p in zip(id_pairs(4), probability(margins, gamma), strict=True)
    ]
    trainer = make(
        RewardTrainer,
        tmp_path,
        pairs,
        per_device_train_batch_size=4,
        learning_rate=2e-2,
        num_train_epochs=120,
        logging_steps=120,
    )
    trainer.train()
    batch = IdCollator()(pairs)
    with torch.no_grad():
        ids, mask = batch["input_ids"], batch["attention_mask"]
        chosen, rejected = trainer.model(input_ids=ids, attention_mask=mask).logits[:, 0].chunk(2)
    assert (chosen - rejected).tolist() == pytest.approx((gamma * margins).tolist(), abs=0.02)
