"""Checkpoints of FSDP and DeepSpeed: whole with all of every file, and otherwise passed over."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed.checkpoint as dcp

from mmpo_core.checkpoint_layouts import DEEPSPEED, FSDP, LAYOUTS, PLAIN, layout_of
from mmpo_core.checkpoints import is_whole, last_checkpoint
from mmpo_core.errors import InputError
from mmpo_core.wrappers import check_resumable

PROCESSES = 2


def common(folder: Path) -> None:
    """What Trainer writes beside any layout."""
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text("{}")
    for name in ("scheduler.pt", *(f"rng_state_{number}.pth" for number in range(PROCESSES))):
        torch.save({"state": torch.ones(3)}, folder / name)


def sharded(folder: Path) -> None:
    """FSDP's SHARDED_STATE_DICT, as torch.distributed.checkpoint writes it."""
    common(folder)
    for name in ("pytorch_model_fsdp_0", "optimizer_0"):
        writer = dcp.FileSystemWriter(folder / name)
        dcp.save({"weights": torch.ones(300)}, storage_writer=writer, no_dist=True)


def full(folder: Path) -> None:
    """FSDP's FULL_STATE_DICT."""
    common(folder)
    for name in ("pytorch_model_fsdp.bin", "optimizer.bin"):
        torch.save({"weights": torch.ones(300)}, folder / name)


def zero(folder: Path, models: tuple[str, ...]) -> None:
    common(folder)
    (folder / "latest").write_text("global_step4")
    (folder / "global_step4").mkdir()
    optimizers = [f"zero_pp_rank_{n}_mp_rank_00_optim_states.pt" for n in range(PROCESSES)]
    for name in (*optimizers, *models):
        torch.save({"weights": torch.ones(300)}, folder / "global_step4" / name)


def zero2(folder: Path) -> None:
    zero(folder, ("mp_rank_00_model_states.pt",))


def zero3(folder: Path) -> None:
    zero(folder, tuple(f"zero_pp_rank_{n}_mp_rank_00_model_states.pt" for n in range(PROCESSES)))


MAKERS = {sharded: FSDP, full: FSDP, zero2: DEEPSPEED, zero3: DEEPSPEED}


@pytest.mark.parametrize("damage", ["missing", "half"])
@pytest.mark.parametrize("make", MAKERS)
def test_a_checkpoint_is_whole_only_with_all_of_every_file(
    make: Callable[[Path], None], damage: str, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint-4"
    make(checkpoint)
    assert layout_of(checkpoint) == MAKERS[make]
    assert is_whole(checkpoint, [PROCESSES])
    assert not is_whole(checkpoint, [PROCESSES + 1])
    files = [path for path in checkpoint.rglob("*") if path.is_file()]
    assert len(files) >= 6
    for path in files:
        data = path.read_bytes()
        path.unlink()
        if damage == "half":
            path.write_bytes(data[: len(data) // 2])
        assert not is_whole(checkpoint, [PROCESSES]), path
        path.write_bytes(data)
    assert is_whole(checkpoint, [PROCESSES])


def test_the_last_whole_one_is_resumed_from(tmp_path: Path) -> None:
    sharded(tmp_path / "checkpoint-2")
    sharded(tmp_path / "checkpoint-4")
    (tmp_path / "run.json").write_text(json.dumps({"processes": [PROCESSES]}))
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-4"
    (tmp_path / "checkpoint-4" / "optimizer_0" / ".metadata").unlink()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-2"


@pytest.mark.parametrize("asked", LAYOUTS)
@pytest.mark.parametrize("make", [sharded, zero2, common])
def test_a_checkpoint_is_resumed_with_the_wrapper_that_saved_it(
    make: Callable[[Path], None], asked: str, tmp_path: Path
) -> None:
    make(tmp_path / "checkpoint-4")
    arguments = SimpleNamespace(deepspeed=asked == DEEPSPEED, fsdp=asked == FSDP)
    if asked == MAKERS.get(make, PLAIN):
        check_resumable(arguments, tmp_path / "checkpoint-4")
        return
    with pytest.raises(InputError, match=rf"checkpoint-4: was saved by .*, and this is {asked}"):
        check_resumable(arguments, tmp_path / "checkpoint-4")
