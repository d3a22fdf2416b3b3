"""From options to a checked plan: every mistake that can be seen before reading is seen here."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from margintool.findings import Findings
from margintool.given import given
from margintool.judge.options import JudgeOptions
from margintool.layouts import LAYOUTS, Layout, apply_map, detect, found_as, require
from margintool.option_checks import (
    check_journal,
    check_outputs,
    checked,
    column_map,
    rating_scale,
    rejects_path,
)
from margintool.readers import readers_of, reads
from margintool.score_options import PairingRule, ScoreOptions
from margintool.similarity.findings import SimilarityFindings
from margintool.similarity.options import SimilarityOptions
from margintool.sources import SOURCES, Settings, Source
from margintool.storage import RawInput, open_input
from mmpo_core.errors import InputError, lookup, nearest

if TYPE_CHECKING:
    from margintool.judge.asking.judging import Judging
    from margintool.similarity.planning import Embedding

# A rating scale that nobody named: ratings may be any number from 0, so that the -1 with which
# judges mark a failure is not taken for a rating.
UNKNOWN_SCALE = (0.0, float("inf"))


@dataclass(frozen=True)
class Plan:
    """Everything `score` decided before it reads the first row."""

    options: ScoreOptions
    source: Source
    layout: Layout
    mapping: dict[str, str]
    settings: Settings
    input: RawInput
    out: Path
    rejects: Path
    max_pairs_per_prompt: int
    judging: "Judging | None" = None
    embedding: "Embedding | None" = None
    findings: Findings | SimilarityFindings | None = None

    @property
    def pairing(self) -> PairingRule:
        """How responses become pairs: as asked, else by rank, or all where they have none yet."""
        return self.options.pairing or ("best-random" if self.ranked else "all")

    @property
    def ranked(self) -> bool:
        """Whether responses have a rating before they are paired."""
        return self.judging is None or self.judging.options.mode != "pair"

    @property
    def widest_gap(self) -> float | None:
        """The largest gap the rating scale allows; None for votes and unbounded scales."""
        if self.settings.scale is None:
            return None
        low, high = self.settings.scale
        gaps = self.layout.gives_gap and self.source.needs_scores
        width = high if gaps else high - low
        return width if width < float("inf") else None


def make_plan(options: ScoreOptions, *, writes: bool = True) -> Plan:
    """Check the options, open the input and detect its layout.

    Args:
        options: as given.
        writes: whether a pair file will be written; else `out` and `rejects` are not looked at.

    Raises:
        InputError: for an unknown name, a value out of range, an existing output, a missing
            input, or columns that fit no layout.
    """
    options = checked(options)
    source = lookup("source", options.source, SOURCES)
    _check_own_options(options, source)
    judging = _judging(options, source)
    embedding = _embedding(options, source)
    margin = _margin(options, source)
    journal = None if judging is None else judging.journal
    if writes:
        check_outputs(options, inputs=[], journal=journal)
    mapping = column_map(options.map)
    raw = open_input(
        _inputs(options, source),
        split=options.split,
        config=options.config,
        revision=options.revision,
    )
    if writes:
        check_outputs(options, raw.files, journal)
    else:
        check_journal(journal, raw.files)
    if judging is not None and judging.options.reference is not None:
        mapping = _with_reference(mapping, judging.options.reference, raw)
    sample = apply_map(raw.schema_sample(), mapping)
    layout = _layout(options, source, sample.schema)
    cap = options.max_pairs_per_prompt
    return Plan(
        options=options,
        source=source,
        layout=layout,
        mapping=mapping,
        settings=_settings(options, source, layout, margin, sample.schema, judging),
        input=raw,
        out=Path(options.out),
        rejects=rejects_path(options),
        max_pairs_per_prompt=source.max_pairs_per_prompt if cap is None else cap,
        judging=judging,
        embedding=embedding,
        findings=_findings(judging, embedding, layout),
    )


def _margin(options: ScoreOptions, source: Source) -> str:
    """Return the estimator's name."""
    if source.margin_option == "margin":
        margin = options.margin or next(iter(source.margins))
        lookup(f"margin of source {source.name}", margin, source.margins)
        return margin
    named: str = getattr(options, source.margin_option)
    if options.margin not in (None, named):
        raise InputError(
            f"--margin {options.margin}: for source {source.name}, --{source.margin_option} says it"
        )
    return named


def _check_own_options(options: ScoreOptions, source: Source) -> None:
    """Refuse options that only other sources read."""
    for other in SOURCES.values():
        if other.options is None or other.options is source.options:
            continue
        if wrong := given(options, [field.name for field in fields(other.options)]):
            raise InputError(
                f"{', '.join(wrong)}: no meaning for source {source.name}, only for {other.name}"
            )


def _judging(options: ScoreOptions, source: Source) -> "Judging | None":
    """Return what judges are asked, if the source asks any."""
    if source.options is not JudgeOptions:
        return None
    from margintool.judge.asking.judging import make_judging

    if options.mode == "pair" and options.pairing not in (None, "all"):
        raise InputError(
            f"--pairing {options.pairing} needs ratings to rank answers by, and --mode pair has "
            "none: it compares all with all. --max-pairs-per-prompt keeps a sample"
        )
    out = Path(options.out)
    return make_judging(
        options,
        journal=out.with_name(f"{out.name.removesuffix('.parquet')}.journal.sqlite"),
        scale=rating_scale(options.scale),
        aspects=_names(options.aspects),
    )


