"""Source `gpt4`: margins from the verdicts of LLM judges, which the journal holds by now.

`single` and `aspects` rate each answer by itself, `pair` compares two in both orders. Judges are
asked before the first pass (margintool/judging.py); here their verdicts are only looked up.
How judges are asked and read: docs/judge.md; dataset card: data_cards/own-preferences.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import REFERENCE, REFERENCE_B, SCORE_REASONS
from margintool.findings import Evidence
from margintool.judge.item import ONE_SIDE, REASONS, Item
from margintool.judge.options import JudgeOptions
from margintool.sources.base import Floats, Rated, Scored, Settings, Source, first_reason, mark
from margintool.sources.given_columns import (
    Mask,
    Problem,
    Reasons,
    given_gap,
    given_scores,
    score_lists,
    spread,
    spread_problems,
    spread_texts,
)

Texts = npt.NDArray[np.object_]
PAIR = "pair"
ROUNDING = 1e-9  # of a gap: means of the same numbers in another order differ by less


def rate(responses: pa.Table, settings: Settings) -> Rated:
    """Return one rating per canonical response. N rows in, N out.

    The mean over all judges: an answer that one of them did not rate is rejected, as it could
    not be ranked fairly among those that all did. In `pair` mode answers have no rating until
    they are compared: all are 0.
    """
    own = usable_reason(responses)
    usable = np.asarray(own[0].is_null())
    if settings.margin == PAIR:
        return Rated(np.where(usable, 0.0, np.nan), *own)
    from margintool.judge.margins import ratings

    assert settings.verdicts is not None
    found = ratings(settings.verdicts, items(responses.filter(pa.array(usable)), ("response",)))
    unrated = np.logical_or.reduce(np.isnan(found.by_judge), axis=1)
    problems = _where(unrated, found.problems)
    rating = found.by_judge.mean(axis=1)  # NaN where a judge has none
    return Rated(spread(usable, rating), *first_reason(own, spread_problems(usable, problems)))


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
    score_a, score_b = judged.scores
    missing = np.isnan(score_a)
    reason, detail = first_reason(own, spread_problems(usable, _where(missing, judged.problems)))
    gap = score_a - score_b
    gap[np.abs(gap) < ROUNDING] = 0.0
    return Scored(
        gap=spread(usable, gap),
        score_a=spread(usable, score_a),
        score_b=spread(usable, score_b),
        weight=np.maximum(np.nan_to_num(spread(usable, judged.weight), nan=1.0), 1.0),
        reason=reason,
        detail=detail,
        extra=pa.table({**given_scores(pairs), **_columns(judged, usable)}),
        evidence=judged.evidence(gap, given_gap(pairs)[usable]),
    )


@dataclass(frozen=True)
class _Judged:
    """What judges said of N usable pairs.

    Args:
        by_judge: (2, N, J) score of a and of b by each judge, NaN for none.
        weight: (N,) verdicts behind the pair.
        read_from: (N, J) how each judge's verdicts were read.
        problems: N (reason, detail) of a verdict that is missing, or None.
        gaps: (2, N, J) in `pair` mode, gaps for a shown first and shown second; else None.
    """

    by_judge: Floats
    weight: Floats
    read_from: Texts
    problems: Sequence[Problem | None]
    gaps: Floats | None = None

    @property
    def scores(self) -> tuple[Floats, Floats]:
        """(N,) scores of a and of b, means over the judges that have both."""
        from margintool.judge.margins import side_means

        return side_means(*self.by_judge)

    def read_by_those(self) -> list[str | None]:
        """Return how the verdicts of the judges that have both sides were read."""
        a, b = np.isnan(self.by_judge)
        both = ~(a | b)
        return [_joined(kinds[row]) for kinds, row in zip(self.read_from, both, strict=True)]

    def evidence(self, gap: Floats, given: Floats) -> Evidence:
        """Return what findings are counted from, with the (N,) gaps judged and given."""
        a, b = self.by_judge
        gaps = np.empty((2, 0)) if self.gaps is None else self.gaps.reshape(2, -1)
        first, second = gaps[0], gaps[1]
        return Evidence(gap, a - b, first, second, given, self.read_by_those())


def _rated(pairs: pa.Table, settings: Settings) -> _Judged:
    """Return the ratings of both answers of N pairs."""
    from margintool.judge.margins import evidence, ratings

    assert settings.verdicts is not None
    a, b = (
        ratings(settings.verdicts, items(pairs, (side,))) for side in ("response_a", "response_b")
    )
    one_side = (ONE_SIDE, REASONS[ONE_SIDE])
    read = (a.verdicts.sum(axis=1).tolist(), b.verdicts.sum(axis=1).tolist())
    problems = [
        one_side if read_a and read_b else of_b if read_a else of_a
        for of_a, of_b, read_a, read_b in zip(a.problems, b.problems, *read, strict=True)
    ]
    return _Judged(
        by_judge=np.stack([a.by_judge, b.by_judge]),
        weight=evidence(a.verdicts, b.verdicts).sum(axis=1),
        read_from=_both(a.read_from, b.read_from),
        problems=problems,
    )


def _compared(pairs: pa.Table, settings: Settings) -> _Judged:
    """Return the comparisons of N pairs."""
    from margintool.judge.margins import comparisons, evidence

    assert settings.verdicts is not None
    found = comparisons(settings.verdicts, items(pairs, ("response_a", "response_b")))
    return _Judged(
        by_judge=np.stack([found.points_a, found.points_b]),
        weight=2 * evidence(found.verdicts[..., 0], found.verdicts[..., 1]).sum(axis=1),
        read_from=found.read_from,
        problems=found.problems,
        gaps=np.stack([found.gap_first, found.gap_second]),
    )


def items(table: pa.Table, answers: tuple[str, ...]) -> list[Item]:
    """Return N canonical rows as what a judge is shown, with the answers of these columns."""
    names = ["prompt", "history", *answers]
    rows = zip(*(table.column(name).to_pylist() for name in names), strict=True)
    return [
        Item(prompt, tuple(history), tuple(texts), reference)
        for (prompt, history, *texts), reference in zip(
            rows, _references(table, answers), strict=True
        )
    ]


def _references(table: pa.Table, answers: tuple[str, ...]) -> list[str | None]:
    """Return the reference answers to judge by: b's own where b is judged by itself."""
    own = REFERENCE_B if answers == ("response_b",) else REFERENCE
    name = own if own in table.column_names else REFERENCE
    found: list[str | None] = (
        table.column(name).to_pylist() if name in table.column_names else [None] * table.num_rows
    )
    return found


