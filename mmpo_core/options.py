"""Functions that take one dataclass of options can be called with plain keywords.

`score` and `train` are written against a documented, frozen dataclass, where every default
lives once. `takes_options` gives them the signature that people want to type: the dataclass's
fields as keywords, with types that editors and mypy see.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Options = TypeVar("Options")
Result = TypeVar("Result")


def takes_options(
    options_class: Callable[P, Options],
) -> Callable[[Callable[[Options], Result]], Callable[P, Result]]:
    """Turn `run(options)` into `run(**fields of the options)`; `run.options` is the dataclass."""

    def decorate(run: Callable[[Options], Result]) -> Callable[P, Result]:
        @wraps(run)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            return run(options_class(*args, **kwargs))

        returned = inspect.signature(run).return_annotation
        call.__signature__ = inspect.signature(options_class).replace(  # type: ignore[attr-defined]
            return_annotation=returned
        )
        call.options = options_class  # type: ignore[attr-defined]
        return call

    return decorate


def plain_values(options: Any) -> dict[str, Any]:
    """Return the fields of a dataclass of options as plain values that JSON and YAML hold."""
    return {
        name: str(value) if isinstance(value, Path) or value == math.inf else value
        for name, value in dataclasses.asdict(options).items()
    }
