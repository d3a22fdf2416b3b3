"""A run killed with -9 ten times, between steps and inside of saving: the same weights, bit by bit.

Each life is a process of its own, `margintool train ... --resume`, that kills itself at a given
place. Minutes: slow.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmpo_core.checkpoints import last_checkpoint
from mmpo_core.pair_file import write_pairs
from tests.conftest import ROOT
from tests.core.pair_tables import METADATA, pair_table

KILLS = 10
# 45 pairs in batches of 4: 12 steps an epoch, the last of one pair.
PAIRS, STEPS = 45, 48
ARGS = (
    "--eval-split=0 --batch-size=4 --micro-batch-size=2 --epochs=4 --lr=0.01 --save-steps=2 "
    "--logging-steps=1 --device=cpu"
).split()

# Kills itself after a step, or when the weights of a checkpoint are there and the rest is not.
LIFE = """
import os, signal, sys
from transformers import Trainer, TrainerCallback
from mmpo_core.step_trainer import StepTrainer
from margintool.cli import main

place, step = os.environ["KILL"].split(":")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if place == "step" and state.global_step >= int(step):
            die()

begin = StepTrainer.__init__
def init(self, *args, **kwargs):
    begin(self, *args, **kwargs)
    self.add_callback(Kill())
StepTrainer.__init__ = init

save = Trainer._save_optimizer_and_scheduler
def saving(self, output_dir):
    if place == "save" and self.state.global_step >= int(step):
        die()
    save(self, output_dir)
Trainer._save_optimizer_and_scheduler = saving
main()
"""


def live(folder: Path, model: Path, kill: str, *more: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", LIFE, "train", "pairs.parquet", f"--model={model}", *ARGS, *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KILL": kill, "MARGINTOOL_CACHE": "cache"},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def weights_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
def test_ten_kills_end_with_the_weights_of_an_unbroken_run(
    micro_model: Path, tmp_path: Path
) -> None:
    write_pairs(pair_table([0.1 * i for i in range(PAIRS)]), tmp_path / "pairs.parquet", METADATA)
    assert live(tmp_path, micro_model, "never:0", "--out=whole") == 0
    chance = random.Random(5)
    step, resume = 0, "--no-resume"
    for number in range(KILLS):
        step += chance.randint(2, 5)
        place = chance.choice(["step", "save"])
        assert live(tmp_path, micro_model, f"{place}:{step}", "--out=broken", resume) != 0
        assert not (tmp_path / "broken" / "model.safetensors").exists()
        checkpoint = last_checkpoint(tmp_path / "broken")
        assert checkpoint is not None, number
        resume = "--resume"
    assert step < STEPS
    assert live(tmp_path, micro_model, "never:0", "--out=broken", "--resume") == 0
    assert weights_hash(tmp_path / "broken") == weights_hash(tmp_path / "whole")
