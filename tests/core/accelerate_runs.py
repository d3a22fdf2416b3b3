"""`accelerate launch` with the configurations of docs/accelerate, two processes on the CPU.

accelerate 1.15 has FSDP on accelerators only. SCRIPT tells it that the CPU is one; all else is the
code that runs on GPUs: accelerate's own fully_shard, and Trainer's own checkpoints, over gloo.
"""

import os
import subprocess
import sys
from pathlib import Path

from mmpo_core.pair_file import write_pairs
from tests.conftest import ROOT
from tests.core.pair_tables import METADATA, pair_table

CONFIGS = ROOT / "docs" / "accelerate"
# Adam's epsilon is large against roundings of its second moments; the norm is cut at every step
OPTIONS = (
    "--batch-size=4 --micro-batch-size=1 --epochs=2 --eval-split=0.25 --logging-steps=1 "
    "--save-steps=2 --lr=0.01 --device=cpu --set=adam_epsilon=1e-3 --max-grad-norm=0.1"
).split()

# END: what happens after a step, as SIGNAL:STEP. SIGINT goes to the launcher, as from a terminal.
SCRIPT = """
import os
import signal

if os.environ["SHARDS"] == "yes":
    import torch.distributed as dist
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_GPU)
    dist.init_process_group("gloo")

from margintool.cli import main
from mmpo_core.wrappers import Wrapping

name, step = os.environ["END"].split(":")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

def on_step_end(self, args, state, control, **kwargs):
    if state.global_step == int(step):
        if name == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        elif args.process_index == 0:
            os.kill(os.getppid(), signal.SIGINT)

Wrapping.on_step_end = on_step_end
main()
"""


def write_data(folder: Path) -> None:
    """Write 13 pairs: 10 to train on in 6 steps, 3 to evaluate on."""
    write_pairs(pair_table([0.3 * i for i in range(13)]), folder / "pairs.parquet", METADATA)


def train_options(model: Path, out: str, *more: str) -> list[str]:
    return ["train", "pairs.parquet", f"--model={model}", f"--out={out}", *OPTIONS, *more]


def environment(**more: str) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    found = {"PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
    return os.environ | found | more


def launch(
    config: str, folder: Path, arguments: list[str], *, end: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `accelerate launch --config_file config -m margintool ARGUMENTS` in a folder.

    Args:
        config: name of a file in docs/accelerate; FSDP's runs SCRIPT in place of the module.
        folder: with the pairs.
        arguments: of margintool.
        end: what ends the run, as SCRIPT has it.
    """
    shards = config.startswith("fsdp")
    more = {"SHARDS": "yes" if shards else "no", "END": end or "none:0"}
    if shards:
        more["ACCELERATE_TORCH_DEVICE"] = "cpu"
    target = ["-m", "margintool"]
    if shards or end:
        (folder / "script.py").write_text(SCRIPT)
        target = ["script.py"]
    start = ["-m", "accelerate.commands.launch", "--main_process_port", "0"]
    return subprocess.run(
        [sys.executable, *start, "--config_file", CONFIGS / config, *target, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
    )
