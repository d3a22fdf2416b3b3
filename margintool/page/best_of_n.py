"""The section about best-of-n: expected reward by n, how the picks were made, example prompts.

From best_of_n.json (margintool/best_of_n/results.py); texts are in best_of_n_prompts.py. Read by
gathering.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from margintool.page.best_of_n_prompts import prompt_blocks
from margintool.page.folders import Result, understood
from margintool.page.pictures import drawn
from margintool.page.views import Block, Gallery, Paragraph, Part, Picture, Section, Table
from margintool.report.rows import Grid
from margintool.report.words import count, counted, number
from mmpo_core.best_of_n.expected import TOGETHER
from mmpo_core.best_of_n.plot import draw_expected
from mmpo_core.interval_words import with_interval

# way of picking, in words -> rows of n, value, low, high
Lines = dict[str, Sequence[Mapping[str, Any]]]

_LEAD = (
    "The mean reward of the best of n answers, estimated without bias from all candidates of each "
    "prompt (the mean over every subset of n). A pick by a reward is always better by that reward, "
    "whatever it is worth to a reader."
)
_CAPTION = "Expected reward of the best of n, 95% intervals over prompts"


def best_of_n_section(folders: Sequence[Result], examples: int) -> Section | None:
    """Return what n is worth, and the picks; None if there is no folder.

    Args:
        folders: of `best-of-n`.
        examples: how many prompts are shown of each.
    """
    if not folders:
        return None
    blocks: list[Block] = [Paragraph(_LEAD)]
    rewards = _by_reward(folders)
    for reward, lines in rewards.items():
        own: list[Block] = [_table(lines), Gallery([_picture(reward, lines)])]
        blocks += [Part(f"By {reward}", own)] if len(rewards) > 1 else own
    if len(folders) > 1 and len({_asked(one) for one in folders}) > 1:
        note = "The folders read other prompts, or hold another number of candidates."
        blocks.append(Paragraph(f"{note} Their rewards cannot be compared.", quiet=True))
    for one in folders:
        with understood(one):
            picks = [*_picks(one), *prompt_blocks(one, examples)]
        blocks.append(Part("Picks" if len(folders) == 1 else f"Picks of {one.name}", picks))
    return Section("best-of-n", "Best of n", blocks)


def _by_reward(folders: Sequence[Result]) -> dict[str, Lines]:
    """Return reward -> lines; rewards of one name in two folders are one if the model is."""
    found: dict[str, Lines] = {}
    known: dict[str, str] = {}
    for one in folders:
        with understood(one):
            for row in one.content["expected"]:
                label = row["reward"]
                model = str(one.content["rewards"][label]["model"])
                if known.setdefault(label, model) != model:
                    label = f"{label} of {one.name}"
                words = _picked(row)
                words = words if len(folders) == 1 else f"{one.name}: {words}"
                found.setdefault(label, {})[words] = row["by_n"]
    return found


def _picked(row: Mapping[str, Any]) -> str:
    by = row["picked_by"]
    if by == TOGETHER:
        return "picked by all together"
    return "picked by it" if by == row["reward"] else f"picked by {by}"


def _asked(one: Result) -> tuple[Any, ...]:
    candidates = one.content["candidates"]
    return (candidates.get("file"), candidates.get("prompts"), candidates.get("number"))


def _table(lines: Lines) -> Table:
    values = {words: {row["n"]: row for row in by_n} for words, by_n in lines.items()}
    every = sorted({n for by_n in values.values() for n in by_n})
    rows = [(count(n), *(_cell(by_n.get(n)) for by_n in values.values())) for n in every]
    titles = [f">{words}" for words in values]
    gains = [
        {n: row["gain"] for n, row in by_n.items() if "gain" in row} for by_n in values.values()
    ]
    # Beside several ways of picking they would make the table too wide to be read.
    if len(gains) == 1 and gains[0]:
        titles.append(">more than one answer")
        rows = [(*row, _cell(gains[0].get(n))) for row, n in zip(rows, every, strict=True)]
    return Table(_CAPTION, Grid((">n", *titles), rows))


def _cell(row: Mapping[str, Any] | None) -> str:
    return "-" if row is None else with_interval(row["value"], row["low"], row["high"], _reward)


def _reward(value: float) -> str:
    return f"{value:.4g}"


def _picture(reward: str, lines: Lines) -> Picture:
    told = "; ".join(
        f"{words} from {_reward(rows[0]['value'])} at n = {rows[0]['n']} to "
        f"{_reward(rows[-1]['value'])} at n = {rows[-1]['n']}"
        for words, rows in lines.items()
    )
    return drawn(
        lambda axes: draw_expected(axes, lines, reward),
        f"Expected reward of the best of n by {reward}: {told}.",
    )


def _picks(one: Result) -> list[Block]:
    """Return how each reward counted in the pick and how often the pick is its best."""
    content = one.content
    same = content["picked"]["same_as_highest_reward"]
    rows = [
        (
            label,
            str(about["model"]),
            number(float(about["temperature"])),
            f"{same[label]:.1%}",
        )
        for label, about in content["rewards"].items()
    ]
    sure = content["picked"]["mean_win_probability"]
    titles = ("reward", "model", ">temperature", ">pick is its best")
    about = [
        counted(content["candidates"]["number"], "candidate"),
        counted(content["picked"]["prompts"], "prompt"),
    ]
    picks: list[Block] = [Table(", ".join(about), Grid(titles, rows))]
    if sure is not None:
        picks.append(
            Paragraph(
                "If the rewards are calibrated, the pick beats another candidate with a mean "
                f"probability of {sure:.3f}."
            )
        )
    return picks
