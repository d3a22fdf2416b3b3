"""The checkpoints in a run's folder: which are whole, which can go.

Trainer writes them: checkpoint-N after step N. checkpoint_layouts.py knows the files of weights and
optimizer, which depend on the wrapper. Read by train.py and run_folder.py.
"""

import json
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from mmpo_core.checkpoint_layouts import LAYOUTS, layout_of

_CHECKPOINT = re.compile(r"checkpoint-([0-9]+)")


def last_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint-N with the largest N that was written whole, or None."""
    counts = _processes(folder)
    for _, path in sorted(numbered_checkpoints(folder), reverse=True):
        if is_whole(path, counts):
            return path
    return None


def numbered_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return the checkpoint-N of a folder, each with its N."""
    found = [(_CHECKPOINT.fullmatch(path.name), path) for path in folder.glob("checkpoint-*")]
    return [(int(match[1]), path) for match, path in found if match]


def _processes(folder: Path) -> list[int]:
    """Return the numbers of processes in run.json; [1] where there is none, or it says nothing."""
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return [int(count) for count in record["processes"]]
    except (OSError, ValueError, KeyError, TypeError):
        return [1]


def is_whole(checkpoint: Path, processes: Sequence[int] = (1,)) -> bool:
    """Whether a checkpoint's files are all there and none is cut short.

    Trainer writes trainer_state.json last; the others are checked by their own formats: a
    safetensors file states its length, a torch file is a zip archive, whose directory ends it, and
    shards have their lengths in a file of metadata.

    Args:
        checkpoint: folder that Trainer wrote.
        processes: how many the run may have had then; each saves a random state of its own.
    """
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    parts_are_whole = LAYOUTS[layout_of(checkpoint)]
    return zipfile.is_zipfile(checkpoint / "scheduler.pt") and any(
        all(zipfile.is_zipfile(checkpoint / name) for name in _random_states(count))
        and parts_are_whole(checkpoint, count)
        for count in processes
    )


def _random_states(processes: int) -> list[str]:
    """Return the names of the files that Trainer keeps random states in."""
    if processes == 1:
        return ["rng_state.pth"]
    return [f"rng_state_{number}.pth" for number in range(processes)]


def drop_last_checkpoint(folder: Path, step: int) -> None:
    """Remove the checkpoint of the last step: a finished run's folder holds the same weights.

    Those of earlier steps stay.
    """
    shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)


def drop_checkpoints(folder: Path) -> None:
    """Remove all checkpoints."""
    for _, path in numbered_checkpoints(folder):
        shutil.rmtree(path)
