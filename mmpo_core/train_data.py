"""From pair files to the tables a run trains and evaluates on, with a target for every pair.

Pure but for reading the files. Read by train.py; read next: mmpo_core/encode.py.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmpo_core.bradley_terry import probability
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_metadata, read_table
from mmpo_core.train_options import TrainOptions

logger = logging.getLogger("mmpo_core.train")


@dataclass(frozen=True)
class PairTables:
    """The pairs of a run.

    Attributes:
        train: contract columns; `p_chosen` is the target to train on.
        evaluation: the same for held-out pairs, `p_chosen` the target they are measured against;
            None if nothing is held out.
        metadata: the training file's own.
        shared_prompts: prompts of the evaluation pairs that are trained on too: 0 for a split.
    """

    train: pa.Table
    evaluation: pa.Table | None
    metadata: dict[str, Any]
    shared_prompts: int


def load_tables(options: TrainOptions) -> PairTables:
    """Read the pair files, set targets, and hold out evaluation pairs.

    Raises:
        InputError: for a file that breaks the contract, or without pairs, or a split that leaves
            one side empty.
    """
    table = _read(options.pairs)
    if options.limit is not None:
        table = table.slice(0, options.limit)
    if options.eval_pairs is not None:
        train, evaluation = table, _read(options.eval_pairs)
    elif options.eval_split > 0:
        held_out = held_out_by(table["prompt"], options)
        train, evaluation = table.filter(pc.invert(held_out)), table.filter(held_out)
    else:
        train, evaluation = table, None
    shared = 0
    train = with_targets(train, options.gamma, options.margin_column)
    if evaluation is not None:
        evaluation = with_targets(evaluation, eval_gamma(options), options.margin_column)
        known = pc.is_in(pc.unique(evaluation["prompt"]), value_set=pc.unique(train["prompt"]))
        shared = int(pc.sum(known).as_py() or 0)
    tables = PairTables(train, evaluation, read_metadata(options.pairs), shared)
    for warning in cautions(options, tables):
        logger.warning(warning)
    return tables


def cautions(options: TrainOptions, tables: PairTables) -> Iterator[str]:
    """Yield what is allowed, but may not be what the user meant."""
    from mmpo_core.loss_options import chosen_loss  # which imports torch

    loss = chosen_loss(options)
    if loss.reads is None and options.gamma is not None:
        yield f"loss {options.loss} does not read margins: gamma sets the metrics' targets only"
    ties = int((tables.train["p_chosen"].to_numpy() == 0.5).sum())
    if loss.hard_labels and ties:
        yield f"loss {options.loss} trains {ties} ties as if their chosen answer were better"
    if options.margin_column == "margin_raw":
        unit = tables.metadata.get("unit", "an unknown unit")
        yield f"gamma {options.gamma:g} multiplies margin_raw, in {unit} (is it meant for that?)"
    if tables.shared_prompts:
        yield (
            f"{tables.shared_prompts} prompts of the evaluation pairs are trained on too: "
            "held-out numbers will look better than they are"
        )


def eval_gamma(options: TrainOptions) -> float | None:
    """Return the gamma behind the targets of held-out pairs; None for the file's own p_chosen."""
    if options.eval_gamma is None:
        return options.gamma
    return None if options.eval_gamma == "file" else options.eval_gamma


def _read(path: Path) -> pa.Table:
    table = read_table(path)
    if table.num_rows == 0:
        raise InputError(f"{path}: holds no pairs")
    return table


def with_targets(table: pa.Table, gamma: float | None, margin_column: str) -> pa.Table:
    """Return pairs with p_chosen = sigma(gamma * margin); as they are if gamma is None."""
    if gamma is None:
        return table
    target = pa.array(probability(table[margin_column].to_numpy(), gamma))
    return table.set_column(table.schema.get_field_index("p_chosen"), "p_chosen", target)


def target_gap(
    table: pa.Table, options: TrainOptions, gamma: float | None
) -> npt.NDArray[np.float64]:
    """Return each pair's gamma * margin, the log-odds of its target, (N,), for losses that read it.

    From the margins where gamma is given, else from the file's p_chosen, which holds gaps up to 30
    to four digits.

    Args:
        table: N pairs.
        options: say which margin, and name the loss in messages.
        gamma: finite, of these pairs: options.gamma, or eval_gamma(options) for held-out ones.

    Raises:
        InputError: if a target is 1: no finite gap has that probability.
    """
    if gamma is not None:
        margins = table[options.margin_column].to_numpy()
        return np.asarray(gamma * margins, dtype=np.float64)
    target = table["p_chosen"].to_numpy()
    certain = np.flatnonzero(target == 1)
    if len(certain):
        raise InputError(
            f"loss {options.loss} wants a reward gap of gamma * margin, and {len(certain)} pairs "
            f"have p_chosen 1, which no finite gap gives (first: "
            f"{table['pair_id'][int(certain[0])].as_py()}). Give a finite --gamma, or --eval-gamma "
            "for held-out pairs"
        )
    return np.asarray(np.log(target) - np.log1p(-target))


def held_out_by(prompts: pa.ChunkedArray, options: TrainOptions) -> pa.Array:
    """Return a (N,) mask of the pairs of its file that a run holds out, none without a split.

    Args:
        prompts: (N,) of the file; those beyond the run's limit are neither trained on nor held out.
        options: of the run.

    Raises:
        InputError: if no prompt would be left to train on.
    """
    read = prompts if options.limit is None else prompts.slice(0, options.limit)
    if options.eval_pairs is not None or options.eval_split == 0:
        return pa.array(np.zeros(len(prompts), dtype=bool))
    seed = options.seed if options.split_seed is None else options.split_seed
    unread = pa.array(np.zeros(len(prompts) - len(read), dtype=bool))
    return pa.concat_arrays([held_out_rows(read, options.eval_split, seed), unread])


def held_out_rows(
    prompts: pa.ChunkedArray, share: float, seed: int, what: str = "prompt"
) -> pa.Array:
    """Return a (N,) mask of the pairs to hold out: those of a random `share` of the prompts.

    Pairs of one prompt stay together, so that no prompt is both trained on and evaluated. At least
    one prompt is held out.

    Args:
        prompts: (N,) texts.
        share: of different texts.
        seed: of the choice.
        what: what a text is, for messages.

    Raises:
        InputError: if no prompt would be left to train on.
    """
    count = pc.count_distinct(prompts).as_py()
    held = max(1, round(share * count))
    if held >= count:
        raise InputError(
            f"eval_split {share} of {count} {what}{'s' if count > 1 else ''} leaves none to train "
            "on. Give more data, a smaller share, or eval_split 0"
        )
    return rows_of_some(prompts, held, seed)


def rows_of_some(texts: pa.ChunkedArray, count: int, seed: int) -> pa.Array:
    """Return a (N,) mask of the rows with one of `count` texts, drawn by the seed.

    Args:
        texts: (N,).
        count: of different texts; more than there are takes all.
        seed: of the choice.
    """
    codes = texts.combine_chunks().dictionary_encode().indices.to_numpy()
    different = int(codes.max()) + 1
    chosen: npt.NDArray[np.bool_] = np.zeros(different, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(different)[:count]] = True
    return pa.array(chosen[codes])


def mean_one(weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return weights over their mean: relative evidence, with the loss's scale unchanged."""
    values = np.asarray(weights, dtype=np.float64)
    return np.asarray(values / values.mean())
