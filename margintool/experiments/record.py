"""experiment.json: settings, seeds, versions, seconds, tables, differences, verdicts.

    tables       [{title, columns, rows: [{name, cells: [{mean, sd, over_seeds, over_prompts}]}]}]
    differences  [{what, mean, sd, over_seeds, over_prompts, verdict}]
    claims       [{claim, here, outcome}]: the paper's, and what came out
    verdicts     the lines printed at the end

Read by running.py and the experiments; table.py and docs/experiments.py show it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from mmpo_core.options import plain_values
from mmpo_core.run_folder import write_json

EXPERIMENT_FILE = "experiment.json"
AGREES, DISAGREES, OPEN = "agrees", "disagrees", "not shown either way"


def settings_of(options: ExperimentOptions) -> dict[str, Any]:
    """Return an experiment's options as JSON holds them, all but the folder."""
    plain = plain_values(options)
    plain.pop("out")
    return {name: list(one) if isinstance(one, tuple) else one for name, one in plain.items()}


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

    def add_claim(self, claim: str, word: str, expected: str) -> None:
        """Set what the paper claims beside what came out.

        Args:
            claim: the paper's, or what follows from its equations.
            word: verdict of a difference.
            expected: the verdict that would agree with it. Where that is UNCLEAR, no interval can
                show it: a clear difference disagrees, and none is open.
        """
        unsure = word in (UNCLEAR, UNKNOWN)
        outcome = OPEN if unsure else AGREES if word == expected else DISAGREES
        self.claims.append({"claim": claim, "here": word, "outcome": outcome})

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
        "seeds": options.training_seeds,
        "data": [dict(one) for one in record.data],
        "tables": record.tables,
        "differences": record.differences,
        "claims": record.claims,
        "verdicts": record.verdicts(),
        "pictures": list(pictures),
        "seconds_of_this_command": round(time.monotonic() - started, 1),
        "versions": versions(),
    }
    write_json(options.out / EXPERIMENT_FILE, content)
    return content
