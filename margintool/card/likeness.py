"""What a dataset card says of the similarity behind a pair file. Read by sections.py."""

from collections.abc import Iterator, Mapping
from typing import Any

from margintool.similarity.findings import SIGN_CHECKS


def likeness(made: Mapping[str, Any]) -> list[str]:
    """Return lines about the model that compared answers, and how far its margins can be trusted.

    Args:
        made: the pair file's metadata.
    """
    model, found = made.get("similarity"), made.get("findings")
    if not isinstance(model, Mapping):
        return []
    lines = [f"- Compared by {model.get('model')} (fingerprint {model.get('fingerprint')})."]
    return lines + (list(_found(found)) if isinstance(found, Mapping) else [])


def _found(found: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(found.get("note"), str):
        yield f"- Confidence: {found['note']}."
    texts, checks = found.get("texts"), found.get("sign_check")
    if isinstance(texts, Mapping) and texts.get("over_limit"):
        yield (
            f"- {texts['over_limit']:,} of {texts['different']:,} different {texts['unit']} are "
            f"longer than the model reads at once: {texts['long']}."
        )
    for name, check in checks.items() if isinstance(checks, Mapping) else ():
        if name in SIGN_CHECKS and check.get("spearman") is not None:
            yield (
                f"- Rank correlation of the margin with {SIGN_CHECKS[name][0]}: "
                f"{check['spearman']:+.3f} ({check['pairs']:,} pairs compared)."
            )
