"""Section scores and averages equal to those of the public package's own functions.

The package (rewardbench on PyPI) needs much that is not needed here (fschat, vllm, ...), so it is
no dev dependency. To compare:

    pip install --no-deps --target FOLDER rewardbench
    PYTHONPATH=FOLDER pytest tests/core/evaluate/test_rewardbench_package.py

This file alone, for FOLDER holds a package `tests` of its own. The two functions run in a process
of their own, with the imports that they do not use replaced.
"""

import json
import math
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from mmpo_core.evaluate.rewardbench.scoring import scores_of
from mmpo_core.evaluate.rewardbench.sections import PRIOR, SECTIONS

PACKAGE = find_spec("rewardbench")
pytestmark = pytest.mark.skipif(
    PACKAGE is None,
    reason="the package rewardbench is not installed: scores are not compared with its own",
)

SCRIPT = """
import json, sys, types
from unittest.mock import MagicMock

package = types.ModuleType("rewardbench")
package.__path__ = [sys.argv[1]]
sys.modules["rewardbench"] = package
for name in ("fastchat", "fastchat.conversation", "rewardbench.models"):
    sys.modules[name] = MagicMock()

import pandas as pd
from analysis.get_benchmark_results import get_average_over_rewardbench
from rewardbench.constants import EXAMPLE_COUNTS, SUBSET_MAPPING
from rewardbench.utils import calculate_scores_per_section

found = []
for core, prior in json.load(sys.stdin):
    sections = calculate_scores_per_section(EXAMPLE_COUNTS, SUBSET_MAPPING, core)
    table = pd.DataFrame([{"model": "m", "model_type": "DPO", **core}])
    names = ["anthropic_helpful", "anthropic_hhh", "shp", "summarize"]
    other = {"model": "m" if prior else "another"}
    prefs = pd.DataFrame([other | {name: prior.get(name, float("nan")) for name in names}])
    prefs[names] = prefs[names].astype(float)
    whole = get_average_over_rewardbench(table, prefs).iloc[0].to_dict() if core else {}
    found.append({"sections": sections, "whole": whole})
facts = {"counts": EXAMPLE_COUNTS, "mapping": SUBSET_MAPPING}
print(json.dumps({"facts": facts, "found": found}))
"""


def tables(count: int) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Return random (core, prior) results, every second with absent subsets, some without prior."""
    rng = np.random.default_rng(11)
    made = []
    for number in range(count):
        split: list[dict[str, float]] = [{}, {}]
        for section, one in SECTIONS.items():
            names = list(one.counts)
            kept = names if number % 2 == 0 else names[: int(rng.integers(1, len(names) + 1))]
            examples = rng.integers(1, 400, len(kept))
            right = [int(rng.integers(0, total + 1)) for total in examples]
            for name, hits, total in zip(kept, right, examples, strict=True):
                split[section == PRIOR][name] = hits / int(total)
        if number % 5 == 4:
            split[1] = {}
        made.append((split[0], split[1]))
    return made


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    assert PACKAGE is not None
    assert PACKAGE.submodule_search_locations
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, PACKAGE.submodule_search_locations[0]],
        input=json.dumps(tables(200)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_facts_are_the_package_s(theirs: dict[str, Any]) -> None:
    core = {name: one for name, one in SECTIONS.items() if name != PRIOR}
    assert {name: list(one.counts) for name, one in core.items()} == theirs["facts"]["mapping"]
    counts = {subset: count for one in core.values() for subset, count in one.counts.items()}
    assert counts == theirs["facts"]["counts"]


def test_scores_are_the_package_s(theirs: dict[str, Any]) -> None:
    for (core, prior), their in zip(tables(200), theirs["found"], strict=True):
        ours = scores_of(core | prior)
        assert {k: v for k, v in ours.sections.items() if k != PRIOR} == pytest.approx(
            their["sections"], rel=0, abs=1e-12
        )
        whole = their["whole"]
        assert ours.average == pytest.approx(whole["average"], rel=0, abs=1e-12)
        their_prior = whole["Prior Sets (0.5 weight)"]
        if prior:
            assert ours.sections[PRIOR] == pytest.approx(their_prior, rel=0, abs=1e-12)
        else:
            assert PRIOR not in ours.sections
            assert math.isnan(their_prior)
