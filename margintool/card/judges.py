"""What a dataset card says of the judges behind a pair file. Read by sections.py."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmpo_core.interval_words import interval


def judges(made: Mapping[str, Any]) -> list[str]:
    """Return lines about who judged, how often the order decided, and how far judges agree.

    Args:
        made: the pair file's metadata.
    """
    asked, found = made.get("judging"), made.get("findings")
    lines = list(_asked(asked)) if isinstance(asked, Mapping) else []
    return lines + (list(_found(found)) if isinstance(found, Mapping) else [])


def _asked(asked: Mapping[str, Any]) -> Iterator[str]:
    names = ", ".join(map(str, asked.get("judge_model") or ()))
    yield (
        f"- Judged by {names} (mode {asked.get('mode')}, temperature {asked.get('temperature')}, "
        f"draws {asked.get('samples')}; wording {asked.get('wording')})."
    )


def _found(found: Mapping[str, Any]) -> Iterator[str]:
    orders = found.get("orders")
    if isinstance(orders, Mapping) and orders.get("flip_rate") is not None:
        low, high = orders.get("first_advantage_95") or (None, None)
        between = interval(low, high, "{:+.3g}".format, none="")
        shown = between and f" (95% interval {between})"
        yield (
            f"- Position: of {orders['both_orders']:,} pairs judged in both orders "
            f"{orders['flip_rate']:.1%} have another winner when swapped; being shown first adds "
            f"{orders['first_advantage']:+.3g} points{shown}."
        )
    agreement = found.get("agreement")
    if isinstance(agreement, Mapping) and agreement.get("alpha_interval") is not None:
        yield (
            f"- Agreement of the judges: Krippendorff's alpha {agreement['alpha_interval']:.3f} "
            f"(interval) on {agreement['pairs']:,} pairs."
        )
