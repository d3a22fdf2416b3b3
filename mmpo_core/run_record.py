"""What run.json says: everything needed to see what a run did, and to do it again.

Read by train.py; run_folder.py writes it.
"""

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmpo_core.train_data import PairTables
from mmpo_core.train_options import TrainOptions

Fingerprint = Callable[[], str]

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


def input_fingerprints(options: TrainOptions) -> tuple[Fingerprint, Fingerprint | None]:
    """Return what gives the fingerprints of the pairs, and of the evaluation pairs if any.

    As run_folder.changed_since takes them; each file is read at the first call.
    """
    held_out = options.eval_pairs
    evaluation = None if held_out is None else cache(partial(fingerprint, held_out))
    return cache(partial(fingerprint, options.pairs)), evaluation


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


def final_metrics(
    history: Sequence[Mapping[str, float]], *, resumed: bool = False
) -> dict[str, float]:
    """Return the last training entry, the last evaluation and the run's totals as one dict.

    Args:
        history: log entries.
        resumed: whether the run was; Trainer's totals (train_loss, train_runtime, ...) are then of
            the part after it, and left out.
    """
    metrics: dict[str, float] = {}
    for key in ("loss", "train_runtime", "eval_loss"):
        metrics |= next((entry for entry in reversed(history) if key in entry), {})
    of_part = [name for name in metrics if resumed and name.startswith("train_")]
    return {name: value for name, value in metrics.items() if name not in of_part}


def with_earlier(
    reference: Mapping[str, int] | None, earlier: Mapping[str, int] | None
) -> dict[str, int] | None:
    """Return a resumed run's reference counts with what its earlier part had computed.

    Args:
        reference: counts of the part since the resumption; None where there was no pass.
        earlier: those of run.json as the run had begun.
    """
    if reference is None or earlier is None:
        return None if reference is None else dict(reference)
    sums = {name: earlier[name] + reference[name] for name in ("computed", "forward_tokens")}
    return {**earlier, **sums}


def finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Return metrics with numbers that JSON does not have as null."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
