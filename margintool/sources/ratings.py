"""Source `ratings`: margins from ratings that people or models gave, in rating points.

`overall` is the gap between overall ratings, `mean` between means of aspect ratings.
Dataset cards: data_cards/openbmb-ultrafeedback.md, helpsteer2.md, helpsteer3.md and others.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import SCORE_CONFLICT
from margintool.numbers import to_numbers
from margintool.sources.base import Floats, Rated, Scored, Settings, Source, first_reason
from margintool.sources.reading import Reasons, out_of_scale, unreadable

Mask = npt.NDArray[np.bool_]


def rate(responses: pa.Table, settings: Settings) -> Rated:
    """Return one rating per canonical response. N rows in, N out."""
    if settings.margin == "overall":
        rating, problem = _read("rating", responses.column("rating"), settings)
        problems = [problem]
    else:
        aspects = responses.column("aspects").combine_chunks()
        read = [
            _read(f"{name} rating", _aspect(aspects, name), settings) for name in settings.aspects
        ]
        rating = np.mean(np.stack([values for values, _ in read]), axis=0)
        problems = [problem for _, problem in read]
    own = responses.column("reason")
    if settings.margin != "overall":
        # An overall rating that contradicts the aspects says nothing against the aspects.
        own = pc.if_else(pc.equal(own, SCORE_CONFLICT), pa.scalar(None, pa.string()), own)
    reason, detail = first_reason((own, responses.column("detail")), *problems)
    return Rated(np.where(reason.is_null(), rating, np.nan), reason, detail)


def _aspect(aspects: pa.StructArray, name: str) -> pa.Array:
    """Return an aspect's ratings; nulls where a batch has none, as records of JSON may."""
    if aspects.type.get_field_index(name) < 0:
        return pa.nulls(len(aspects), pa.string())
    return pc.struct_field(aspects, name)


def _read(
    what: str, column: pa.Array | pa.ChunkedArray, settings: Settings, skip: Mask | None = None
) -> tuple[Floats, Reasons]:
    """Return N values and what is wrong with them; rows where `skip` is set are not read."""
    values, problems = to_numbers(column)
    if skip is not None:
        values = np.where(skip, np.nan, values)
        problems = pc.if_else(pa.array(skip), pa.scalar(None, pa.string()), problems)
    return values, first_reason(
        unreadable("rating", what, column, problems), out_of_scale(what, values, settings.scale)
    )


def score_pairs(pairs: pa.Table, settings: Settings) -> Scored:
    """Turn the ratings of canonical pairs into signed margins, a - b. N rows in, N out.

    Where a row has only a gap (helpsteer3's overall_preference) that gap is the margin, and its
    scores stay null. The weight is the number of ratings behind a pair, 1 where it is not known.
    """
    given_gap = pairs.column("gap").to_numpy()
    has_gap = ~np.isnan(given_gap)
    score_a, problem_a = _read("first answer's rating", pairs["score_a"], settings, has_gap)
    score_b, problem_b = _read("second answer's rating", pairs["score_b"], settings, has_gap)
    reason, detail = first_reason(
        (pairs.column("reason"), pairs.column("detail")),
        out_of_scale("preference", given_gap, settings.scale),
        problem_a,
        problem_b,
    )
    with np.errstate(over="ignore"):  # an infinite gap is rejected by name
        gap = np.where(has_gap, given_gap, score_a - score_b)
    gap = np.where(reason.is_null(), gap, np.nan)
    weight = np.nan_to_num(pairs.column("votes").to_numpy(), nan=1.0)
    return Scored(gap, score_a, score_b, weight, reason, detail)


RATINGS = Source(
    name="ratings",
    about="ratings that people or models gave to responses",
    default_input="openbmb/UltraFeedback",
    margins={
        "overall": "overall rating of chosen - overall rating of rejected",
        "mean": "mean of the aspect ratings of chosen - the same of rejected",
    },
    unit={"overall": "rating points", "mean": "rating points"},
    max_pairs_per_prompt=0,
    score_pairs=score_pairs,
    rate=rate,
)
