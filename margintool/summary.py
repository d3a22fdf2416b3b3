"""What a run of `score` tells: counts, the summary it returns, the metadata of its file."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from margintool.findings import Findings
from margintool.first_pass import FirstPass
from margintool.fitting import Fitted
from margintool.judge.options import ASKED, JudgeOptions
from margintool.plan import Plan
from margintool.select import KEPT, VERDICTS, Verdicts
from margintool.similarity.options import COMPARED, SimilarityOptions
from mmpo_core.errors import InputError, UnfinishedError
from mmpo_core.schema import SCHEMA_VERSION

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class Counts:
    """How many of what.

    Args:
        read: input rows.
        kept: pairs written.
        ties: kept pairs with margin 0.
        flipped: kept pairs whose given preference contradicted the scores.
        rejected: rows and pairs not used, by reason.
    """

    read: int
    kept: int
    ties: int
    flipped: int
    rejected: dict[str, int]


@dataclass(frozen=True)
class ScoreSummary(Counts):
    """The outcome of one `score` run.

    Args:
        out: the pair file.
        rejects: the rejects file, or None if nothing was rejected.
        source, layout, margin, normalizer: what made the margins.
        margin_quantiles: quantile -> margin_raw.
        gamma: slope of the targets; math.inf for hard labels.
        mean_target: mean p_chosen.
        findings: what else was found, as (label, text): position bias, agreement of judges.
    """

    out: Path
    rejects: Path | None
    source: str
    layout: str
    margin: str
    normalizer: str
    margin_quantiles: dict[str, float]
    gamma: float
    mean_target: float
    findings: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        paths = {"out": str(self.out), "rejects": str(self.rejects) if self.rejects else None}
        return {**asdict(self), **paths}


def count(found: FirstPass, verdicts: Verdicts, rejected: Mapping[str, int]) -> Counts:
    """Count a run after selection. rejected: what the first pass rejected, by reason."""
    kept = verdicts == KEPT
    dropped = np.bincount(verdicts, minlength=len(VERDICTS)).tolist()
    reasons = Counter({VERDICTS[code]: n for code, n in enumerate(dropped) if code != KEPT})
    return Counts(
        read=found.rows_read,
        kept=int(kept.sum()),
        ties=int((found.margin_raw[kept] == 0).sum()),
        flipped=int(found.flipped[kept].sum()),
        rejected=dict(sorted((Counter(rejected) + reasons).items())),
    )


def summarize(
    plan: Plan, counts: Counts, fitted: Fitted, margins: npt.NDArray[np.float64]
) -> ScoreSummary:
    """Return the summary of a run that wrote (N,) margins."""
    values = np.quantile(margins, QUANTILES).tolist()
    return ScoreSummary(
        **vars(counts),
        out=plan.out,
        rejects=plan.rejects if counts.rejected else None,
        source=plan.source.name,
        layout=plan.layout.name,
        margin=plan.settings.margin,
        normalizer=fitted.normalizer.name,
        margin_quantiles={f"{q:g}": value for q, value in zip(QUANTILES, values, strict=True)},
        gamma=fitted.gamma,
        mean_target=fitted.mean_target,
        findings=tuple(plan.findings.lines()) if plan.findings is not None else (),
    )


def metadata(plan: Plan, counts: Counts, fitted: Fitted) -> dict[str, Any]:
    """Return what the pair file says about how it was made. Nothing in it depends on the time."""
    from margintool import __version__

    likeness = plan.settings.likeness
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "source": plan.source.name,
        "layout": plan.layout.name,
        "margin": plan.settings.margin,
        "unit": plan.source.unit[plan.settings.margin],
        "options": _options(plan),
        "input": {"description": plan.input.description, "fingerprint": plan.input.fingerprint()},
        "counts": asdict(counts),
        **({} if plan.judging is None else {"judging": plan.judging.about()}),
        **({} if likeness is None else {"similarity": likeness.about()}),
        **({} if plan.findings is None else {"findings": plan.findings.as_dict()}),
        **fitted.as_dict(),
    }


# Where the file goes is no part of what it holds: the same pairs, the same bytes.
NOT_ABOUT_PAIRS = ("out", "overwrite", "rejects")
# Of the options that one source reads, what the pairs depend on.
ABOUT_PAIRS: dict[type, tuple[str, ...]] = {
    JudgeOptions: ASKED,
    SimilarityOptions: COMPARED,
}


def _options(plan: Plan) -> dict[str, Any]:
    """Return the options that the pairs depend on: of those of one source, only this source's."""
    left_out = {*NOT_ABOUT_PAIRS}
    for kind, about in ABOUT_PAIRS.items():
        left_out |= {field.name for field in fields(kind)}
        if kind is plan.source.options:
            left_out -= set(about)
    kept = {k: v for k, v in asdict(plan.options).items() if k not in left_out}
    if plan.layout.kind == "responses":
        kept["pairing"] = plan.pairing
    plain: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return plain


def nothing_left(plan: Plan, counts: Counts) -> InputError | UnfinishedError:
    """Return the error for an input that gave no pair."""
    if not counts.read:
        return InputError(f"{plan.input.description}: no rows")
    words = (
        f"{plan.input.description}: no usable pair in {counts.read} rows ({_reasons(counts)}), "
        f"read with layout {plan.layout.name}. Each is listed with its reason in {plan.rejects}"
    )
    run = plan.findings.run if isinstance(plan.findings, Findings) else None
    if run is not None and run.unfinished is not None:
        return UnfinishedError(f"{words}. {run.unfinished}", run.status)
    return InputError(words)


def no_gamma(plan: Plan, counts: Counts, error: InputError) -> InputError:
    """Return the error for margins that no gamma fits, with what was left out of them."""
    if not counts.rejected:
        return error
    return InputError(
        f"{error}. Rejected before that: {_reasons(counts)}, listed in {plan.rejects}"
    )


def _reasons(counts: Counts) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in counts.rejected.items())
