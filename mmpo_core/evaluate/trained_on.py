"""How many of the pairs that models are evaluated on they were trained on.

Read by data.py and rewardbench/running.py.

Told from the file that a model's run was trained on, read again and split as the run did, so that
single pairs are found in whatever file they stand. Of a file that is not there, or holds other
pairs now than then, nothing is known, and that is said. Training before that run, of the model
that it began with, is not looked at.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from mmpo_core.evaluate.models import EvaluatedModel
from mmpo_core.pair_file import damage_named, open_parquet
from mmpo_core.run_record import fingerprint
from mmpo_core.train_data import held_out_by
from mmpo_core.train_options import TrainOptions

logger = logging.getLogger("mmpo_core.evaluate")

_TEXTS = ["prompt", "chosen", "rejected"]
# So many texts are Python objects at once.
_ROWS = 10_000

Mask = npt.NDArray[np.bool_]
Known = dict[str, dict[str, int] | None]


@dataclass(frozen=True)
class Candidate:
    """A file that may be the one a model was trained on, by its content.

    Attributes:
        path: of it.
        content: its fingerprint.
    """

    path: Path
    content: str


def trained_on(
    models: Sequence[EvaluatedModel], table: pa.Table, here: Candidate | None = None
) -> Known:
    """Return how much of N pairs models were trained on, and warn of it.

    Args:
        models: those that no run trained on pairs are left out.
        table: N pairs: prompt, chosen and rejected are read.
        here: the file that the pairs are from: it may be the training file under another name.

    Returns:
        label -> pairs (same prompt and answers, whichever was chosen) and prompts (last user
        messages) that were trained on; None where the training file is not there.
    """
    found: Known = {}
    for model in models:
        if model.run is None:
            continue
        path = _training_file(model, model.run, here)
        if path is None:
            found[model.label] = None
            logger.info(
                "%s: %s, which it was trained on, is not here as it was then: whether it was "
                "trained on these pairs is not known",
                model.label,
                model.run.pairs,
            )
            continue
        seen, prompts = seen_rows(table, path, model.run)
        found[model.label] = {"pairs": int(seen.sum()), "prompts": _different(table, prompts)}
        _warn(model.label, table, found[model.label], _advice(model.run, here, path))
    return found


def trained_on_file(model: EvaluatedModel) -> str | None:
    """Return the fingerprint of the file that a model was trained on."""
    pairs = (model.record or {}).get("pairs") or {}
    content: str | None = pairs.get("fingerprint")
    return content


def seen_rows(table: pa.Table, path: Path, run: TrainOptions) -> tuple[Mask, Mask]:
    """Return (N,) masks of the pairs, and of the pairs whose prompts, a run was trained on.

    Args:
        table: N pairs.
        path: of the file that the run was trained on.
        run: its options, that say what of the file was held out.
    """
    with open_parquet(path) as file, damage_named(path):
        prompts = file.read(columns=["prompt"])["prompt"]
        trained = pc.invert(held_out_by(prompts, run)).to_numpy(zero_copy_only=False)
        if run.limit is not None:
            trained[run.limit :] = False
        of_prompt = _in(table["prompt"], prompts.filter(pa.array(trained)))
        # Answers are compared for prompts on both sides alone: most files share few.
        wanted = trained & _in(prompts, table["prompt"])
        keys, start = set[int](), 0
        for batch in file.iter_batches(_ROWS, columns=_TEXTS) if wanted.any() else ():
            keys |= set(_keys(batch.filter(pa.array(wanted[start : start + len(batch)]))))
            start += len(batch)
    of_pair = of_prompt.copy()
    shared = table.select(_TEXTS).filter(pa.array(of_prompt))
    of_pair[of_prompt] = [key in keys for batch in _batches(shared) for key in _keys(batch)]
    return of_pair, of_prompt


def _training_file(model: EvaluatedModel, run: TrainOptions, here: Candidate | None) -> Path | None:
    content, path = trained_on_file(model), Path(run.pairs)
    if here is not None and here.content == content:
        return here.path
    try:
        return path if path.is_file() and fingerprint(path) == content else None
    except OSError:  # what cannot be read is not known: no reason to measure nothing
        return None


def _warn(label: str, table: pa.Table, seen: dict[str, int] | None, advice: str) -> None:
    if seen is None or not seen["prompts"]:
        return
    everything = np.ones(table.num_rows, dtype=bool)
    logger.warning(
        "WARNING: %s was trained on %d of these %d pairs, and on %d of their %d prompts: these "
        "numbers do not say how it does on new ones. %s",
        label,
        seen["pairs"],
        table.num_rows,
        seen["prompts"],
        _different(table, everything),
        advice,
    )


def _advice(run: TrainOptions, here: Candidate | None, path: Path) -> str:
    splits = run.eval_pairs is None and run.eval_split > 0
    if splits and here is not None and here.path == path:
        return "--held-out takes those that its run held out"
    return "Give other pairs"


def _in(texts: pa.ChunkedArray, others: pa.ChunkedArray) -> Mask:
    mask: Mask = pc.is_in(texts, value_set=pc.unique(others)).to_numpy()
    return mask


def _different(table: pa.Table, rows: Mask) -> int:
    return int(pc.count_distinct(table["prompt"].filter(pa.array(rows))).as_py())


def _batches(table: pa.Table) -> Iterator[Any]:
    return iter(table.to_batches(max_chunksize=_ROWS))


def _keys(batch: Any) -> list[int]:
    """Return a number for each pair, the same whichever answer is the chosen one."""
    columns = (batch.column(name).to_pylist() for name in _TEXTS)
    return [
        xxhash.xxh3_64_intdigest("\0".join((prompt, *sorted(answers))).encode())
        for prompt, *answers in zip(*columns, strict=True)
    ]
