"""Short names of folders and models that stand side by side. No heavy imports.

Read by evaluate/models.py, the experiments and the page.
"""

from collections.abc import Sequence
from pathlib import Path


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return name -> the end of its path, with as many folders as tell it from the others.

    Folders are joined by `-`, so that a name can be a folder's: runs/a/policy and runs/b/policy are
    a-policy and b-policy. Names that are the same even so get numbers.
    """
    parts = {name: _named_parts(name) for name in names}
    labels: dict[str, str] = {}
    for name in names:
        own = parts[name]
        others = [parts[other] for other in names if other != name]
        length = next(
            (n for n in range(1, len(own)) if all(own[-n:] != one[-n:] for one in others)),
            len(own),
        )
        label, number = "-".join(own[-length:]), 2
        while label in labels.values():
            label = f"{'-'.join(own[-length:])}-{number}"
            number += 1
        labels[name] = label
    return labels


def _named_parts(name: str) -> list[str]:
    parts = [part for part in Path(name).parts if part not in ("/", ".", "..")]
    return parts or [Path(name).resolve().name or "model"]
