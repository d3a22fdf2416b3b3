"""Two processes learn what one learns: the same loss, metrics, gradients, weights at each step."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmpo_core.pair_file import write_pairs
from tests.core.pair_tables import METADATA, pair_table

SCRIPT = """
import json, sys
from mmpo_core.train import train
pairs, model, out, more = sys.argv[1:]
train(pairs=pairs, model=model, out=out, batch_size=4, micro_batch_size=1, epochs=2,
      eval_split=0.25, logging_steps=1, max_length=96, device="cpu", **json.loads(more))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {"lr": 1e-2},
        {"lr": 1e-2, "lora_rank": 2},
        # a step of sgd is the gradient times lr: one that is scaled wrongly shows in the weights
        {"lr": 1e-1, "optimizer": "sgd", "max_grad_norm": 1e6, "use_weights": True},
    ],
)
def test_two_processes_equal_one(more: dict[str, Any], tmp_path: Path, micro_model: Path):
    """10 pairs to train on, and 3 to evaluate on, which two processes cannot share evenly."""
    pairs, script = tmp_path / "pairs.parquet", tmp_path / "run.py"
    write_pairs(pair_table([0.3 * i for i in range(13)]), pairs, METADATA)
    script.write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    given = [str(pairs), str(micro_model)]
    for name, prefix in (("one", []), ("two", launcher)):
        command = [sys.executable, *prefix, str(script), *given, str(tmp_path / name)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        subprocess.run([*command, json.dumps(more)], check=True, env=environment)
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "log_history.jsonl").open()]
        for name in ("one", "two")
    )
    assert sum("grad_norm" in entry for entry in one) == 6
    for ours, theirs in zip(one, two, strict=True):
        for key in ours:
            if "runtime" not in key and "per_second" not in key and key != "total_flos":
                assert theirs[key] == pytest.approx(ours[key], rel=1e-4, abs=1e-5), key
    file = "adapter_model.safetensors" if "lora_rank" in more else "model.safetensors"
    weights = [load_file(tmp_path / name / file) for name in ("one", "two")]
    for name, value in weights[0].items():
        assert torch.allclose(weights[1][name], value, rtol=0, atol=1e-5), name
