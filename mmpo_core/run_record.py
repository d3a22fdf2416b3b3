"""What run.json says: everything needed to see what a run did, and to do it again.

Read by train.py; run_folder.py writes it.
"""

import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmpo_core.train_data import PairTables
from mmpo_core.train_options import TrainOptions

_PACKAGES = ("margintool torch transformers accelerate peft numpy pyarrow tokenizers").split()


def start_record(
    options: TrainOptions, tables: PairTables, pairs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return run.json's content as it is known before the first step.

    Args:
        options: of the run.
        tables: the pairs it reads.
        pairs: split -> EncodedPairs, whose reports say what was cut and dropped.
    """
    return {
        "status": "unfinished",
        "arguments": options.to_dict(),
        "pairs": {
            "path": str(options.pairs),
            "fingerprint": fingerprint(options.pairs),
            "metadata": tables.metadata,
        },
        "eval_pairs": options.eval_pairs
        and {"path": str(options.eval_pairs), "fingerprint": fingerprint(options.eval_pairs)},
        "eval_prompts_also_trained_on": tables.shared_prompts,
        "data": {split: encoded.report.to_dict() for split, encoded in pairs.items()},
        "seed": options.seed,
        "versions": versions(),
    }


def fingerprint(path: Path) -> str:
    """Return the xxh3_128 of a file's content, in hex."""
    import xxhash

    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python, the platform and the packages that matter."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found


def device_name(device: Any) -> str:
    """Return a torch device in words: its model for a GPU."""
    import torch

    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} x {torch.cuda.device_count()}"
    return f"{device.type} ({platform.processor() or platform.machine()})"


def finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Return metrics with numbers that JSON does not have as null."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
