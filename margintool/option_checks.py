"""Options of `score` checked on their own, before anything is opened. Read by plan.py."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

from margintool.judge.journal.file import files_of, real
from margintool.layouts import parse_map
from margintool.normalize import NORMALIZERS
from margintool.rejects import is_rejects_file
from margintool.score_options import ScoreOptions
from mmpo_core.bradley_terry import check_gamma
from mmpo_core.errors import InputError, lookup
from mmpo_core.typed_values import typed

# Options that may be of several types have their own checks.
_OWN_CHECK = ("input", "out", "map", "scale", "rejects")
# Names that would have other tools read Parquet as something else.
_OTHER_FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".xlsx", ".gz", ".zst")
_LEAST = {"min_margin": 0, "max_pairs_per_prompt": 0, "limit": 1, "seed": 0}


def checked(options: ScoreOptions) -> ScoreOptions:
    """Return the options with every value in its type.

    Raises:
        InputError: for a wrong type, an unknown word, or a value out of range.
    """
    hints = get_type_hints(ScoreOptions)
    values = {
        name: typed(getattr(options, name), hint, option_name(name))
        for name, hint in hints.items()
        if name not in _OWN_CHECK
    }
    options = replace(options, **values)
    lookup("normaliser", options.normalize, NORMALIZERS)
    if options.gamma != "auto":
        check_gamma(options.gamma)
    for name, least in _LEAST.items():
        value = getattr(options, name)
        if value is not None and not value >= least:
            raise InputError(f"{option_name(name)} must be >= {least}, got {value}")
    if not 0.5 < options.agreement < 1:
        raise InputError(f"--agreement must lie between 0.5 and 1, got {options.agreement}")
    if not Path(options.out).name:
        raise InputError(f"--out {options.out}: name a file, such as pairs.parquet")
    return options


def option_name(field: str) -> str:
    """Return a field as it is typed on the command line."""
    return f"--{field.replace('_', '-')}"


def column_map(given: str | Mapping[str, str] | None) -> dict[str, str]:
    """Return --map as {layout's name: the file's column}.

    Raises:
        InputError: for a malformed text, or a name that no layout has.
    """
    if given is None or isinstance(given, str):
        return parse_map(given)
    for name in given:
        parse_map(f"{name}=column")  # is there such a name?
    return dict(given)


def rating_scale(given: str | tuple[float, float] | None) -> tuple[float, float] | None:
    """Return --scale MIN,MAX as numbers.

    Raises:
        InputError: unless it is two numbers, the smaller one first.
    """
    if given is None:
        return None
    text = given if isinstance(given, str) else ",".join(map(str, given))
    number = r"\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*"
    match = re.fullmatch(f"{number},{number}", text)
    if match is None or float(match[1]) >= float(match[2]):
        raise InputError(f"--scale must be MIN,MAX with MIN < MAX, as 1,10; got {given!r}")
    return float(match[1]), float(match[2])


def rejects_path(options: ScoreOptions) -> Path:
    """Return where rejects go: as asked, or NAME.rejects.parquet beside the output."""
    if options.rejects is not None:
        return Path(options.rejects)
    out = Path(options.out)
    return out.with_name(f"{out.name.removesuffix('.parquet')}.rejects.parquet")


def check_outputs(
    options: ScoreOptions, inputs: Iterable[Path], journal: Path | None = None
) -> None:
    """Raise InputError if writing would replace what it must not: an input, a stranger's file.

    Args:
        options: checked options.
        inputs: the files that will be read.
        journal: where a judge's replies are kept, if one is asked.
    """
    out, rejects = Path(options.out), rejects_path(options)
    outputs = {"--out": out, "--rejects": rejects}
    for name, path in outputs.items():
        if path.is_dir():
            raise InputError(f"{path}: is a folder; {name} names a file")
        _check_writable(path)
    if out.suffix.lower() in _OTHER_FORMATS:
        raise InputError(f"{out}: a pair file is Parquet; name it {out.stem}.parquet")
    if out.resolve() == rejects.resolve():
        raise InputError(f"{out}: --out and --rejects name the same file")
    if out.exists() and not options.overwrite:
        raise InputError(f"{out}: exists already; --overwrite replaces it")
    if rejects.exists() and not is_rejects_file(rejects):
        raise InputError(
            f"{rejects}: exists already and holds no rejects; name another file with --rejects"
        )
    written = {path.resolve(): name for name, path in outputs.items()}
    check_journal(journal, [*outputs.values(), *inputs])
    for path in inputs:
        if path.resolve() in written:
            raise InputError(f"{path}: is an input; give {written[path.resolve()]} another name")


def check_journal(journal: Path | None, others: Iterable[Path]) -> None:
    """Raise InputError if a file of the journal, such as its log or its lock, is another file.

    Args:
        journal: where a judge's replies are kept, if one is asked.
        others: the files that are read or written beside it.
    """
    if journal is None:
        return
    kept = files_of(journal)
    for path in others:
        if real(path) in kept:
            raise InputError(
                f"{path}: the journal {journal} would lie there; give --journal another name"
            )


def _check_writable(path: Path) -> None:
    """Raise InputError unless a file can be made there; folders that lack are made later."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise InputError(f"{path}: {folder} is a file, not a folder")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: no permission to write in {folder}")
