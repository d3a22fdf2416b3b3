"""Folders as `train`, `sweep` and `evaluate` leave them, made without training. For the tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmpo_core.bradley_terry import probability
from mmpo_core.evaluate.evaluating import evaluate_predictions
from mmpo_core.evaluate.plots import plot_evaluation
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.pair_file import write_pairs
from mmpo_core.run_record import fingerprint
from mmpo_core.schema import PAIR_SCHEMA
from mmpo_core.train_options import TrainOptions
from tests.report.conftest import METADATA, columns

HOSTILE = "<script>alert(1)</script>\"'><img src=http://x.test/a.png onerror=alert(2)>"
TURNED = "left \u202eright\u202c \x1b[31m"
GAMMA = 2.0


def write_pair_file(path: Path, pairs: int = 12, prompt: str = HOSTILE) -> Path:
    """Pairs with margins 0, 0.25, 0.5, ...; two of a prompt, whose text begins with `prompt`."""
    margins = [0.25 * n for n in range(pairs)]
    changes: dict[str, Any] = {
        "pair_id": [f"pair-{n}" for n in range(pairs)],
        "prompt": [f"{prompt} {n // 2}" for n in range(pairs)],
        "chosen": [f"{prompt} chosen {n}" for n in range(pairs)],
        "rejected": [f"{TURNED} rejected {n}" for n in range(pairs)],
        "history": [[]] * pairs,
        "score_chosen": [1.0 + margin for margin in margins],
        "score_rejected": [1.0] * pairs,
        "margin_raw": margins,
        "margin": margins,
        "weight": [1.0] * pairs,
        "source": ["shp"] * pairs,
        "origin": [f"votes.jsonl:{n}" for n in range(pairs)],
        "p_chosen": probability(margins, GAMMA).tolist(),
    }
    write_pairs(pa.table(columns(**changes), schema=PAIR_SCHEMA), path, METADATA)
    return path


def write_run(
    folder: Path, pairs: Path, history: list[dict[str, Any]] | None = None, **changes: Any
) -> Path:
    """A finished run; `arguments` among the changes are options of train, others of run.json."""
    history = HISTORY if history is None else history
    options = {"loss": "mmpo", "eval_split": 0.25, **changes.pop("arguments", {})}
    arguments = TrainOptions(pairs=pairs, model="tiny", out=folder, **options).to_dict()
    record = {
        "status": "finished",
        "arguments": arguments,
        "pairs": {"path": str(pairs), "fingerprint": fingerprint(pairs), "metadata": METADATA},
        "eval_pairs": None,
        "eval_prompts_also_trained_on": 0,
        "data": {"train": {"kept": 9}, "eval": {"kept": 3}},
        "steps": 30,
        "seconds": 75.0,
        "metrics": {"eval_accuracy": 0.75, "eval_nll": 0.7, "eval_rewards/margins": 3.0},
        "eval_by_margin": [
            {
                "bin": 1,
                "pairs": 3,
                "lowest_margin": 0.25,
                "highest_margin": 1.5,
                "accuracy": 0.75,
                "predicted": 0.625,
                "target": 0.8,
            }
        ],
        **changes,
    }
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    lines = "".join(json.dumps(entry) + "\n" for entry in history)
    (folder / "log_history.jsonl").write_text(lines)
    return folder


# The held-out NLL is least at step 20, while the margin goes on to grow.
HISTORY: list[dict[str, Any]] = [
    {"step": 10, "loss": 0.65, "rewards/margins": 0.5, "rewards/accuracies": 0.6},
    {"step": 10, "eval_nll": 0.6, "eval_rewards/margins": 1.0, "eval_accuracy": 0.7},
    {"step": 20, "loss": 0.5, "rewards/margins": 2.0, "rewards/accuracies": 0.8},
    {"step": 20, "eval_nll": 0.5, "eval_rewards/margins": 2.0, "eval_accuracy": 0.8},
    {"step": 30, "loss": 0.3, "rewards/margins": 4.0, "rewards/accuracies": 0.9},
    {"step": 30, "eval_nll": 0.7, "eval_rewards/margins": 3.0, "eval_accuracy": 0.75},
]


def predictions(h: list[float], **about: Any) -> Predictions:
    """Predictions on the pairs of write_pair_file."""
    n = len(h)
    margin = 0.25 * np.arange(n)
    gaps = np.asarray(h)
    return Predictions(
        pair_id=np.array([f"pair-{i}" for i in range(n)], dtype=object),
        prompt_id=np.arange(n) // 2,
        source=np.array(["shp"] * n, dtype=object),
        margin=margin,
        target=np.asarray(probability(margin, GAMMA)),
        h=gaps,
        chosen_score=gaps / 2,
        rejected_score=-gaps / 2,
        chosen_tokens=np.arange(n) + 3,
        rejected_tokens=np.full(n, 5),
        tie=margin == 0,
        gamma=GAMMA,
        **about,
    )


def write_evaluation(folder: Path, pairs: Path, **models: list[float]) -> Path:
    """An evaluation of models by their h, as `evaluate` writes it."""
    found = {name: predictions(h, model=name) for name, h in models.items()}
    folder.mkdir(parents=True)
    for name, one in found.items():
        at = folder if len(found) == 1 else folder / name
        at.mkdir(exist_ok=True)
        one.write(at / "predictions.parquet")
    content = {
        "arguments": {"models": list(models), "data": str(pairs), "out": str(folder)},
        "data": {"path": str(pairs), "fingerprint": fingerprint(pairs)},
        **evaluate_predictions(found, resamples=20),
    }
    plot_evaluation(content, found, folder)
    (folder / "evaluation.json").write_text(json.dumps(content))
    return folder
