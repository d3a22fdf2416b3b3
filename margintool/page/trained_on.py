"""What a reader must know of models that were trained on what they are measured on.

From `trained_on` in evaluation.json and rewardbench.json (mmpo_core/evaluate/trained_on.py). Read
by opening.py, evaluations.py and reward_bench.py.
"""

from collections.abc import Mapping
from typing import Any

from margintool.report.words import counted


def trained_on_warnings(content: Mapping[str, Any]) -> list[str]:
    """Return a warning for each model that was trained on pairs or prompts it is measured on."""
    return [
        f"Warning: {name} was trained on {counted(seen['pairs'], 'pair')} and on "
        f"{counted(seen['prompts'], 'prompt')} of those it is measured on here: its numbers do "
        "not say how it does on new ones."
        for name, seen in _known(content).items()
        if seen and seen["prompts"]
    ]


def trained_on_unknown(content: Mapping[str, Any]) -> list[str]:
    """Return the models of which that is not known, in words; empty if there are none."""
    names = [name for name, seen in _known(content).items() if seen is None]
    if not names:
        return []
    return [
        f"Not known, as the file that they were trained on was not there: whether "
        f"{', '.join(names)} had seen what they are measured on."
    ]


def _known(content: Mapping[str, Any]) -> Mapping[str, Mapping[str, int] | None]:
    """Return model -> what it had seen; files of earlier versions do not say."""
    found: Mapping[str, Any] = (content.get("data") or {}).get("trained_on") or {}
    return found
