"""From options to a checked plan: every mistake that can be seen before reading is seen here."""

import re
from dataclasses import dataclass
from pathlib import Path

from margintool.layouts import LAYOUTS, Layout, apply_map, detect, parse_map, require
from margintool.normalize import NORMALIZERS
from margintool.pairing import PAIRINGS
from margintool.score_options import ScoreOptions
from margintool.sources import SOURCES, Settings, Source
from margintool.storage import RawInput, open_input
from mmpo_core.bradley_terry import check_gamma
from mmpo_core.errors import InputError, lookup

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

    @property
    def widest_gap(self) -> float | None:
        """The largest gap the rating scale allows; None for votes and unbounded scales."""
        if self.settings.scale is None:
            return None
        low, high = self.settings.scale
        width = high if self.layout.gives_gap else high - low
        return width if width < float("inf") else None


def make_plan(options: ScoreOptions) -> Plan:
    """Check the options, open the input and detect its layout.

    Raises:
        InputError: for an unknown name, a value out of range, an existing output, a missing
            input, or columns that fit no layout.
    """
    source = lookup("source", options.source, SOURCES)
    lookup("normaliser", options.normalize, NORMALIZERS)
    lookup("pairing", options.pairing, PAIRINGS)
    _check_numbers(options)
    out, rejects = Path(options.out), rejects_path(options)
    _check_outputs(options, out, rejects)
    margin = options.margin or next(iter(source.margins))
    lookup(f"margin of source {source.name}", margin, source.margins)
    raw = open_input(
        _inputs(options, source),
        split=options.split,
        config=options.config,
        revision=options.revision,
    )
    mapping = options.map if isinstance(options.map, dict) else parse_map(options.map)  # type: ignore[arg-type]
    layout = _layout(options, source, raw, mapping)
    cap = options.max_pairs_per_prompt
    return Plan(
        options=options,
        source=source,
        layout=layout,
        mapping=mapping,
        settings=_settings(options, source, layout, margin),
        input=raw,
        out=out,
        rejects=rejects,
        max_pairs_per_prompt=source.max_pairs_per_prompt if cap is None else cap,
    )


def rejects_path(options: ScoreOptions) -> Path:
    """Return where rejects go: as asked, or NAME.rejects.parquet beside the output."""
    if options.rejects is not None:
        return Path(options.rejects)
    out = Path(options.out)
    return out.with_name(f"{out.name.removesuffix('.parquet')}.rejects.parquet")


def _check_numbers(options: ScoreOptions) -> None:
    if options.gamma != "auto":
        check_gamma(options.gamma)
    bounds = {
        "min_margin": options.min_margin,
        "max_pairs_per_prompt": options.max_pairs_per_prompt,
        "limit": options.limit,
    }
    for name, value in bounds.items():
        if value is not None and not value >= 0:
            raise InputError(f"--{name.replace('_', '-')} must be >= 0, got {value}")
    if not 0.5 < options.agreement < 1:
        raise InputError(f"--agreement must lie between 0.5 and 1, got {options.agreement}")


def _check_outputs(options: ScoreOptions, out: Path, rejects: Path) -> None:
    if out.is_dir():
        raise InputError(f"{out}: is a folder; --out names a file, such as {out}/pairs.parquet")
    if out == rejects:
        raise InputError(f"{out}: --out and --rejects name the same file")
    existing = [out] if options.rejects is None else [out, rejects]
    for path in existing:
        if path.exists() and not options.overwrite:
            raise InputError(f"{path}: exists already; --overwrite replaces it")


def _inputs(options: ScoreOptions, source: Source) -> str | list[str]:
    """Return what to read, as text: one file or id, or a list of files."""
    if options.input is None:
        return source.default_input
    given = options.input if isinstance(options.input, tuple | list) else (options.input,)
    names = [str(name) for name in given]
    for name in names:
        if any("\udc80" <= letter <= "\udcff" for letter in name):  # how Python holds other bytes
            raise InputError(f"{name!r}: the file's name is not UTF-8 text; rename it")
        if Path(name).exists() and Path(name).resolve() == Path(options.out).resolve():
            raise InputError(f"{name}: is the output too; give --out another name")
    return names[0] if len(names) == 1 else names


def _layout(
    options: ScoreOptions, source: Source, raw: RawInput, mapping: dict[str, str]
) -> Layout:
    sample = apply_map(raw.schema_sample(), mapping)
    if options.layout is None:
        return detect(sample.schema, source.name)
    layout: Layout = lookup("layout", options.layout, LAYOUTS)
    if source.name not in layout.sources:
        fitting = [name for name, other in LAYOUTS.items() if source.name in other.sources]
        raise InputError(
            f"layout {layout.name} has no scores for source {source.name}; "
            f"layouts that have: {', '.join(fitting)}"
        )
    require(layout, sample.schema)
    return layout


def _settings(options: ScoreOptions, source: Source, layout: Layout, margin: str) -> Settings:
    if source.rate is None:
        if options.aspects or options.scale:
            raise InputError(f"--aspects and --scale have no meaning for source {source.name}")
        return Settings(margin)
    if margin != "mean":
        if options.aspects:
            raise InputError("--aspects needs --margin mean")
        return Settings(margin, _scale(options, layout.scale))
    if not layout.aspects:
        raise InputError(f"layout {layout.name} has no aspect ratings; use --margin overall")
    aspects = tuple(a.strip() for a in (options.aspects or "").split(",") if a.strip())
    for aspect in aspects:
        lookup(f"aspect of layout {layout.name}", aspect, dict.fromkeys(layout.aspects))
    return Settings(margin, _scale(options, layout.aspect_scale), aspects or layout.aspects)


def _scale(options: ScoreOptions, known: tuple[float, float] | None) -> tuple[float, float]:
    if options.scale is None:
        return known or UNKNOWN_SCALE
    number = r"\s*([-+]?\d+(?:\.\d+)?)\s*"
    match = re.fullmatch(f"{number},{number}", options.scale)
    if match is None or float(match[1]) >= float(match[2]):
        raise InputError(f"--scale must be MIN,MAX with MIN < MAX, as 1,10; got {options.scale!r}")
    return float(match[1]), float(match[2])
