"""How a checkpoint is laid out, by the wrapper that saved it, and which of its files must be whole.

Trainer writes what every layout has (checkpoints.py reads that); FSDP and DeepSpeed write weights
and optimizer in their own ways.
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

FSDP, DEEPSPEED, PLAIN = "FSDP", "DeepSpeed", "DDP or one process"


def layout_of(checkpoint: Path) -> str:
    """Return which of LAYOUTS a checkpoint has."""
    if next(checkpoint.glob("pytorch_model_fsdp*"), None):
        return FSDP
    return DEEPSPEED if next(checkpoint.glob("global_step*"), None) else PLAIN


def _plain_is_whole(checkpoint: Path, processes: int) -> bool:
    return _weights_are_whole(checkpoint) and zipfile.is_zipfile(checkpoint / "optimizer.pt")


def _weights_are_whole(checkpoint: Path) -> bool:
    """Whether all safetensors files are there and have the length that they state."""

    from safetensors import SafetensorError, safe_open

    weights = list(checkpoint.glob("*.safetensors"))
    try:
        index = checkpoint / "model.safetensors.index.json"
        if index.exists():
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            weights = [checkpoint / name for name in shards]
        for path in weights:
            with safe_open(path, framework="pt"):
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    return bool(weights)


def _fsdp_is_whole(checkpoint: Path, processes: int) -> bool:
    """FULL_STATE_DICT: two archives. SHARDED_STATE_DICT: two folders of shards."""
    if (checkpoint / "pytorch_model_fsdp_0").is_dir():
        folders = ("pytorch_model_fsdp_0", "optimizer_0")
        return all(_shards_are_whole(checkpoint / name) for name in folders)
    archives = ("pytorch_model_fsdp.bin", "optimizer.bin")
    return all(zipfile.is_zipfile(checkpoint / name) for name in archives)


def _shards_are_whole(folder: Path) -> bool:
    """Whether all files are as long as the metadata says, which the first process writes last."""
    from pickle import UnpicklingError

    from torch.distributed.checkpoint.filesystem import FileSystemReader

    try:
        stored = FileSystemReader(folder).read_metadata().storage_data
        return all(
            (folder / part.relative_path).stat().st_size >= part.offset + part.length
            for part in stored.values()
        )
    except (OSError, EOFError, UnpicklingError):
        return False


def _deepspeed_is_whole(checkpoint: Path, processes: int) -> bool:
    """`latest` names a folder, in which each process has written its part of the optimizer."""
    try:
        folder = checkpoint / (checkpoint / "latest").read_text(encoding="utf-8").strip()
    except OSError:
        return False
    optimizers = list(folder.glob("zero_pp_rank_*_optim_states.pt"))
    # of ZeRO-3, each process writes its part of the model too
    models = list(folder.glob("zero_pp_rank_*_model_states.pt"))
    counts = {len(optimizers), len(models) if models else processes}
    archives = [*optimizers, *(models or [folder / "mp_rank_00_model_states.pt"])]
    return counts == {processes} and all(map(zipfile.is_zipfile, archives))


# layout -> whether weights and optimizer of a checkpoint are whole, as so many processes save it
LAYOUTS: dict[str, Callable[[Path, int], bool]] = {
    PLAIN: _plain_is_whole,
    FSDP: _fsdp_is_whole,
    DEEPSPEED: _deepspeed_is_whole,
}
