"""Temperatures of reward models, out of evaluation.json. Read by run.py."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmpo_core.errors import InputError
from mmpo_core.evaluate.models import EvaluatedModel

# What the scale of a model's rewards depends on, as EvaluatedModel.about names it.
_OF_REWARDS = ("kind", "loss", "beta", "reference", "length_normalised", "revision")


def temperatures_of(models: Sequence[EvaluatedModel], files: Sequence[str]) -> list[float]:
    """Return the temperature of each model, as `evaluate` fitted it; 1 without a file.

    Raises:
        InputError: if a file is no evaluation, or a model has no temperature in any of them.
    """
    if not files:
        return [1.0] * len(models)
    known: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for path in map(Path, files):
        for name, found in _evaluated(path).items():
            known[_resolved(name)] = (path, found)
    return [_temperature(model, known, files) for model in models]


def _temperature(
    model: EvaluatedModel,
    known: Mapping[str, tuple[Path, Mapping[str, Any]]],
    files: Sequence[str],
) -> float:
    names = ", ".join(files)
    if _resolved(model.name) not in known:
        raise InputError(
            f"{names}: {model.name} is not evaluated there. Run margintool evaluate {model.name} "
            "on held-out pairs and give its evaluation.json with --calibration"
        )
    path, found = known[_resolved(model.name)]
    _check_same_rewards(model, path, found)
    found = found["temperature"]
    if found["temperature"] is None:
        raise InputError(
            f"{path}: {model.name} has no temperature: {found['reason']}. Leave --calibration out, "
            "or evaluate on other pairs"
        )
    return float(found["temperature"]["value"])


def _check_same_rewards(model: EvaluatedModel, path: Path, found: Mapping[str, Any]) -> None:
    """Raise InputError unless the temperature is of rewards that are made as these are."""
    about = model.about()
    for name in _OF_REWARDS:
        now, then = (_resolved(str(one[name])) for one in (about, found))
        if now != then:
            raise InputError(
                f"{path}: {model.name} was evaluated with {name} {found[name]}, and its rewards "
                f"are made with {about[name]} here: another scale, another temperature. Give the "
                "same to both commands"
            )


def _evaluated(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return model, as it was named -> its temperature and what it was fitted on."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        return {
            report["computed"][label]["model"]: {
                "temperature": one["temperature"],
                **{name: report["computed"][label][name] for name in _OF_REWARDS},
            }
            for label, one in report["models"].items()
        }
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: is not an evaluation.json as margintool evaluate writes it"
        ) from error


def _resolved(name: str) -> str:
    """Return a folder's whole path, so that runs/a and ./runs/a/ are one; other names as given."""
    path = Path(name)
    return str(path.resolve()) if path.exists() else name
