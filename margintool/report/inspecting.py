"""`inspect_pairs`: a pair file's facts, whatever it breaks. The CLI and card.py call this."""

from pathlib import Path

import numpy as np

from margintool.progress import Progress, no_progress
from margintool.report.facts import (
    Column,
    Duplicates,
    LengthBias,
    PairReport,
    Quantiles,
)
from margintool.report.measures import duplicates, histogram, length_bias, quantiles
from margintool.report.scan import NUMBERS, TEXTS, Ints, Scan, scan
from mmpo_core.pair_file import PathLike
from mmpo_core.schema import PAIR_SCHEMA


def inspect_pairs(
    path: PathLike,
    *,
    plot: PathLike | None = None,
    sample: int = 0,
    seed: int = 42,
    progress: Progress = no_progress,
) -> PairReport:
    """Report on a pair file; unlike `read_pairs`, also on one that breaks the contract.

    The file is read once, batch by batch: only numbers are held for all rows.

    Args:
        path: a Parquet file.
        plot: write a PNG there: margins, targets, and margin against length difference.
        sample: return so many whole rows, drawn at random without replacement.
        seed: seed of the draw.
        progress: told of the rows read.

    Raises:
        InputError: if the file is missing, unreadable, damaged or not Parquet, or the plot
            cannot be written.
    """
    report, found = report_and_scan(path, sample=sample, seed=seed, progress=progress)
    if plot is not None:
        from margintool.report.plot import plot_report

        plot_report(report, found, Path(plot))
    return report


def report_and_scan(
    path: PathLike, *, sample: int = 0, seed: int = 42, progress: Progress = no_progress
) -> tuple[PairReport, Scan]:
    """Return what inspect_pairs does, and the numbers of every row, for those who draw them."""
    found = scan(path, lambda rows: _draw(rows, sample, seed), progress)
    return _report(str(path), found), found


def _draw(rows: int, wanted: int, seed: int) -> Ints:
    """Return the sorted numbers of `wanted` rows out of `rows`, or of all if there are fewer."""
    picked = np.random.default_rng(seed).choice(rows, size=min(wanted, rows), replace=False)
    return np.sort(picked).astype(np.int64)


def _report(path: str, found: Scan) -> PairReport:
    margin = found.numbers.get("margin")
    return PairReport(
        path=path,
        pairs=found.rows,
        bytes=found.bytes,
        row_groups=found.row_groups,
        breaches=found.breaches,
        columns=_columns(found),
        metadata=found.metadata,
        sources=dict(found.sources.most_common()),
        quantiles={
            name: quantiles(found.numbers[name]) for name in NUMBERS if name in found.numbers
        },
        histogram=None if margin is None else histogram("margin", margin),
        ties=0 if margin is None else int((margin == 0).sum()),
        multi_turn=0 if found.turns is None else int((found.turns > 0).sum()),
        lengths={name: _lengths(found, name) for name in TEXTS if name in found.characters},
        longest_prompts=found.longest,
        length_bias=_length_bias(found),
        duplicates=_duplicates(found),
        sample=found.sample,
    )


def _columns(found: Scan) -> list[Column]:
    return [
        Column(
            field.name, str(field.type), found.nulls[field.name], field.name in PAIR_SCHEMA.names
        )
        for field in found.schema
    ]


def _lengths(found: Scan, name: str) -> dict[str, Quantiles]:
    return {
        "characters": quantiles(found.characters[name]),
        "words": quantiles(found.words[name]),
    }


def _length_bias(found: Scan) -> list[LengthBias]:
    margin = found.numbers.get("margin")
    if margin is None or not {"chosen", "rejected"} <= found.characters.keys():
        return []
    units = {"characters": found.characters, "words": found.words}
    return [length_bias(unit, margin, n["chosen"], n["rejected"]) for unit, n in units.items()]


def _duplicates(found: Scan) -> Duplicates | None:
    if found.prompt_key is None or found.ordered_key is None or found.pair_key is None:
        return None
    return duplicates(found.prompt_key, found.ordered_key, found.pair_key, found.identical_answers)
