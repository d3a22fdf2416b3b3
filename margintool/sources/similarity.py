"""Source `similarity`: the less alike chosen and rejected are, the larger the margin.

For preferences without any strength: which answer is better is the input's word (its scores, or
the preference that it states), and how unlike the two are stands in for how much better.
Source: MMPO, arXiv 2410.03145, where granular feedback is missing. Texts are embedded before the
first pass (margintool/embedding.py); here vectors are only looked up. Read next:
margintool/similarity/distances.py; docs/similarity.md.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import SCORE_REASONS
from margintool.similarity.findings import Distances
from margintool.similarity.options import SimilarityOptions
from margintool.sources.base import Floats, Scored, Settings, Source, first_reason, mark
from margintool.sources.given_columns import Reasons, given_gap, given_scores, scored_gap, spread

# Reasons of layouts that do not hold here: texts of a row with one are compared all the same.
NOT_HELD = (*SCORE_REASONS, "identical_responses")
NO_PREFERENCE = "no_preference"
NOT_FINITE = "embedding_not_finite"


def score_pairs(pairs: pa.Table, settings: Settings) -> Scored:
    """Turn distances of canonical pairs into signed margins, a - b. N rows in, N out.

    The sign is that of the input's own gap, or where it has no scores the stated preference's; a
    tie has margin 0, and so have two answers of the same text.
    """
    assert settings.likeness is not None
    own = usable_reason(pairs)
    usable = np.asarray(own[0].is_null())
    distance = spread(usable, settings.likeness.margins(pairs.filter(pa.array(usable))))
    better = preference(pairs)
    gap = np.where(better == 0, 0.0, better * distance)
    words = "the model gives NaN or a zero vector for one of the answers"
    broken = mark(usable & np.isnan(distance), NOT_FINITE, lambda _: words)
    given = given_scores(pairs)
    reason, detail = first_reason(own, broken)
    return Scored(
        gap=gap,
        score_a=given["given_score_a"].to_numpy(zero_copy_only=False),
        score_b=given["given_score_b"].to_numpy(zero_copy_only=False),
        weight=np.ones(pairs.num_rows),
        reason=reason,
        detail=detail,
        evidence=_evidence(pairs, distance, better),
    )


def usable_reason(pairs: pa.Table) -> Reasons:
    """Return why pairs cannot be compared: their texts, or nobody says which answer is better."""
    reason, detail = pairs.column("reason"), pairs.column("detail")
    ignored = pc.is_in(reason, pa.array(NOT_HELD, pa.string()))
    nothing = pa.scalar(None, pa.string())
    own = (pc.if_else(ignored, nothing, reason), pc.if_else(ignored, nothing, detail))
    words = "neither a preference nor two scores say which answer is better"
    return first_reason(own, mark(np.isnan(preference(pairs)), NO_PREFERENCE, lambda _: words))


def preference(pairs: pa.Table) -> Floats:
    """Return (N,) 1 where a is better, -1 where b is, 0 for a tie; NaN where nothing says so."""
    return np.sign(given_gap(pairs))


def _evidence(pairs: pa.Table, distance: Floats, better: Floats) -> Distances:
    a, b = (
        pc.utf8_length(pairs.column(f"response_{side}")).to_numpy().astype(np.float64)
        for side in "ab"
    )
    return Distances(distance, a - b, better, scored_gap(pairs))


SIMILARITY = Source(
    name="similarity",
    about="how unlike the two answers of a given preference are, by a sentence-embedding model",
    default_input="Anthropic/hh-rlhf",
    margins={
        "cosine": "1 - cosine of the embeddings of chosen and rejected",
        "euclidean": "distance of the embeddings of chosen and rejected",
        "cross-encoder": "1 - similarity of chosen and rejected by a cross-encoder",
    },
    unit={
        "cosine": "1 - cosine, from 0 to 2",
        "euclidean": "the embedding's own unit",
        "cross-encoder": "1 - similarity, from 0 to 1",
    },
    max_pairs_per_prompt=0,
    score_pairs=score_pairs,
    needs_scores=False,
    needs_preference=True,
    options=SimilarityOptions,
    margin_option="metric",
    bounds={"cosine": (0.0, 2.0), "cross-encoder": (0.0, 1.0)},
)
