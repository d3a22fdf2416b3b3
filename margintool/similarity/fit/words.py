"""What the figures of a fit mean, in plain words. Read by fitting.py; shown and kept in fit.json.

The names of distances in the figures are here as well.
"""

from collections.abc import Mapping
from typing import Any

AFTER, BEFORE, EMBEDDER, LENGTH = "after", "before", "embedder", "length"
LABELS: dict[str, str] = {
    BEFORE: "before fitting",
    EMBEDDER: "base model, as embedder",
    LENGTH: "difference in length",
    AFTER: "after fitting",
}
FEW_PROMPTS = 30


def verdict(figures: Mapping[str, Any], *, fresh_head: bool) -> list[str]:
    """Return what the figures say, a sentence each.

    Args:
        figures: of measuring.figures.
        fresh_head: whether the model before was a head of random weights.
    """
    if figures[AFTER]["spearman"]["value"] is None:
        return ["Fitting did not help: the fitted model gives all test pairs the same distance."]
    if fresh_head:
        said = [
            "Before fitting the cross-encoder had a new head of random weights: that it is better "
            "now shows that it learnt, not that fitting pays."
            if helped(figures, BEFORE)
            else "Fitting did not help: the cross-encoder is not shown to be better than its new "
            f"head of random weights was ({_gain(figures, BEFORE)})."
        ]
        return said + [_against(figures, name) for name in (EMBEDDER, LENGTH) if name in figures]
    if helped(figures, BEFORE):
        return [f"Fitting helped: {_gain(figures, BEFORE)}.", _against(figures, LENGTH)]
    if figures[BEFORE]["gain"]["spearman"]["value"] is None:
        why = "the base model gives all test pairs the same distance, and nothing can be compared"
        return [f"Fitting is not shown to help: {why}.", _against(figures, LENGTH)]
    return [
        f"Fitting did not help: {_gain(figures, BEFORE)}, and the interval is not above 0. Keep "
        "to the base model, or fit on more prompts.",
        _against(figures, LENGTH),
    ]


def helped(figures: Mapping[str, Any], name: str) -> bool:
    """Whether the fitted model's Spearman correlation lies above that of `name`, interval and all.

    It must also be positive itself: distances that fall as margins grow are no margins.
    """
    low, value = figures[name]["gain"]["spearman"]["low"], figures[AFTER]["spearman"]["value"]
    return low is not None and low > 0 and value is not None and value > 0


def notes(
    counts: Mapping[str, Mapping[str, int]], *, left_out: int, fresh_head: bool, unbounded: bool
) -> list[str]:
    """Return what to know when reading the figures.

    Args:
        counts: part of the split -> pairs, prompts, ties.
        left_out: test pairs that some model gave no finite distance.
        fresh_head: whether the model before was a head of random weights.
        unbounded: whether the base cross-encoder's scores had no bounds, and were put through a
            sigmoid.
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
    return said


def estimate_words(estimate: Mapping[str, float | None]) -> str:
    """Write an estimate with its interval."""
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "not defined"
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def _gain(figures: Mapping[str, Any], name: str) -> str:
    gain = figures[name]["gain"]["spearman"]
    return (
        f"on test pairs Spearman with the margin changed by {gain['value']:+.3f} (95% interval "
        f"{gain['low']:+.3f} to {gain['high']:+.3f})"
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
