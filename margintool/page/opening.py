"""What a page says first: which model is better on what, and what wrote the results, and when.

A model is called better or worse only where the interval of a paired difference in evaluation.json
leaves out 0. Read by writing.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from margintool.page.folders import Folders, understood
from margintool.page.trained_on import trained_on_warnings
from margintool.page.views import Block, Paragraph
from margintool.page.words import difference
from margintool.report.words import counted
from mmpo_core.evaluate.metrics import LESS, MAIN, METRICS
from mmpo_core.run_folder import RUN_FILE

# So many pairs of models are told of for each evaluation: with five models there are ten.
_MOST = 3
_SHOWN = ("margintool", "torch", "transformers")
_NOTE = (
    "Better and worse: the interval of the paired difference leaves out 0. Each interval is for "
    "itself: of many, some leave out 0 by chance. The numbers are under Held-out metrics."
)


def opening_blocks(folders: Folders) -> list[Block]:
    """Return the verdicts of the evaluations that were given, warnings, and the origin.

    Those of experiments are left out: an experiment's own claims, over seeds, say more.
    """
    verdicts: list[Block] = []
    warnings: list[Block] = []
    given = [one for one in folders.evaluations if one.experiment is None]
    for evaluation in given:
        of = "" if len(given) == 1 else f"{evaluation.name}: "
        with understood(evaluation):
            verdicts += [Paragraph(of + line) for line in _verdicts(evaluation.content)]
            warnings += [Paragraph(line) for line in trained_on_warnings(evaluation.content)]
    note: list[Block] = [Paragraph(_NOTE, quiet=True)] if verdicts else []
    return [*verdicts, *warnings, *note, Paragraph(_origin(folders), quiet=True)]


def _verdicts(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each pair of models; none where no intervals were drawn."""
    asked = [name for name in MAIN if METRICS[name].better is not None]
    drawn = [
        one
        for one in content.get("differences") or []
        if one["metric"] in asked and one["low"] is not None
    ]
    first = next(iter(content["models"].values()))
    where = (
        f"On the same {counted(first['pairs'], 'pair')} of {counted(first['prompts'], 'prompt')}"
    )
    every = [list(rows) for _, rows in groupby(drawn, key=lambda one: (one["a"], one["b"]))]
    for rows in every[:_MOST]:
        yield f"{where}, {rows[0]['a']} against {rows[0]['b']}: {_sides(rows)}."
    if len(every) > _MOST:
        more = counted(len(every) - _MOST, "more pair")
        yield f"{more} of models: see the differences under Held-out metrics."


def _sides(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return `better in NLL by ...; worse in ...; no clear difference in accuracy`."""
    sides: dict[str, list[str]] = {"better": [], "worse": [], "unclear": []}
    for one in rows:
        metric = METRICS[one["metric"]]
        if one["low"] <= 0 <= one["high"]:
            sides["unclear"].append(metric.label)
            continue
        better = (one["value"] < 0) == (metric.better == LESS)
        sides["better" if better else "worse"].append(f"{metric.label} by {difference(one)}")
    found = [f"{side} in {_and(sides[side])}" for side in ("better", "worse") if sides[side]]
    if not found:
        return f"no clear difference ({_and(sides['unclear'])})"
    unclear = [f"no clear difference in {_and(sides['unclear'])}"] if sides["unclear"] else []
    return "; ".join([*found, *unclear])


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _origin(folders: Folders) -> str:
    """Return when results were written and by which versions; the page itself has no clock."""
    files = [run.folder / RUN_FILE for run in folders.runs]
    files += [one.file for one in folders.results]
    records = [run.record for run in folders.runs] + [one.content for one in folders.results]
    return f"Results of {_days(files)}{_versions(records)}."


def _days(files: Sequence[Path]) -> str:
    times = sorted(file.stat().st_mtime for file in files)
    first, last = (f"{datetime.fromtimestamp(one, UTC):%Y-%m-%d}" for one in (times[0], times[-1]))
    return last if first == last else f"{first} to {last}"


def _versions(records: Sequence[Mapping[str, Any]]) -> str:
    every = [one.get("versions") or {} for one in records]
    told = []
    for name in _SHOWN:
        found = sorted({str(one[name]) for one in every if one.get(name)})
        told += [f"{name} {' and '.join(found)}"] if found else []
    return f", by {', '.join(told)}" if told else ""
