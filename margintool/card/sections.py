"""The sections of a dataset card, each from a file's metadata or its report. For writing.py.

A fact that the metadata lacks is left out or said to be missing; nothing is guessed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from margintool.card.command_line import score_command
from margintool.card.judges import judges
from margintool.card.likeness import likeness
from margintool.card.origins import ORIGINS, SOURCE_CAVEATS, licence_of
from margintool.normalize import NORMALIZERS
from margintool.report.facts import PairReport
from margintool.report.words import count, number, share
from margintool.sources import SOURCES
from mmpo_core.schema import MEANINGS, PAIR_SCHEMA

SHOWN_QUANTILES = ("min", "5%", "25%", "50%", "75%", "95%", "max", "mean")
MARGINS = ("margin_raw", "margin", "p_chosen")


def mapping(made: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a mapping of the metadata; an empty one if the file has none there."""
    value = made.get(key)
    return value if isinstance(value, Mapping) else {}


def origin(made: Mapping[str, Any], dataset: str | None) -> str:
    """Say where the pairs come from. made: metadata; dataset: hub id if they come from one."""
    source, read = str(made.get("source", "not recorded")), mapping(made, "input")
    rows = [
        ("Made by", f"margintool {made.get('tool_version', 'of an unknown version')}"),
        ("Source", f"{source}: {SOURCES[source].about}" if source in SOURCES else source),
        ("Layout", made.get("layout")),
        ("Hub dataset", f"[{dataset}](https://huggingface.co/datasets/{dataset})"),
        ("Input", read.get("description")),
        ("Fingerprint of the input", read.get("fingerprint")),
    ]
    shown = [row for row in rows if row[1] is not None and (row[0] != "Hub dataset" or dataset)]
    return _table(("", ""), shown)


def margin(made: Mapping[str, Any]) -> str:
    """Say how margin_raw, margin and p_chosen are defined, with the fitted numbers."""
    lines = [
        f"- `margin_raw`: {_estimator(made)}",
        f"- `margin`: {_normalizer(mapping(made, 'normalizer'))}.",
        f"- `p_chosen`: sigma(gamma * margin){_gamma(made)}.",
        "- A tie has margin 0 and p_chosen 0.5.",
        *judges(made),
        *likeness(made),
    ]
    return "\n".join(lines)


def _estimator(made: Mapping[str, Any]) -> str:
    source, estimator = str(made.get("source")), str(made.get("margin"))
    formula = SOURCES[source].margins.get(estimator) if source in SOURCES else None
    if formula is None:
        return "the quality gap in the source's own unit."
    unit = f" Unit: {made['unit']}." if made.get("unit") else ""
    return f"{formula} (`--source {source} --{SOURCES[source].margin_option} {estimator}`).{unit}"


def _normalizer(made: Mapping[str, Any]) -> str:
    name = str(made.get("name", "not recorded how"))
    if name not in NORMALIZERS:
        return f"margin_raw, normalised ({name})"
    params = {k: v for k, v in mapping(made, "params").items() if isinstance(v, int | float)}
    fitted = ", ".join(f"{key} = {value:.6g}" for key, value in params.items())
    return f"{NORMALIZERS[name].about} (`--normalize {name}`{'; ' if fitted else ''}{fitted})"


def _gamma(made: Mapping[str, Any]) -> str:
    if "gamma" not in made:
        return ""
    how = made.get("gamma_from", "not recorded")
    reached = made.get("mean_target")
    mean = f"; mean target {number(reached)}" if isinstance(reached, float) else ""
    return f" with gamma = {made['gamma']} (chosen by: {how}{mean})"


def columns(report: PairReport) -> str:
    """List the contract's columns, and those that the file has beside them."""
    rows = [
        (f"`{field.name}`", f"`{_type_name(field.type)}`", MEANINGS[field.name])
        for field in PAIR_SCHEMA
    ]
    source = SOURCES.get(str(report.metadata.get("source")))
    meanings = source.columns if source is not None else {}
    rows += [
        (f"`{one.name}`", f"`{_type_name(one.type)}`", meanings.get(one.name, "beside these"))
        for one in report.columns
        if not one.in_contract
    ]
    return _table(("column", "type", "meaning"), rows)


