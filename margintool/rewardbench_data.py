"""Any input to examples of RewardBench. margintool/rewardbench.py calls it.

Without a file the benchmark's own datasets are read from the hub: the four core sections, and the
four splits that make Prior Sets. A row that cannot be used stops the run: a score over fewer
examples would look like one over all.
"""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical_stream import origins
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems
from margintool.layouts.texts import read_optional_text, read_prompt
from margintool.numbers import Column
from margintool.progress import Bars
from margintool.storage import RawBatch, open_input
from margintool.storage.option_names import own_option_names
from mmpo_core.errors import InputError
from mmpo_core.evaluate.rewardbench.examples import EXAMPLES, check_subsets
from mmpo_core.evaluate.rewardbench.sections import (
    CORE_DATASET,
    CORE_SPLIT,
    PRIOR,
    PRIOR_DATASET,
    SECTIONS,
)

logger = logging.getLogger("mmpo_core.evaluate")

COLUMNS = ("prompt", "chosen", "rejected", "subset", "id")
_OPTION_NAMES = {"--input": "--data"}
_CORE = pa.array([one for name, part in SECTIONS.items() if name != PRIOR for one in part.counts])


def read_examples(data: Path | None, bars: Bars, *, core_only: bool = False) -> pa.Table:
    """Return all examples of a file, or of the benchmark, as EXAMPLES.

    Args:
        data: a file, glob, folder or dataset id with the benchmark's columns; `prompt` is text,
            or a list of messages that ends with the user's. None for the benchmark's own.
        bars: gives what is told how far reading has come, while it goes on.
        core_only: return those of the four core sections alone.

    Raises:
        InputError: if there is no such input, a column is missing, a subset is unknown, or a row
            cannot be used.
    """
    if data is not None:
        examples = _read(str(data), None, bars)
    else:
        parts = [_read(CORE_DATASET, CORE_SPLIT, bars)]
        if not core_only:
            parts += [_read_prior(split, bars) for split in SECTIONS[PRIOR].counts]
        examples = pa.concat_tables(parts)
    check_subsets(examples)
    return examples.filter(pc.is_in(examples["subset"], _CORE)) if core_only else examples


def _read_prior(split: str, bars: Bars) -> pa.Table:
    """Return a split of Prior Sets; its name is the subset (its own column names a finer one)."""
    examples = _read(PRIOR_DATASET, split, bars)
    subset = pa.array([split] * examples.num_rows, pa.string())
    return examples.set_column(EXAMPLES.names.index("subset"), EXAMPLES.field("subset"), subset)


def _read(data: str, split: str | None, bars: Bars) -> pa.Table:
    with own_option_names(_OPTION_NAMES), bars() as progress:
        raw = open_input(data, split=split)
        _check_columns(raw.schema_sample(), raw.description)
        progress.start(f"reading {raw.description}", raw.total_bytes)
        with closing(raw.batches(on_bytes=progress.advance)) as batches:
            examples = pa.concat_tables(_tables(batches))
    logger.info("%s: %d examples", raw.description, examples.num_rows)
    return examples


def _check_columns(sample: pa.Table, description: str) -> None:
    missing = [name for name in COLUMNS if name not in sample.column_names]
    if missing:
        raise InputError(
            f"{description}: column {missing[0]!r} is missing. RewardBench's columns are "
            f"{', '.join(COLUMNS)}; here are {', '.join(sample.column_names)}"
        )


def _tables(batches: Iterator[RawBatch]) -> Iterator[pa.Table]:
    for batch in batches:
        raw, origin = Raw(batch.table), origins(batch.name, batch.rows)
        problems = Problems(raw.rows)
        prompt = read_prompt(raw, problems)
        columns = {
            "subset": _text(raw, problems, "subset"),
            "id": _id(raw, problems),
            "history": prompt.history(),
            "prompt": prompt.text,
            # An answer may be empty: that is an answer too, and models must tell it.
            "chosen": _text(raw, problems, "chosen"),
            "rejected": _text(raw, problems, "rejected"),
            "origin": origin,
        }
        _refuse(problems, origin)
        yield pa.table({name: columns[name] for name in EXAMPLES.names}).cast(EXAMPLES)


def _text(raw: Raw, problems: Problems, name: str) -> Column:
    text = read_optional_text(raw, problems, name)
    problems.mark(pc.is_null(text), "null", f"{name} is null")
    return text


def _id(raw: Raw, problems: Problems) -> Column:
    column = raw.column("id")
    problems.mark(pc.is_null(column), "null", "id is null")
    if pa.types.is_nested(column.type):
        problems.mark(pc.is_valid(column), "not_text", "id is neither a number nor text")
        return pa.nulls(raw.rows, pa.string())
    return column.cast(pa.string())


def _refuse(problems: Problems, origin: pa.Array) -> None:
    bad = pc.is_valid(problems.detail)
    count = pc.sum(bad).as_py() or 0
    if count:
        row = pc.index(bad, True).as_py()
        raise InputError(
            f"{origin[row].as_py()}: {problems.detail[row].as_py()} ({count} such rows among the "
            f"{len(bad)} read here). Mend or remove them: the scores are over all examples"
        )
