"""RewardBench results as text for a terminal: a table for each model, published scores beside."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmpo_core.evaluate.rewardbench.sections import PRIOR, SECTIONS
from mmpo_core.interval_words import NONE, interval, with_interval

_AVERAGE = "average"


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a report, the content of rewardbench.json. Scores are in percent."""
    published: Mapping[str, Mapping[str, float]] = report["published"]["scores"]
    for label, found in report["models"].items():
        yield f"RewardBench: {label} ({_how(report['computed'][label])})"
        yield from _table(found, published)
        yield from _notes(found)
        yield ""
    yield from _of_all(report)


def _how(about: Mapping[str, Any]) -> str:
    if about["kind"] != "policy":
        return "rewards"
    against = f"against {about['reference']}" if about["reference"] else "without reference"
    return f"implicit reward {against}, loss {about['loss']}, beta {about['beta']:g}"


def _table(found: Mapping[str, Any], published: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    numbers = range(1, len(published) + 1)
    yield (
        f"  {'':<10} {'score':>6}  {'95% interval':^13} {'examples':>8}  "
        + " ".join(f"{f'[{number}]':>5}" for number in numbers)
    ).rstrip()
    for name in (*SECTIONS, _AVERAGE):
        one = found[_AVERAGE] if name == _AVERAGE else found["sections"].get(name)
        beside = " ".join(f"{figures[name]:>5.1f}" for figures in published.values())
        counted = found["sections"].values() if name == _AVERAGE else [one] if one else []
        yield (
            f"  {name:<10} {_percent(one and one['value']):>6}  {_interval(one):^13} "
            f"{sum(section['examples'] for section in counted):>8}  {beside}"
        )


def _notes(found: Mapping[str, Any]) -> Iterator[str]:
    absent = [name for name in SECTIONS if name not in found["sections"]]
    if absent:
        yield f"  The average is over the sections that are there; absent: {', '.join(absent)}."
    parts = [one for one in found["missing"] if one not in _subsets(absent)]
    if parts:
        yield f"  Subsets absent from their sections: {', '.join(parts)}."
    if found["ties"]:
        half = found["ties_half"][_AVERAGE]
        yield (
            f"  {found['ties']} ties, counted as misses, as RewardBench counts them; with one half "
            f"for each the average is {_percent(half)}."
        )
    calibration = found["calibration"]
    if calibration is not None:
        error, debiased = calibration["ece"], calibration["l2_debiased"]["value"]
        written = with_interval(error["value"], error["low"], error["high"], "{:.3f}".format)
        yield f"  Expected calibration error on {PRIOR}: {written}. Chance raises"
        yield f"  it where pairs are few; the root mean square without that is {debiased:.3f}."


def _of_all(report: Mapping[str, Any]) -> Iterator[str]:
    for label, seen in report["data"]["trained_on"].items():
        if seen and seen["prompts"]:
            yield (
                f"{label} was trained on {seen['pairs']} of these examples, and on "
                f"{seen['prompts']} of their prompts."
            )
    left_out = report["data"]["left_out"]
    if left_out:
        parts = ", ".join(f"{count} of {subset}" for subset, count in left_out.items())
        yield f"Examples left out, for the models cannot use them: {parts}."
    names = "; ".join(
        f"[{number}] {name}" for number, name in enumerate(report["published"]["scores"], start=1)
    )
    yield f"Published, for orientation: {report['published']['source']}:"
    yield f"  {names}"


def _subsets(sections: list[str]) -> set[str]:
    return {subset for name in sections for subset in SECTIONS[name].counts}


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f}"


def _interval(one: Mapping[str, Any] | None) -> str:
    return NONE if one is None else interval(one["low"], one["high"], _percent)