def _type_name(kind: pa.DataType) -> str:
    name = str(kind).replace("double", "float64")
    return name.replace("list<item: ", "list<").replace("list<element: ", "list<")


def counts(report: PairReport) -> str:
    """Say what was read, kept, and not used for which reason."""
    made = mapping(report.metadata, "counts")
    rows = [(name, count(made[name])) for name in ("read", "kept", "flipped") if name in made]
    rows.append(("ties", f"{count(report.ties)} ({share(report.ties, report.pairs)})"))
    rejected = mapping(made, "rejected")
    rows += [(f"not used: {reason}", count(n)) for reason, n in sorted(rejected.items())]
    if report.duplicates:
        rows.append(("different prompts", count(report.duplicates.prompts)))
        rows.append(("pairs seen before, in either order", count(report.duplicates.repeated)))
    return _table(("", "number"), rows)


def quantiles(report: PairReport) -> str:
    """Show the quantiles of margins and targets."""
    rows = [
        (f"`{name}`", *(number(report.quantiles[name][q]) for q in SHOWN_QUANTILES))
        for name in MARGINS
        if report.quantiles.get(name)
    ]
    return _table(("", *SHOWN_QUANTILES), rows)


def length_bias(report: PairReport) -> str:
    """Say how much longer answers win."""
    lines = []
    for bias in report.length_bias:
        line = (
            f"- In {bias.unit}, chosen is longer in {share(bias.longer, bias.pairs)} of the pairs "
            f"with a winner and shorter in {share(bias.shorter, bias.pairs)}"
        )
        if bias.spearman is not None and bias.pearson is not None:
            line += (
                "; correlation of the margin with the length difference: "
                f"Spearman {bias.spearman:+.3f}, Pearson {bias.pearson:+.3f}"
            )
        lines.append(f"{line}.")
    return "\n".join(lines)


def caveats(made: Mapping[str, Any]) -> str:
    """Say what to be careful about with margins of this source and data of this layout."""
    origin = ORIGINS.get(str(made.get("layout")))
    known: Iterable[str] = origin.caveats if origin else ()
    general = "Margins say how strongly these raters or voters differed, not how true an answer is."
    of_source = SOURCE_CAVEATS.get(str(made.get("source")), ())
    return "\n".join(f"- {caveat}" for caveat in (general, *of_source, *known))


def command(made: Mapping[str, Any], data_file: str) -> str:
    """Write the command that made the file."""
    options = mapping(made, "options")
    if not options:
        return "The file does not record the options it was made with."
    return f"```bash\n{score_command(options, Path(data_file).name)}\n```"


def reading(data_file: str) -> str:
    """Write Python lines that read the file."""
    return (
        "```python\nfrom margintool import read_pairs\n\n"
        f"pairs = read_pairs({Path(data_file).name!r})  # a pandas DataFrame, checked\n"
        f"for_trl = read_pairs({Path(data_file).name!r}, form='datasets', conversational=True)\n```"
    )


def licence(dataset: str | None) -> str:
    """Say under which terms the texts may be used, as far as that is known."""
    if dataset is None:
        return (
            "The pairs carry the licence of the data they were made from, which is not recorded "
            "here. State it above before you publish the file."
        )
    known = licence_of(dataset)
    where = f"https://huggingface.co/datasets/{dataset}"
    if known == "unknown":
        return f"The texts are those of {dataset}; see {where} for the terms that hold for them."
    return f"The texts are those of {dataset}, published under {known}; see {where}."


def _table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    def line(cells: Iterable[Any]) -> str:
        return "| " + " | ".join(inline(str(cell)) for cell in cells) + " |"

    def lines() -> Iterator[str]:
        yield line(titles)
        yield "|" + "---|" * len(titles)
        yield from (line(row) for row in rows)

    return "\n".join(lines())


def inline(text: str) -> str:
    """Make a text safe inside a table cell or a heading: one line, no cell border."""
    return " ".join(text.split()).replace("|", "\\|")
