"""experiment.json: settings, seeds, versions, seconds, tables, differences, verdicts.

    tables       [{title, columns, rows: [{name, cells: [{mean, sd, over_seeds, over_prompts}]}]}]
    differences  [{what, mean, sd, over_seeds, over_prompts, verdict}]
    claims       [{claim, whose, here, outcome}]: what was asked, who says so, what came out
    verdicts     the lines printed at the end

Read by running.py and the experiments; table.py shows it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from margintool.experiments.comparing import (
    UNCLEAR,
    UNKNOWN,
    Finding,
    Measured,
    finding,
    interval_words,
)
from margintool.experiments.options import ExperimentOptions
from margintool.page.experiment_file import EXPERIMENT_FILE as EXPERIMENT_FILE
from mmpo_core.command_line import changed_words
from mmpo_core.options import plain_values
from mmpo_core.run_folder import write_json

PAGE_FILE = "report.html"
RUN_FILES = "sweeps/*/runs/*/run.json"
AGREES, DISAGREES, OPEN = "agrees", "disagrees", "not shown either way"
# Whose a claim is. The paper's abstract: MMPO "is more robust to overfitting, leading to
# better-calibrated models".
PAPER, LOSS, ASKED_HERE = "the paper", "the loss", "asked here"


def settings_of(options: ExperimentOptions) -> dict[str, Any]:
    """Return an experiment's options as JSON holds them, all but the folder."""
    plain = plain_values(options)
    plain.pop("out")
    return {name: list(one) if isinstance(one, tuple) else one for name, one in plain.items()}


def command_of(name: str, options: ExperimentOptions) -> list[str]:
    """Return an experiment's command as words, with the options that are not as by default."""
    words = changed_words(type(options), plain_values(options))
    return ["margintool", "experiment", name, *words]


@dataclass
class Record:
    """What an experiment came to, as it is gathered.

    Attributes:
        name: of the experiment.
        data: what it was run on.
        tables, differences, claims: see the module.
    """

    name: str
    data: list[Mapping[str, Any]]
    tables: list[dict[str, Any]] = field(default_factory=list)
    differences: list[dict[str, Any]] = field(default_factory=list)
    claims: list[dict[str, str]] = field(default_factory=list)

    def add_table(
        self,
        title: str,
        columns: Mapping[str, str],
        measured: Measured,
        labels: Mapping[str, str],
    ) -> None:
        """Add a table of arms by metrics.

        Args:
            title: of the table.
            columns: metric -> heading.
            measured: arm -> seed -> metric -> estimate.
            labels: arm -> what the table calls it.
        """
        rows = []
        for arm, by_seed in measured.items():
            cells = [finding([one[metric] for one in by_seed.values()]) for metric in columns]
            rows.append({"name": labels[arm], "cells": [cell.to_dict() for cell in cells]})
        self.tables.append({"title": title, "columns": list(columns.values()), "rows": rows})

    def add_difference(self, what: str, found: Finding, better: str | None = None) -> str:
        """Add a difference and return its verdict."""
        word = found.verdict(better)
        self.differences.append({"what": what, **found.to_dict(), "verdict": word})
        return word

    def add_claim(self, claim: str, word: str, expected: str, whose: str) -> None:
        """Set a claim beside what came out.

        Args:
            claim: what is to be expected.
            word: verdict of a difference.
            whose: PAPER, LOSS where it follows from the equations, or ASKED_HERE: a question that
                the paper leaves open.
            expected: the verdict that would agree with it. Where that is UNCLEAR, no interval can
                show it: a clear difference disagrees, and none is open.
        """
        unsure = word in (UNCLEAR, UNKNOWN)
        outcome = OPEN if unsure else AGREES if word == expected else DISAGREES
        self.claims.append({"claim": claim, "whose": whose, "here": word, "outcome": outcome})

    def verdicts(self) -> list[str]:
        """Return a line for each difference, and one for each claim."""
        lines = []
        for one in self.differences:
            prompts = one["over_prompts"]
            over = "" if prompts is None else f"; over prompts {interval_words(prompts)}"
            lines.append(
                f"{one['what']}: {one['mean']:+.3f} (95% over seeds "
                f"{interval_words(one['over_seeds'])}{over}): {one['verdict']}"
            )
        lines += [f"{one['claim']}: {one['outcome']}" for one in self.claims]
        return lines


def finish(
    record: Record, options: ExperimentOptions, started: float, pictures: Sequence[str]
) -> dict[str, Any]:
    """Write experiment.json and return its content."""
    from mmpo_core.run_record import versions

    content = {
        "experiment": record.name,
        "settings": settings_of(options),
        "command": command_of(record.name, options),
        "seeds": options.training_seeds,
        "data": [dict(one) for one in record.data],
        "tables": record.tables,
        "differences": record.differences,
        "claims": record.claims,
        "verdicts": record.verdicts(),
        "pictures": list(pictures),
        "seconds_of_this_command": round(time.monotonic() - started, 1),
        "seconds_of_training": round(sum(finished_seconds(options.out)), 1),
        "versions": versions(),
    }
    write_json(options.out / EXPERIMENT_FILE, content)
    return content


def finished_seconds(folder: Path) -> list[float]:
    """Return what each finished run of an experiment took."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob(RUN_FILES)]
    return [one["seconds"] for one in records if one["status"] == "finished"]
