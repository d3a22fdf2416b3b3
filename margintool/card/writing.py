"""`write_card`: a dataset card in Markdown for a pair file, from its metadata and its numbers."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from margintool.card import sections
from margintool.card.front_matter import front_matter
from margintool.card.origins import ORIGINS, licence_of
from margintool.progress import Progress, no_progress
from margintool.report.facts import PairReport
from margintool.report.inspecting import inspect_pairs
from margintool.report.words import count
from margintool.sources import SOURCES
from mmpo_core.errors import InputError
from mmpo_core.pair_file import PathLike, whole_file


def write_card(
    path: PathLike,
    out: PathLike | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> str:
    """Return a dataset card for a pair file, and write it if asked.

    Args:
        path: a valid pair file.
        out: where to write the card; README.md beside the pair file is what the hub reads.
        overwrite: replace an existing card.
        progress: told of the rows read.

    Raises:
        InputError: if the file breaks the contract, or `out` exists already.
    """
    if out is not None and Path(out).exists():
        if Path(path).exists() and Path(out).samefile(path):
            raise InputError(f"{out}: is the pair file itself; give --out another name")
        if not overwrite:
            raise InputError(f"{out}: exists already; --overwrite replaces it")
    report = inspect_pairs(path, progress=progress)
    if report.breaches:
        raise InputError(
            f"{path}: {report.breaches[0]}. A card describes a valid file; "
            f"`margintool inspect {path}` shows all that is wrong"
        )
    card = card_text(report, _data_file(Path(path), out))
    if out is not None:
        with whole_file(out) as temporary:
            temporary.write_text(card, encoding="utf-8")
    return card


def _data_file(path: Path, out: PathLike | None) -> str:
    """Return the pair file as seen from the card; its name where it lies outside that folder."""
    if out is not None:
        relative = Path(os.path.relpath(path.resolve(), Path(out).resolve().parent))
        if ".." not in relative.parts:
            return relative.as_posix()
    return path.name


def card_text(report: PairReport, data_file: str) -> str:
    """Return the card of a report. data_file: the pair file as seen from the card."""
    made = report.metadata
    name = Path(report.path).stem
    dataset = _hub_dataset(made)
    head = front_matter(
        f"{name}: preference pairs with margins",
        report.pairs,
        data_file,
        licence_of(dataset or ""),
        [dataset] if dataset else [],
    )
    parts = {
        "Origin": sections.origin(made, dataset),
        "How the margin is defined": sections.margin(made),
        "Columns": sections.columns(report),
        "Counts": sections.counts(report),
        "Margins and targets": sections.quantiles(report),
        "Length bias": sections.length_bias(report),
        "Caveats": sections.caveats(made),
        "How to make it": sections.command(made, data_file),
        "How to read it": sections.reading(data_file),
        "Licence": sections.licence(dataset),
    }
    intro = (
        f"{count(report.pairs)} pairs of answers, each with the strength of the preference: "
        "a margin, and the soft target p_chosen = sigma(gamma * margin) for Margin Matching "
        "Preference Optimization (MMPO, arXiv 2410.03145)."
    )
    body = "".join(f"\n## {title}\n\n{text}\n" for title, text in parts.items())
    return f"{head}\n# {sections.inline(name)}\n\n{intro}\n{body}"


def _hub_dataset(made: Mapping[str, Any]) -> str | None:
    """Return the hub dataset that the pairs come from, None if it is a local file."""
    options = sections.mapping(made, "options")
    given, source = options.get("input"), str(made.get("source"))
    if options and given is None and source in SOURCES:
        return SOURCES[source].default_input
    known = {name for origin in ORIGINS.values() for name in origin.licenses}
    names = given if isinstance(given, list) else [given]
    return names[0] if len(names) == 1 and names[0] in known else None
