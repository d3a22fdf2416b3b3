"""The section about a sweep. Read by gathering.py."""

from collections.abc import Mapping
from typing import Any

from margintool.page.folders import Result
from margintool.page.pictures import embedded
from margintool.page.views import Block, Gallery, Paragraph, Section, Table
from margintool.page.words import estimate
from margintool.report.rows import Grid
from margintool.report.words import count

# column of sweep.json -> its title
_SWEEP = {
    "accuracy": "accuracy",
    "nll": "NLL",
    "brier": "Brier",
    "ece": "ECE",
    "reward_margin": "reward margin",
}


def sweep_section(sweep: Result, number: int) -> Section:
    """Return a sweep's settings, means over seeds, and its picture.

    Args:
        sweep: the sweep.
        number: of the sweep in the page, from 1.
    """
    rows = [_setting(row) for row in sweep.content["settings"]]
    titles = ("setting", ">seeds", *(f">{title}" for title in _SWEEP.values()))
    caption = "Means over seeds, ± their standard deviation; held-out pairs"
    blocks: list[Block] = [Table(caption, Grid(titles, rows))]
    # One alone is neither the best nor a curve.
    several = len(sweep.content["settings"]) > 1
    blocks += [Paragraph(_best(sweep))] if several else []
    picture = sweep.folder / "sweep.png"
    finished = any(row["seeds"] for row in sweep.content["settings"])
    if several and finished and picture.is_file():
        alt = (
            "Accuracy, ECE, NLL and reward margin against gamma, a line for each setting of "
            f"{sweep.name}; the numbers are in the table above."
        )
        blocks.append(Gallery([embedded(picture, alt)]))
    title = "Sweep" if sweep.name == "sweep" else f"Sweep {sweep.name}"
    return Section(f"sweep-{number}", title, blocks)


def _setting(row: Mapping[str, Any]) -> list[str]:
    return [_words(row), count(len(row["seeds"])), *(_average(row.get(name)) for name in _SWEEP)]


def _words(setting: Mapping[str, Any]) -> str:
    from mmpo_core.sweep.grid import Setting

    keys = [key for key in ("loss", "gamma", "beta", "lr") if setting.get(key) is not None]
    return Setting(*(setting.get(key) for key in ("loss", "gamma", "beta", "lr"))).words(keys)  # type: ignore[arg-type]


def _average(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    spread = "" if found["spread"] is None else f" ± {estimate(found['spread'])}"
    return f"{estimate(found['mean'])}{spread}"


def _best(sweep: Result) -> str:
    best = sweep.content.get("best_by_nll")
    if best is None:
        return "No setting has all its seeds finished."
    words = f"Least mean NLL: {_words(best['setting'])}."
    close = best["within_seeds_spread"]
    if close is None:
        return f"{words} With one seed it is not known how far seeds lie apart."
    if not close:
        return f"{words} All others are further away than the spread of the seeds."
    return f"{words} Not further away than the spread of the seeds: " + "; ".join(
        _words(one) for one in close
    )
