"""What models cost, from prices.json and a user's own file. Read by estimate.py and the runner.

    {"my-model": {"input": 0.5, "output": 1.5}}

in US dollars per million tokens. A model without a price has none: no cost is guessed. The
built-in prices are OpenAI's as others reported them, each with its source and date. Discounts
for cached prompts are left out, so that a cost is rather too high; so are the higher prices of
some models for prompts over 200,000 tokens, which a judge's prompt does not reach.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

from margintool.judge.journal.records import Usage
from mmpo_core.errors import InputError

MILLION = 1_000_000
_SNAPSHOT = re.compile(r"(.+)-\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Price:
    """A model's price in US dollars per million tokens.

    Args:
        input: of prompt tokens.
        output: of reply tokens, those of hidden reasoning among them.
        batch: the factor for both through the Batch API.
        as_of: month or day on which the source said so.
        source: where the price was read.
    """

    input: float
    output: float
    batch: float = 0.5
    as_of: str | None = None
    source: str | None = None

    def cost(self, prompt_tokens: float, completion_tokens: float, *, batch: bool = False) -> float:
        """Return US dollars for so many tokens."""
        full = (prompt_tokens * self.input + completion_tokens * self.output) / MILLION
        return full * self.batch if batch else full


@dataclass(frozen=True)
class Prices:
    """Prices by the models' names."""

    by_name: Mapping[str, Price]

    def of(self, model: str) -> Price | None:
        """Return a model's price, or None where it is not known.

        `gpt-4o-2024-08-06` is a dated snapshot of `gpt-4o` and has its price, unless the table
        names the snapshot itself. No other name is taken for a known one.
        """
        if model in self.by_name:
            return self.by_name[model]
        snapshot = _SNAPSHOT.fullmatch(model)
        return self.by_name.get(snapshot.group(1)) if snapshot else None

    def spent(self, by_call: Mapping[str, Usage], by_batch: Mapping[str, Usage]) -> float | None:
        """Return US dollars for what `Journal.spent` tells of single calls and of batches.

        None where a model has no price. Replies without a token count cost nothing here.
        """
        total = 0.0
        for usages, batch in ((by_call, False), (by_batch, True)):
            for model, usage in usages.items():
                price = self.of(model)
                if price is None:
                    return None
                total += price.cost(usage.prompt_tokens, usage.completion_tokens, batch=batch)
        return total


def no_price(model: str) -> str:
    """Return what to tell a user about a model without a price."""
    return (
        f"no price for model {model}: give --prices FILE, as "
        f'{{"{model}": {{"input": 0.5, "output": 1.5}}}} in USD per million tokens'
    )


def load_prices(path: Path | None = None) -> Prices:
    """Return the built-in prices, with those of the file at `path` over them.

    Raises:
        InputError: if the file cannot be read or an entry is wrong; names the model and field.
    """
    built_in = resources.files(__package__).joinpath("prices.json").read_text(encoding="utf-8")
    found = _read(built_in, "prices.json")
    if path is not None:
        try:
            own = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: prices cannot be read ({error})") from error
        found |= _read(own, str(path))
    return Prices(found)


def _read(text: str, where: str) -> dict[str, Price]:
    try:
        found = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, where))
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f'{where}: must be {{"model": {{"input": ..., "output": ...}}, ...}}')
    return {model: _price(entry, f"{where}: model {model!r}") for model, entry in found.items()}


def _object(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{where}: {twice!r} stands twice")
    return made


def _price(entry: Any, where: str) -> Price:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: must be an object with input and output, not {entry!r}")
    known = {field.name for field in fields(Price)}
    for name, value in entry.items():
        if name not in known:
            raise InputError(f"{where}: unknown field {name!r}. Known: {', '.join(sorted(known))}")
        _check(value, f"{where}, field {name!r}", number=name in ("input", "output", "batch"))
    for name in ("input", "output"):
        if name not in entry:
            raise InputError(f"{where}: field {name!r} is missing (USD per million tokens)")
    return Price(**entry)


def _check(value: Any, where: str, *, number: bool) -> None:
    if number:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        if not right or not isfinite(value) or value < 0:
            raise InputError(f"{where}: must be a number >= 0, not {value!r}")
    elif not isinstance(value, str):
        raise InputError(f"{where}: must be text, not {value!r}")
