"""Draws a report in the terminal, 80 columns wide or more, with or without colour.

Texts from the file are untrusted: control characters are replaced, and nothing in them is read
as markup. What an ASCII terminal cannot show becomes a question mark. Read by
margintool/cli/inspect.py; the pairs of --sample are drawn by sample_text.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from margintool.report.facts import Duplicates, LengthBias, PairReport, Quantiles
from margintool.report.histogram_text import histogram_lines
from margintool.report.sample_text import pair_lines
from margintool.report.words import count, number, share, visible
from mmpo_core.schema import SCHEMA_VERSION

SHOWN_QUANTILES = ("min", "5%", "25%", "50%", "75%", "95%", "max", "mean")
INDENT = 2


def print_report(report: PairReport, console: Console | None = None) -> None:
    """Print a report. console: where to; standard output if not given."""
    console = console or Console(highlight=False)
    if console.options.ascii_only and isinstance(console.file, TextIOWrapper):
        console.file.reconfigure(errors="replace")
    for title, body in _sections(report, console):
        console.print(Text(f"\n{title}", style="bold"))
        console.print(Padding.indent(body, INDENT))


def _sections(report: PairReport, console: Console) -> Iterator[tuple[str, RenderableType]]:
    yield visible(report.path), _overview(report)
    yield "Contract", _contract(report)
    yield "How it was made", _origin(report)
    yield "Columns", _columns(report)
    if report.quantiles:
        yield "Scores, margins and targets", _quantile_table(report.quantiles)
    if report.histogram:
        yield "Histogram of margin", histogram_lines(report.histogram, console)
    if report.lengths:
        yield "Lengths", _quantile_table(_flat_lengths(report))
    if report.length_bias:
        yield "Length bias: do longer answers win? (ties left out)", _bias(report.length_bias)
    if report.duplicates:
        yield "Duplicates", _duplicates(report.duplicates)
    if report.longest_prompts:
        yield "Longest prompts", _longest(report, console)
    for pair in report.sample:
        yield f"Pair in row {count(pair['row'])}", pair_lines(pair, report.gamma)


def _overview(report: PairReport) -> Text:
    parts = [f"{count(report.pairs)} pairs", _size(report.bytes)]
    parts.append(f"{count(report.row_groups)} row group" + "s" * (report.row_groups != 1))
    parts.append(f"{count(report.ties)} ties ({share(report.ties, report.pairs)})")
    if report.multi_turn:
        parts.append(f"{count(report.multi_turn)} with earlier turns")
    return Text(", ".join(parts))


def _size(size: int) -> str:
    value, units = float(size), ["bytes", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"


def _contract(report: PairReport) -> Text:
    if not report.breaches:
        return Text(f"kept in full (schema version {SCHEMA_VERSION})", style="green")
    lines = [f"broken in {count(len(report.breaches))} ways (rows are counted from 0):"]
    lines += [f"- {visible(str(breach))}" for breach in report.breaches]
    return Text("\n".join(lines), style="red")


def _facts(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def _origin(report: PairReport) -> RenderableType:
    """Show the metadata, the main facts first; a key that nobody knows is shown as it is."""
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
    return _facts([(visible(name), visible(value)) for name, value in rows])


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


def _columns(report: PairReport) -> Table:
    table = _grid("column", "type", ">null", "")
    table.columns[1].no_wrap = True
    for column in report.columns:
        note = "" if column.in_contract else "beside the contract"
        kind = column.type.replace("list<element: ", "list<").replace("double", "float64")
        cells = (visible(column.name), kind, count(column.nulls), note)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _grid(*titles: str) -> Table:
    """Return an empty table; a title that starts with > is right-aligned."""
    gap = 2 if len(titles) < 8 else 1
    table = Table(box=None, padding=(0, gap, 0, 0), header_style="dim")
    for title in titles:
        right = title.startswith(">")
        table.add_column(
            title.removeprefix(">"), justify="right" if right else "left", no_wrap=right
        )
    return table


def _quantile_table(rows: Mapping[str, Quantiles]) -> Table:
    table = _grid("", *(f">{name}" for name in SHOWN_QUANTILES))
    for name, found in rows.items():
        table.add_row(name, *(number(found[q]) if found else "-" for q in SHOWN_QUANTILES))
    return table


def _flat_lengths(report: PairReport) -> dict[str, Quantiles]:
    return {
        f"{name}, {unit.replace('characters', 'chars')}": found
        for name, by_unit in report.lengths.items()
        for unit, found in by_unit.items()
    }


def _bias(rows: Sequence[LengthBias]) -> Table:
    table = _grid("in", ">chosen longer", ">equal", ">shorter", ">Pearson", ">Spearman")
    for bias in rows:
        shares = [share(n, bias.pairs) for n in (bias.longer, bias.equal, bias.shorter)]
        correlations = [bias.pearson, bias.spearman]
        table.add_row(
            bias.unit, *shares, *("-" if r is None else f"{r:+.3f}" for r in correlations)
        )
    table.caption = "correlations: margin with length(chosen) - length(rejected)"
    table.caption_justify = "left"
    return table


def _duplicates(found: Duplicates) -> Table:
    again = count(found.repeated)
    if found.first_repeated is not None:
        again += f" (first in row {count(found.first_repeated)})"
    return _facts(
        [
            ("pairs seen before, in either order", again),
            ("of these the other way round", count(found.swapped)),
            ("chosen and rejected the same", count(found.identical_answers)),
            ("different prompts", count(found.prompts)),
            ("pairs per prompt", _per_prompt(found.pairs_per_prompt)),
        ]
    )


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


def _longest(report: PairReport, console: Console) -> Table:
    table = _grid(">row", ">chars", ">words", "begins")
    for prompt in report.longest_prompts:
        begins = Text(" ".join(visible(prompt.begins).split()))
        begins.truncate(console.width - 30, overflow="ellipsis")
        table.add_row(count(prompt.row), count(prompt.characters), count(prompt.words), begins)
    return table
