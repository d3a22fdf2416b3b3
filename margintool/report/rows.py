"""A report's facts as rows of words: what a terminal and a page show alike.

Texts that come from the file are made safe to print here (words.visible). Read by text.py and by
margintool/page/data.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from margintool.report.facts import Duplicates, LengthBias, PairReport, Quantiles
from margintool.report.words import count, number, share, visible
from mmpo_core.schema import SCHEMA_VERSION

SHOWN_QUANTILES = ("min", "5%", "25%", "50%", "75%", "95%", "max", "mean")
BIAS_NOTE = "correlations: margin with length(chosen) - length(rejected)"

Fact = tuple[str, str]
"""A name and a value."""


@dataclass(frozen=True)
class Grid:
    """A table. titles: of the columns, one that starts with > is right-aligned."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]


def overview(report: PairReport) -> list[str]:
    """Return how much is in the file, in a few words each."""
    parts = [f"{count(report.pairs)} pairs", _size(report.bytes)]
    parts.append(f"{count(report.row_groups)} row group" + "s" * (report.row_groups != 1))
    parts.append(f"{count(report.ties)} ties ({share(report.ties, report.pairs)})")
    if report.multi_turn:
        parts.append(f"{count(report.multi_turn)} with earlier turns")
    return parts


def _size(size: int) -> str:
    value, units = float(size), ["bytes", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"


def contract(report: PairReport) -> list[str]:
    """Return whether the file keeps the contract, and each breach on a line."""
    if not report.breaches:
        return [f"kept in full (schema version {SCHEMA_VERSION})"]
    lines = [f"broken in {count(len(report.breaches))} ways (rows are counted from 0):"]
    return [*lines, *(f"- {visible(str(breach))}" for breach in report.breaches)]


def origin(report: PairReport) -> list[Fact]:
    """Return the metadata, the main facts first; a key that nobody knows is shown as it is."""
    made, sources = dict(report.metadata), report.sources
    rows = [("sources", ", ".join(f"{name} ({count(n)})" for name, n in sources.items()))]
    if list(sources) == [made.get("source")]:
        del made["source"]
    rows += [(key, _value(made.pop(key))) for key in ("source", "layout") if key in made]
    if "margin" in made:
        rows.append(("margin", _with_note(made.pop("margin"), made.pop("unit", None))))
    if "normalizer" in made:
        rows.append(("normaliser", _normalizer(made.pop("normalizer"))))
    if "gamma" in made:
        gamma = made.pop("gamma") if report.gamma is None else f"{report.gamma:.6g}"
        made.pop("gamma", None)
        rows.append(("gamma", _with_note(gamma, made.pop("gamma_from", None))))
    rows += [(key.replace("_", " "), _value(_in_order(value))) for key, value in made.items()]
    return [(visible(name), visible(value)) for name, value in rows]


def _with_note(value: Any, note: Any) -> str:
    return f"{_value(value)} ({_value(note)})" if note else _value(value)


_FIRST = ("description", "read", "kept", "source", "input", "ties", "flipped", "rejected")


def _in_order(made: Any) -> Any:
    """Return a mapping with its main keys first: JSON metadata is sorted by name."""
    if not isinstance(made, Mapping):
        return made
    main = [key for key in _FIRST if key in made]
    return {key: made[key] for key in [*main, *(key for key in made if key not in main)]}


def _normalizer(made: Any) -> str:
    if not isinstance(made, Mapping):
        return _value(made)
    params = _value(made.get("params") or {})
    return f"{made.get('name')} {params if len(params) < 100 else params[:100] + ' ...'}".strip()


def _value(value: Any) -> str:
    """Write a metadata value on one line: `read 3205, kept 3200, rejected (votes_negative 5)`."""
    if isinstance(value, Mapping):
        given = {k: v for k, v in value.items() if v not in (None, {}, [])}
        return ", ".join(
            f"{k} ({_value(v)})" if isinstance(v, Mapping) else f"{k} {_value(v)}"
            for k, v in given.items()
        )
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def column_grid(report: PairReport) -> Grid:
    """Return the file's columns: type, nulls, whether the contract knows them."""
    rows = []
    for column in report.columns:
        note = "" if column.in_contract else "beside the contract"
        kind = column.type.replace("list<element: ", "list<").replace("double", "float64")
        rows.append((visible(column.name), kind, count(column.nulls), note))
    return Grid(("column", "type", ">null", ""), rows)


def quantile_grid(rows: Mapping[str, Quantiles]) -> Grid:
    """Return quantiles, a row for each name."""
    cells = [
        (name, *(number(found[q]) if found else "-" for q in SHOWN_QUANTILES))
        for name, found in rows.items()
    ]
    return Grid(("", *(f">{name}" for name in SHOWN_QUANTILES)), cells)


def length_grid(report: PairReport) -> Grid:
    """Return the quantiles of the texts' lengths."""
    return quantile_grid(
        {
            f"{name}, {unit.replace('characters', 'chars')}": found
            for name, by_unit in report.lengths.items()
            for unit, found in by_unit.items()
        }
    )


def bias_grid(rows: Sequence[LengthBias]) -> Grid:
    """Return whether longer answers win, a row for each unit; BIAS_NOTE belongs below."""
    cells = []
    for bias in rows:
        shares = [share(n, bias.pairs) for n in (bias.longer, bias.equal, bias.shorter)]
        correlations = ["-" if r is None else f"{r:+.3f}" for r in (bias.pearson, bias.spearman)]
        cells.append((bias.unit, *shares, *correlations))
    titles = ("in", ">chosen longer", ">equal", ">shorter", ">Pearson", ">Spearman")
    return Grid(titles, cells)


def duplicates(found: Duplicates) -> list[Fact]:
    """Return how much is repeated."""
    again = count(found.repeated)
    if found.first_repeated is not None:
        again += f" (first in row {count(found.first_repeated)})"
    return [
        ("pairs seen before, in either order", again),
        ("of these the other way round", count(found.swapped)),
        ("chosen and rejected the same", count(found.identical_answers)),
        ("different prompts", count(found.prompts)),
        ("pairs per prompt", _per_prompt(found.pairs_per_prompt)),
    ]


def _per_prompt(prompts_with: Mapping[int, int]) -> str:
    """Write `1: 600 prompts, 2: 120, 3: 40, 4 to 31: 17`."""
    shown = list(prompts_with.items())
    head, tail = shown[:5], shown[5:]
    parts = [f"{pairs}: {count(prompts)}" for pairs, prompts in head]
    if tail:
        span = f"{tail[0][0]} to {tail[-1][0]}" if len(tail) > 1 else f"{tail[0][0]}"
        parts.append(f"{span}: {count(sum(prompts for _, prompts in tail))}")
    if parts:
        parts[0] += " prompts"
    return ", ".join(parts)
