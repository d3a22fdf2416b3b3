"""From options to a checked plan of what judges are asked. Read next: panel.py."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from margintool.judge.asking.asker import effective_temperature
from margintool.judge.asking.prompts import Wording, load_wording
from margintool.judge.options import ASKED, JudgeOptions
from mmpo_core.errors import InputError
from mmpo_core.typed_values import typed

# option -> least value
_LEAST: dict[str, float] = {
    "samples": 1,
    "max_tokens": 1,
    "concurrency": 1,
    "rpm": 1,
    "tpm": 1,
    "retries": 0,
    "temperature": 0,
    "max_cost": 0,
}


@dataclass(frozen=True)
class Judging:
    """What is asked of whom, checked.

    Args:
        options: the options as given, in their types.
        wording: the question: task, template and rubric.
        temperature: the sampling temperature that requests name.
        journal: where requests and replies are kept.
    """

    options: JudgeOptions
    wording: Wording
    temperature: float
    journal: Path

    @property
    def models(self) -> tuple[str, ...]:
        """The judges."""
        return tuple(self.options.judge_model)

    @property
    def scale(self) -> tuple[float, float]:
        """Lowest and highest score of an answer: its rating, or the points of its wins."""
        low, high = self.wording.task.scale
        return (0.0, high) if self.options.mode == "pair" else (low, high)

    def about(self) -> dict[str, Any]:
        """Return what verdicts depend on, for a file's metadata: no address, no key, no path."""
        asked = {name: _plain(getattr(self.options, name)) for name in ASKED}
        return {**asked, "temperature": self.temperature, "wording": self.wording.fingerprint()}


def make_judging(
    options: JudgeOptions,
    *,
    journal: Path | None,
    scale: tuple[float, float] | None = None,
    aspects: tuple[str, ...] = (),
) -> Judging:
    """Check the options and read the template and the rubric.

    Args:
        options: as given.
        journal: where the journal is if the options do not say.
        scale: --scale, if given.
        aspects: --aspects, if given.

    Raises:
        InputError: for a missing judge, a value out of range, a template or rubric that cannot
            be used.
    """
    options = checked_options(options)
    _check_models(tuple(options.judge_model))
    path = options.journal or journal
    if path is None or not Path(path).name:
        raise InputError("name the journal, as pairs.journal.sqlite")
    wording = load_wording(
        options.mode,
        template=_path(options.template),
        rubric=_path(options.rubric),
        scale=scale,
        aspects=aspects,
    )
    if options.reference is not None and not wording.uses("reference"):
        raise InputError(
            f"--reference {options.reference} would have no effect: {wording.name} does not use "
            "'reference'"
        )
    return Judging(
        options=options,
        wording=wording,
        temperature=effective_temperature(options.temperature, options.samples),
        journal=Path(path),
    )


def checked_options(options: JudgeOptions) -> JudgeOptions:
    """Return the judge's options alone, with every value in its type and range.

    Raises:
        InputError: for a wrong type, or a value out of range.
    """
    hints = get_type_hints(JudgeOptions)
    options = JudgeOptions(
        **{name: typed(getattr(options, name), hints[name], _typed_as(name)) for name in hints}
    )
    for name, least in _LEAST.items():
        value = getattr(options, name)
        if value is not None and not value >= least:
            raise InputError(f"{_typed_as(name)} must be >= {least:g}, got {value}")
    if not options.timeout > 0:
        raise InputError(f"--timeout must be > 0 seconds, got {options.timeout}")
    if isinstance(options.judge_model, str):
        options = replace(options, judge_model=(options.judge_model,))
    return options


def _typed_as(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _check_models(models: tuple[str, ...]) -> None:
    if not models or not all(model.strip() for model in models):
        raise InputError(
            "name the model that judges with --judge-model, as --judge-model gpt-4o; "
            "repeat it for several judges"
        )
    if len(set(models)) < len(models):
        raise InputError(f"--judge-model names a model twice: {', '.join(models)}")


def _plain(value: Any) -> Any:
    """Return a value that JSON has: a path as text."""
    return str(value) if isinstance(value, Path) else value


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
