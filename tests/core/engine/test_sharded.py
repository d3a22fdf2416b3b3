"""Gradients under DDP and FSDP2 are those of one process, empty micro-batches included."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPT = """
import contextlib
import os
import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from mmpo_core.engine.batches import Batching, StepCollator
from mmpo_core.engine.rows import Limits
from mmpo_core.engine.scoring import scorer_of
from mmpo_core.logprobs import completion_logps
from tests.core.small_models import id_pairs, small_policy

BATCHING = Batching(0, Limits(tokens=60, pairs=1), shared=True)
PAIRS = [pair | {"target": 0.7} for pair in id_pairs(3)]


def backward(model, step, scale, waits=contextlib.nullcontext):
    for left, batch in zip(reversed(range(len(step["micro_batches"]))), step["micro_batches"]):
        with contextlib.nullcontext() if left == 0 else waits():
            logps, _ = completion_logps(model, batch)
            (logps.sum() * scale).backward()


def sharded(policy, how):
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in policy.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(policy, mesh=mesh, reshard_after_forward=how == "fsdp, resharded")
    return policy, contextlib.nullcontext


def wrapped(policy, how):
    model = DistributedDataParallel(policy, find_unused_parameters=True)
    return model, model.no_sync


dist.init_process_group("gloo")
count, rank = dist.get_world_size(), dist.get_rank()
expected = small_policy(0)
backward(expected, StepCollator(BATCHING)(PAIRS), 1.0)
step = StepCollator(BATCHING, count, rank)(PAIRS)
assert [len(batch["target"]) for batch in step["micro_batches"]] == [[1, 0], [1, 1]][rank]
for how in ("ddp", "fsdp", "fsdp, resharded"):
    policy = small_policy(0)
    scorer_of(policy)
    model, waits = (wrapped if how == "ddp" else sharded)(policy, how)
    backward(model, step, float(count), waits)  # gradients are averaged over processes
    for ours, theirs in zip(policy.parameters(), expected.parameters(), strict=True):
        gradient = ours.grad if how == "ddp" else ours.grad.full_tensor()
        assert float((gradient - theirs.grad).norm() / theirs.grad.norm()) < 1e-6, how
    # in one piece, which the other process's words cannot break up
    os.write(1, f"{how} equal{os.linesep}".encode())
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_gradients_of_two_processes_equal_those_of_one(tmp_path: Path):
    """Three pairs, one a micro-batch: the process with the longest pair runs an empty second."""
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, *command, script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for how in ("ddp", "fsdp", "fsdp, resharded"):
        assert done.stdout.count(f"{how} equal") == 2
