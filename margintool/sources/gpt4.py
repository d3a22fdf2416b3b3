"""Source `gpt4`: margins from the verdicts of LLM judges, which the journal holds by now.

`single` and `aspects` rate each answer by itself, `pair` compares two in both orders. Judges are
asked before the first pass (margintool/judging.py); here their verdicts are only looked up.
How judges are asked and read: docs/judge.md; dataset card: data_cards/own-preferences.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import SCORE_REASONS
from margintool.findings import Evidence
from margintool.judge.item import REASONS, Item
from margintool.numbers import to_numbers
from margintool.sources.base import Floats, Rated, Scored, Settings, Source, first_reason

Mask = npt.NDArray[np.bool_]
Reasons = tuple[pa.Array, pa.Array]
PAIR = "pair"
ONE_SIDE = "judge_one_side"


def rate(responses: pa.Table, settings: Settings) -> Rated:
    """Return one rating per canonical response. N rows in, N out.

    In `pair` mode answers have no rating until they are compared: all are 0.
    """
    own = usable_reason(responses)
    usable = np.asarray(own[0].is_null())
    if settings.margin == PAIR:
        return Rated(np.where(usable, 0.0, np.nan), *own)
    from margintool.judge.margins import mean, ratings

    assert settings.verdicts is not None
    found = ratings(settings.verdicts, items(responses.filter(pa.array(usable)), ("response",)))
    rating = _spread(usable, mean(found.by_judge, axis=1))
    return Rated(rating, *first_reason(own, _spread_words(usable, found.reason, found.detail)))


def score_pairs(pairs: pa.Table, settings: Settings) -> Scored:
    """Turn verdicts on canonical pairs into signed margins, a - b. N rows in, N out.

    The scores are means over those judges that have a verdict on both sides (or in both orders),
    and the gap is their difference; the weight is the number of verdicts behind it.
    """
    own = usable_reason(pairs)
    usable = np.asarray(own[0].is_null())
    judged = (_compared if settings.margin == PAIR else _rated)(
        pairs.filter(pa.array(usable)), settings
    )
    reason, detail = first_reason(own, _spread_words(usable, judged.reason, judged.detail))
    good = np.asarray(reason.is_null())
    score_a, score_b = (_spread(usable, side) for side in (judged.score_a, judged.score_b))
    return Scored(
        gap=np.where(good, score_a - score_b, np.nan),
        score_a=score_a,
        score_b=score_b,
        weight=np.maximum(np.nan_to_num(_spread(usable, judged.weight), nan=1.0), 1.0),
        reason=reason,
        detail=detail,
        extra=pa.table({**_given(pairs), **_columns(judged, usable)}),
        evidence=Evidence(
            judged.by_judge_a - judged.by_judge_b,
            judged.gap_first,
            judged.gap_second,
            judged.read_from,
        ),
    )


@dataclass(frozen=True)
class _Judged:
    """What judges said of N usable pairs.

    Args:
        score_a, score_b: (N,) means over judges with a verdict on both sides.
        by_judge_a, by_judge_b: (N, J) score of each judge.
        weight: (N,) verdicts behind the pair.
        gap_first, gap_second: (N * J,) in `pair` mode, else empty.
        read_from, reason, detail: N texts or None.
        flipped: (N,) in `pair` mode, whether some judge's orders name different winners.
    """

    score_a: Floats
    score_b: Floats
    by_judge_a: Floats
    by_judge_b: Floats
    weight: Floats
    gap_first: Floats
    gap_second: Floats
    read_from: Sequence[str | None]
    reason: Sequence[str | None]
    detail: Sequence[str | None]
    flipped: Mask | None = None


def _rated(pairs: pa.Table, settings: Settings) -> _Judged:
    """Return the ratings of both answers of N pairs."""
    from margintool.judge.margins import ratings, side_means

    assert settings.verdicts is not None
    a, b = (
        ratings(settings.verdicts, items(pairs, (side,))) for side in ("response_a", "response_b")
    )
    score_a, score_b = side_means(a.by_judge, b.by_judge)
    none = np.empty(0)
    return _Judged(
        score_a,
        score_b,
        a.by_judge,
        b.by_judge,
        2 * a.verdicts * b.verdicts / np.maximum(a.verdicts + b.verdicts, 1),
        none,
        none,
        [_joined(*both) for both in zip(a.read_from, b.read_from, strict=True)],
        *_reasons_of_both(a, b, np.isnan(score_a)),
    )


def _reasons_of_both(a: Any, b: Any, missing: Mask) -> tuple[list[str | None], list[str | None]]:
    """Return reason and detail where no judge has a rating of both answers."""
    reason, detail = list(a.reason), list(a.detail)
    for row in np.flatnonzero(missing).tolist():
        if reason[row] is None:
            reason[row] = b.reason[row] or ONE_SIDE
            detail[row] = b.detail[row] or REASONS[ONE_SIDE]
    return reason, detail


def _compared(pairs: pa.Table, settings: Settings) -> _Judged:
    """Return the comparisons of N pairs."""
    from margintool.judge.margins import comparisons, side_means

    assert settings.verdicts is not None
    found = comparisons(settings.verdicts, items(pairs, ("response_a", "response_b")))
    score_a, score_b = side_means(found.points_a, found.points_b)
    return _Judged(
        score_a,
        score_b,
        found.points_a,
        found.points_b,
        found.verdicts,
        found.gap_first.ravel(),
        found.gap_second.ravel(),
        found.read_from,
        found.reason,
        found.detail,
        np.logical_or.reduce(found.gap_first * found.gap_second < 0, axis=1),
    )


def items(table: pa.Table, answers: tuple[str, ...]) -> list[Item]:
    """Return N canonical rows as what a judge is shown, with the answers of these columns."""
    names = ["prompt", "history", *answers]
    reference = table.column("reference") if "reference" in table.column_names else None
    rows = zip(*(table.column(name).to_pylist() for name in names), strict=True)
    references = [None] * table.num_rows if reference is None else reference.to_pylist()
    return [
        Item(prompt, tuple(history), tuple(texts), reference)
        for (prompt, history, *texts), reference in zip(rows, references, strict=True)
    ]


def usable_reason(table: pa.Table) -> Reasons:
    """Return why rows cannot be judged: their own reasons, but for those about their scores."""
    reason, detail = table.column("reason"), table.column("detail")
    about_scores = pc.is_in(reason, pa.array(SCORE_REASONS, pa.string()))
    nothing = pa.scalar(None, pa.string())
    return first_reason(
        (pc.if_else(about_scores, nothing, reason), pc.if_else(about_scores, nothing, detail))
    )


def _given(pairs: pa.Table) -> dict[str, pa.Array]:
    """Return the input's own scores as columns of the pair file, null where they are no numbers."""
    return {
        f"given_{name}": pa.array(to_numbers(pairs.column(name))[0], from_pandas=True)
        for name in ("score_a", "score_b")
    }