def usable_reason(table: pa.Table) -> Reasons:
    """Return why rows cannot be judged: their own reasons, but for those about their scores.

    Pairs of one text, as two responses with references of their own may be, are no pairs either.
    """
    reason, detail = table.column("reason"), table.column("detail")
    about_scores = pc.is_in(reason, pa.array(SCORE_REASONS, pa.string()))
    nothing = pa.scalar(None, pa.string())
    own = (pc.if_else(about_scores, nothing, reason), pc.if_else(about_scores, nothing, detail))
    if "response_a" not in table.column_names:
        return first_reason(own)
    same = pc.fill_null(pc.equal(table.column("response_a"), table.column("response_b")), False)
    words = "both answers are the same text"
    return first_reason(own, mark(np.asarray(same), "identical_responses", lambda _: words))


def _columns(judged: _Judged, usable: Mask) -> dict[str, pa.Array]:
    """Return what the pair file says of the judges, one row for each of all pairs."""
    columns = {
        f"judge_scores_{side}": score_lists(spread(usable, scores))
        for side, scores in zip("ab", judged.by_judge, strict=True)
    }
    if judged.gaps is not None:
        first, second = judged.gaps
        flipped = np.logical_or.reduce(first * second < 0, axis=1)
        marks = spread(usable, flipped.astype(np.float64))
        columns["judge_flipped"] = pa.array(marks, from_pandas=True).cast(pa.bool_())
    columns["judge_read_from"] = spread_texts(usable, judged.read_by_those())
    return columns


def _where(missing: Mask, problems: Sequence[Problem | None]) -> list[Problem | None]:
    """Return the problems of the rows that are missing a score; None for the others."""
    return [one if lacks else None for one, lacks in zip(problems, missing, strict=True)]


def _both(a: Texts, b: Texts) -> Texts:
    """Return (N, J) how the verdicts on either side were read."""
    joined = np.full(a.shape, None, dtype=object)
    for place in np.ndindex(a.shape):
        joined[place] = _joined(str(side[place]) for side in (a, b) if side[place] is not None)
    return joined


def _joined(kinds: Iterable[str | None]) -> str | None:
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
    options=JudgeOptions,
    margin_option="mode",
    columns={
        "given_score_chosen": "the input's own score of chosen; null where it has none",
        "given_score_rejected": "the same for rejected",
        "judge_scores_chosen": "score of chosen by each judge, in the order of `judge_model`; "
        "null where a judge has none",
        "judge_scores_rejected": "the same for rejected",
        "judge_read_from": "how the verdicts were read: json, text or logprobs, or several",
        "judge_flipped": "whether the two orders of some judge name different winners",
    },
)
