"""What the figures of a fit mean, in plain words. Read by fitting.py; shown and kept in fit.json.

The names of distances in the figures are here as well.
"""

from collections.abc import Mapping
from typing import Any

from margintool.similarity.fit.lengths import TEXTS
from mmpo_core.interval_words import interval, with_interval

AFTER, BEFORE, EMBEDDER, LENGTH = "after", "before", "embedder", "length"
LABELS: dict[str, str] = {
    BEFORE: "before fitting",
    EMBEDDER: "base model, as embedder",
    LENGTH: "difference in length",
    AFTER: "after fitting",
}
FEW_PROMPTS = 30
_UNSHOWN = "Fitting is not shown to help"


def verdict(figures: Mapping[str, Any], *, fresh_head: bool) -> list[str]:
    """Return what the figures say, a sentence each.

    Args:
        figures: of measuring.figures.
        fresh_head: whether the model before was a head of random weights.
    """
    if figures[AFTER]["spearman"]["value"] is None:
        return [f"{_UNSHOWN}: the fitted model gives all test pairs the same distance."]
    against = [_against(figures, name) for name in (EMBEDDER, LENGTH) if name in figures]
    if fresh_head and helped(figures, BEFORE):
        return [
            "Before fitting the cross-encoder had a new head of random weights: that it is better "
            "now shows that it learnt, not that fitting pays.",
            *against,
        ]
    said = _said_of_gain(figures)
    if fresh_head:
        said += " Before, it had a new head of random weights: more prompts are needed."
    elif not helped(figures, BEFORE):
        said += " Keep to the base model, or fit on more prompts."
    return [said, *against]


def _said_of_gain(figures: Mapping[str, Any]) -> str:
    """Say no more than the interval of the gain does."""
    gain, after = figures[BEFORE]["gain"]["spearman"], figures[AFTER]["spearman"]
    if gain["value"] is None:
        return (
            f"{_UNSHOWN}: the base model gives all test pairs the same distance, and nothing can "
            "be compared."
        )
    changed = _gain(figures, BEFORE)
    if gain["high"] < 0:
        return f"Fitting made it worse: {changed}."
    if gain["low"] <= 0:
        return f"{_UNSHOWN}: {changed}, and the interval is not above 0."
    if not helped(figures, BEFORE):
        return (
            f"{_UNSHOWN}: {changed}, but distances still fall as margins grow (Spearman "
            f"{estimate_words(after)})."
        )
    return f"Fitting helped: {changed}."


def helped(figures: Mapping[str, Any], name: str) -> bool:
    """Whether the fitted model's Spearman correlation lies above that of `name`, interval and all.

    It must also be positive itself: distances that fall as margins grow are no margins.
    """
    low, value = figures[name]["gain"]["spearman"]["low"], figures[AFTER]["spearman"]["value"]
    return low is not None and low > 0 and value is not None and value > 0


def notes(
    counts: Mapping[str, Mapping[str, int]],
    *,
    left_out: int,
    fresh_head: bool,
    unbounded: bool,
    cut: Mapping[str, Any],
) -> list[str]:
    """Return what to know when reading the figures.

    Args:
        counts: part of the split -> pairs, prompts, ties.
        left_out: test pairs that some model gave no finite distance.
        fresh_head: whether the model before was a head of random weights.
        unbounded: whether the base cross-encoder's scores had no bounds, and were put through a
            sigmoid.
        cut: of lengths.Cut.
    """
    said = []
    if counts["test"]["prompts"] < FEW_PROMPTS:
        said.append(
            f"the test rests on {counts['test']['prompts']} prompts: its intervals are rough"
        )
    if left_out:
        said.append(f"{left_out:,} test pairs without a finite distance are in no figure")
    if fresh_head:
        said.append("the base model is no cross-encoder: it got a new head of random weights")
    if unbounded:
        said.append(
            "the base cross-encoder's scores have no bounds: before and after, they go through a "
            "sigmoid"
        )
    if cut["over"]:
        said.append(_cut_words(cut))
    return said


def _cut_words(cut: Mapping[str, Any]) -> str:
    share = f"{cut['over']:,} of {cut['of']:,} training {cut['what']} ({cut['share']:.1%})"
    if cut["what"] == TEXTS:
        return (
            f"{share} are longer than the {cut['limit']:,} tokens that the model reads at once: "
            "it was fitted to their beginnings, and is measured, as in `score`, on the mean of "
            "their chunks"
        )
    return (
        f"{share} were cut to what the model reads, {cut['limit']:,} tokens at most; `score` cuts "
        "pairs likewise"
    )


def estimate_words(estimate: Mapping[str, float | None]) -> str:
    """Write an estimate with its interval."""
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "not defined"
    return with_interval(value, low, high, "{:+.3f}".format)


def _gain(figures: Mapping[str, Any], name: str) -> str:
    gain = figures[name]["gain"]["spearman"]
    return (
        f"on test pairs Spearman with the margin changed by {gain['value']:+.3f} (95% interval "
        f"{interval(gain['low'], gain['high'], '{:+.3f}'.format)})"
        if gain["value"] is not None
        else "there is nothing to compare with"
    )


def _against(figures: Mapping[str, Any], name: str) -> str:
    what = {
        EMBEDDER: "the base model's embeddings without any fitting",
        LENGTH: "the answers' difference in length",
    }[name]
    gain = figures[name]["gain"]["spearman"]
    if helped(figures, name):
        return f"It is better than {what} (Spearman {estimate_words(gain)})."
    return f"It is not shown to be better than {what} (Spearman {estimate_words(gain)})."
