"""The pair files that runs and evaluations read, found again by their content.

run.json and evaluation.json name a path and the fingerprint of what was there. A file that has
changed since is another file: nothing of it is shown. Read by gathering.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from margintool.page.folders import Folders
from mmpo_core.errors import InputError
from mmpo_core.run_record import fingerprint

# So many uses of a pair file are named.
_USES = 4


@dataclass(frozen=True)
class PairFile:
    """A pair file. uses: what it was for, in words."""

    path: Path
    fingerprint: str
    uses: list[str] = field(default_factory=list)


def find_pair_files(folders: Folders, given: Sequence[Path]) -> tuple[list[PairFile], list[str]]:
    """Return the files that are still there, and what is missing, in words.

    Args:
        folders: say which files were read.
        given: files that the user names; looked at before the recorded paths.

    Raises:
        InputError: if a given file is missing, or nothing that was read has its content.
    """
    wanted = _wanted(folders)
    known = {_fingerprint_of(path): path for path in given}
    unknown = [path for content, path in known.items() if content not in wanted]
    if unknown:
        raise InputError(
            f"{unknown[0]}: none of the folders tells of a file with this content. Leave --pairs "
            "out, or give the file that was trained or evaluated on"
        )
    # An experiment keeps its own, wherever its folder is now.
    kept = [path for one in folders.experiments for path in one.folder.glob("data/*.parquet")]
    known = {_fingerprint_of(path): path for path in kept} | known
    found, missing = [], []
    for content, (recorded, uses) in wanted.items():
        path = known.get(content) or recorded
        if not path.is_file():
            missing.append(f"{recorded} ({some(uses)}) is not there; --pairs names its place")
        elif path is recorded and _fingerprint_of(path) != content:
            missing.append(f"{recorded} ({some(uses)}) has changed since it was read")
        else:
            found.append(PairFile(path, content, uses))
    return found, missing


def some(uses: Sequence[str]) -> str:
    """Return what a file was read for; the runs of a sweep would fill the page."""
    shown = ", ".join(uses[:_USES])
    return shown if len(uses) <= _USES else f"{shown} and {len(uses) - _USES} more"


def _fingerprint_of(path: Path) -> str:
    try:
        return fingerprint(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _wanted(folders: Folders) -> dict[str, tuple[Path, list[str]]]:
    """Return fingerprint -> recorded path and uses."""
    wanted: dict[str, tuple[Path, list[str]]] = {}

    def note(about: Mapping[str, Any] | None, use: str, who: str) -> None:
        if about and about.get("fingerprint") and about.get("path"):
            _, uses = wanted.setdefault(str(about["fingerprint"]), (Path(about["path"]), []))
            uses.append(f"{use} {who}")

    for run in folders.runs:
        note(run.record.get("pairs"), "training of", run.name)
        note(run.record.get("eval_pairs"), "held out for", run.name)
    for evaluation in folders.evaluations:
        note(evaluation.content.get("data"), "measured in", evaluation.name)
    return wanted