def _columns(judged: _Judged, usable: Mask) -> dict[str, pa.Array]:
    """Return what the pair file says of the judges, one row for each of all pairs."""
    columns = {
        f"judge_scores_{side}": _lists(_spread(usable, scores))
        for side, scores in (("a", judged.by_judge_a), ("b", judged.by_judge_b))
    }
    if judged.flipped is not None:
        flipped = _spread(usable, judged.flipped.astype(np.float64))
        columns["judge_flipped"] = pa.array(flipped, from_pandas=True).cast(pa.bool_())
    columns["judge_read_from"] = _spread_words(usable, judged.read_from)[0]
    return columns


def _lists(values: Floats) -> pa.Array:
    """Return (N, J) floats as N lists of J, null for NaN."""
    flat = pa.array(values.ravel(), pa.float64(), from_pandas=True)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _spread(usable: Mask, values: Floats) -> Floats:
    """Return values of the usable rows, (M, ...), in (N, ...) places; NaN elsewhere."""
    all_rows = np.full((len(usable), *values.shape[1:]), np.nan)
    all_rows[usable] = values
    return all_rows


def _spread_words(usable: Mask, *columns: Sequence[str | None]) -> Reasons:
    """Return texts of the usable rows in their places; null elsewhere."""
    spread = []
    for column in columns:
        words = np.full(len(usable), None, dtype=object)
        words[usable] = np.array(column, dtype=object)
        spread.append(pa.array(words, pa.string()))
    return tuple(spread)


def _joined(*kinds: str | None) -> str | None:
    parts = {part for kind in kinds if kind for part in kind.split("+")}
    return "+".join(sorted(parts)) or None


GPT4 = Source(
    name="gpt4",
    about="verdicts of LLM judges, through the OpenAI API or a server that speaks it",
    default_input="Anthropic/hh-rlhf",
    margins={
        "single": "rating of chosen - rating of rejected, each judged by itself; means over "
        "draws and judges",
        "pair": "mean over both orders of the signed strength: much better 3, better 2, slightly "
        "better 1, tie 0",
        "aspects": "mean of the aspect ratings of chosen - the same of rejected",
    },
    unit={"single": "judge points", "pair": "strength points", "aspects": "judge points"},
    max_pairs_per_prompt=0,
    score_pairs=score_pairs,
    rate=rate,
    needs_scores=False,
    judged=True,
)