def _embedding(options: ScoreOptions, source: Source) -> "Embedding | None":
    """Return how answers are compared, if the source compares them."""
    if source.options is not SimilarityOptions:
        return None
    from margintool.similarity.planning import make_embedding

    out = Path(options.out)
    return make_embedding(options, out.with_name(f"{out.name.removesuffix('.parquet')}.embeddings"))


def _findings(
    judging: "Judging | None", embedding: "Embedding | None", layout: Layout
) -> Findings | SimilarityFindings | None:
    """Return where findings are counted: of judges, asked now or in the input, or of distances."""
    if judging is not None:
        return Findings(judging.models, logprobs=judging.options.logprobs)
    if embedding is not None:
        return SimilarityFindings(embedding.options)
    return Findings() if layout.both_orders else None


def _with_reference(mapping: dict[str, str], column: str, raw: RawInput) -> dict[str, str]:
    columns = raw.schema_sample().column_names
    if column not in columns and column.split(".")[0] not in columns:
        raise InputError(
            f"--reference: there is no column {column!r}.{nearest(column, columns)} "
            f"Found: {', '.join(columns)}"
        )
    return {**mapping, "reference": column}


def _inputs(options: ScoreOptions, source: Source) -> str | list[str]:
    """Return what to read, as text: one file or id, or a list of files."""
    if options.input is None:
        return source.default_input
    given = options.input if isinstance(options.input, tuple | list) else (options.input,)
    names = [str(name) for name in given]
    for name in names:
        if any("\udc80" <= letter <= "\udcff" for letter in name):  # how Python holds other bytes
            raise InputError(f"{name!r}: the file's name is not UTF-8 text; rename it")
    return names[0] if len(names) == 1 else names


def _layout(options: ScoreOptions, source: Source, columns: pa.Schema) -> Layout:
    if options.layout is None:
        layout = detect(columns, source.name, needs_scores=source.needs_scores, readers=readers_of)
    else:
        layout = _named_layout(options.layout, source, columns)
    if source.needs_preference and not reads(source, layout):
        raise InputError(
            f"source {source.name} needs pairs of which one answer is preferred; layout "
            f"{layout.name} has none before its scores are read. Score it first, with --source "
            f"{readers_of(layout)[0]}, and give that pair file as --input"
        )
    return layout


def _named_layout(name: str, source: Source, columns: pa.Schema) -> Layout:
    layout: Layout = lookup("layout", name, LAYOUTS)
    if source.needs_scores and source.name not in layout.sources:
        fitting = [name for name, other in LAYOUTS.items() if source.name in other.sources]
        raise InputError(
            f"layout {layout.name} has no scores for source {source.name}; "
            f"layouts that have: {', '.join(fitting)}"
        )
    require(layout, columns, scores=source.needs_scores)
    return layout


def _settings(
    options: ScoreOptions,
    source: Source,
    layout: Layout,
    margin: str,
    columns: pa.Schema,
    judging: "Judging | None",
) -> Settings:
    if source.rate is None:
        if options.aspects or options.scale:
            raise InputError(f"--aspects and --scale have no meaning for source {source.name}")
        return Settings(margin, source.bounds.get(margin))
    if judging is not None:
        return Settings(margin, judging.scale)
    if margin != "mean":
        if options.aspects:
            raise InputError("--aspects needs --margin mean")
        if "rating" in layout.optional and found_as(layout, "rating", columns.names) is None:
            raise InputError(
                "there is no column 'rating'; name yours with --map rating=COLUMN, or average "
                "the aspects with --margin mean"
            )
        return Settings(margin, _scale(options, layout, layout.scale))
    aspects = _aspects(options, layout, columns)
    return Settings(margin, _scale(options, layout, layout.aspect_scale), aspects)


def _aspects(options: ScoreOptions, layout: Layout, columns: pa.Schema) -> tuple[str, ...]:
    """Return the aspects to average: those asked for, or all that the layout or the data has."""
    known = layout.aspects_of(columns)
    if not known and layout.aspects_in is None:
        raise InputError(f"layout {layout.name} has no aspect ratings; use --margin overall")
    if not known:
        raise InputError(
            "the input has no aspect ratings. --map aspects=COLUMN names a struct of them, "
            "--map aspects.NAME=COLUMN a single one; or use --margin overall"
        )
    aspects = _names(options.aspects)
    for aspect in aspects:
        lookup(f"aspect of layout {layout.name}", aspect, dict.fromkeys(known))
    return aspects or known


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _scale(
    options: ScoreOptions, layout: Layout, known: tuple[float, float] | None
) -> tuple[float, float]:
    low, high = rating_scale(options.scale) or known or UNKNOWN_SCALE
    if layout.gives_gap and low != -high:
        raise InputError(
            f"--scale: preferences of layout {layout.name} run from -M to M, got {options.scale}"
        )
    return low, high
