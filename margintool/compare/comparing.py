"""`compare`: how well margin estimators agree on the same pairs. The CLI calls this."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase

import numpy as np

from margintool.compare.facts import Calibration, Comparison, Estimate, FileFacts, TwoFiles
from margintool.compare.intervals import Intervals, intervals
from margintool.compare.joining import Joined, join, nothing_in_common
from margintool.compare.measures import AGREEMENT, CALIBRATION, all_numbers, spearman_signed
from margintool.compare.options import BOOTSTRAP, SEED
from margintool.compare.reading import Pairs, read_pair_keys
from margintool.progress import Progress, no_progress
from margintool.report.drawing import check_png
from margintool.report.words import count, counted
from margintool.sources import SOURCES
from mmpo_core.errors import InputError
from mmpo_core.file_metadata import recorded_gamma
from mmpo_core.pair_file import PathLike

FEW_PROMPTS = 30


def compare(
    paths: Sequence[PathLike],
    *,
    plot: PathLike | None = None,
    bootstrap: int = BOOTSTRAP,
    seed: int = SEED,
    progress: Progress = no_progress,
) -> Comparison:
    """Compare the margins that pair files give to the same pairs.

    Pairs are matched on history, prompt and the two answers, in either order. Every later file
    is compared with the first. Texts are not held in memory.

    Args:
        paths: two or more files made by `margintool score`.
        plot: write a PNG there: margins against margins, and reliability.
        bootstrap: resamples behind the 95% intervals; 0 gives none.
        seed: of the resamples.
        progress: told of rows read and resamples drawn.

    Raises:
        InputError: for fewer than two files, the same file twice, a file that is missing or
            breaks the contract, files without a common pair, or a plot that cannot be written.
    """
    files = [Path(path) for path in paths]
    _check(files, plot, bootstrap, seed)
    pairs = [read_pair_keys(path, progress) for path in files]
    facts = tuple(_facts(name, p) for name, p in zip(ascii_uppercase, pairs, strict=False))
    joined = [join(pairs[0], other) for other in pairs[1:]]
    for other, common in zip(pairs[1:], joined, strict=True):
        if not len(common):
            raise nothing_in_common(pairs[0], other, progress)
    comparison = Comparison(
        files=facts,
        comparisons=tuple(
            _two_files((facts[0], other), common, bootstrap, seed, progress)
            for other, common in zip(facts[1:], joined, strict=True)
        ),
        spearman=_matrix(pairs),
        bootstrap=bootstrap,
        seed=seed,
    )
    if plot is not None:
        from margintool.compare.plot import plot_comparison

        plot_comparison(comparison, joined, Path(plot))
    return comparison


def _check(files: Sequence[Path], plot: PathLike | None, bootstrap: int, seed: int) -> None:
    if len(files) < 2:
        raise InputError(f"compare needs two pair files or more, got {len(files)}")
    if len(files) > len(ascii_uppercase):
        raise InputError(f"compare takes at most {len(ascii_uppercase)} files, got {len(files)}")
    for first, second in combinations(files, 2):
        if first.exists() and second.exists() and first.samefile(second):
            raise InputError(f"{first} and {second} are the same file. Give two different ones")
    if bootstrap < 0 or seed < 0:
        raise InputError(f"bootstrap and seed must be at least 0, got {bootstrap} and {seed}")
    if plot is not None:
        check_png(Path(plot))


def _facts(name: str, pairs: Pairs) -> FileFacts:
    made = pairs.metadata

    def said(key: str) -> str | None:
        value = made.get(key)
        return value if isinstance(value, str) else None

    return FileFacts(
        name=name,
        path=pairs.path,
        source=said("source"),
        margin=said("margin"),
        unit=said("unit"),
        gamma=recorded_gamma(made),
        rows=pairs.rows,
        repeated=pairs.repeated,
        identical=pairs.identical,
        pairs=len(pairs.key),
        ties=pairs.ties,
    )


def _two_files(
    files: tuple[FileFacts, FileFacts],
    joined: Joined,
    bootstrap: int,
    seed: int,
    progress: Progress,
) -> TwoFiles:
    a, b = (file.name for file in files)
    numbers = all_numbers(joined)
    found = intervals(joined, numbers, resamples=bootstrap, seed=seed, progress=progress)
    estimates = {name: _estimate(value, name, found) for name, value in numbers.items()}
    sign_a, sign_b = np.sign(joined.margin_a), np.sign(joined.margin_b)
    return TwoFiles(
        a=a,
        b=b,
        pairs=len(joined),
        prompts=found.prompts,
        only_a=joined.only_a,
        only_b=joined.only_b,
        same_winner=int((sign_a * sign_b > 0).sum()),
        other_winner=int((sign_a * sign_b < 0).sum()),
        tie_a=int(((sign_a == 0) & (sign_b != 0)).sum()),
        tie_b=int(((sign_a != 0) & (sign_b == 0)).sum()),
        tie_both=int(((sign_a == 0) & (sign_b == 0)).sum()),
        agreement={name: estimates[name] for name in AGREEMENT},
        calibration=(_calibration("a", a, b, estimates), _calibration("b", b, a, estimates)),
        drawn=found.drawn,
        notes=(*_winner_notes(files), *_notes(numbers, found, bootstrap)),
    )


def _estimate(value: float, name: str, found: Intervals) -> Estimate:
    if math.isnan(value):
        return Estimate(None)
    return Estimate(value, *found.bounds.get(name, (None, None)))


def _calibration(
    side: str, predicted: str, truth: str, estimates: Mapping[str, Estimate]
) -> Calibration:
    outcome, target = (
        {name: estimates[f"{side}:{kind}:{name}"] for name in CALIBRATION}
        for kind in ("outcome", "target")
    )
    return Calibration(predicted, truth, outcome, target)


def _winner_notes(files: tuple[FileFacts, FileFacts]) -> Iterator[str]:
    """Say which margins have their winners from the input: those agree without being right."""
    for file in files:
        source = SOURCES.get(file.source or "")
        if source is not None and source.needs_preference:
            yield (
                f"{file.name} ({file.estimator}) has its winners from its input: where the other "
                "file follows the same preference, same winner and signed margins say nothing of "
                "it, only the sizes do"
            )


def _notes(numbers: Mapping[str, float], found: Intervals, bootstrap: int) -> Iterator[str]:
    """Say what the numbers and their intervals rest on, where that is not the usual."""
    if any(math.isinf(value) for value in numbers.values()):
        yield (
            "log-loss is inf: a file is certain, p_chosen exactly 1, of a pair of which the truth "
            "is not"
        )
    if any(math.isnan(numbers[name]) for name in AGREEMENT):
        yield "a number shown as - is not defined: there are ties only, or margins of one size"
    if not bootstrap:
        return
    if found.drawn < found.prompts:
        yield (
            f"intervals: each resample drew {count(found.drawn)} of {count(found.prompts)} "
            "prompts, and its spread was scaled to all of them (m out of n bootstrap)"
        )
    if found.prompts < FEW_PROMPTS:
        yield (f"intervals rest on {counted(found.prompts, 'prompt')} and are rough")
    if found.undefined:
        most = max(found.undefined.values())
        yield f"not defined in up to {count(most)} of {counted(bootstrap, 'resample')}, left out"


def _matrix(pairs: Sequence[Pairs]) -> tuple[tuple[float | None, ...], ...]:
    """Return the rank correlations of every two files on the pairs that these two share."""
    found: list[list[float | None]] = [[None] * len(pairs) for _ in pairs]
    for i in range(len(pairs)):
        for j in range(i, len(pairs)):
            common = join(pairs[i], pairs[j])
            value = spearman_signed(common.margin_a, common.margin_b) if len(common) else math.nan
            found[i][j] = found[j][i] = None if math.isnan(value) else value
    return tuple(tuple(row) for row in found)
