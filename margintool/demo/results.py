"""results.json: every number of a demo, with the settings and commands that give it again.

Read by run.py (writes it), table.py and plot.py (show it).
"""

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from margintool.demo.heldout import Heldout, sigmoid
from margintool.demo.outcome import Gaps, as_dict, conclusion, differences, numbers, spread
from margintool.demo.settings import ARMS, PAIR_FILE, SCORING, TRAIN_FILE, Budget, DemoOptions
from margintool.score_options import ScoreOptions
from margintool.summary import ScoreSummary
from mmpo_core.bradley_terry import solve_gamma
from mmpo_core.pair_file import read_table
from mmpo_core.run_record import versions

Results = dict[str, Any]


def make_results(
    options: DemoOptions, sizes: Budget, heldout: Heldout, summary: ScoreSummary, gaps: Gaps
) -> Results:
    """Return everything that is known about a finished demo, as JSON holds it.

    Args:
        options: of the demo.
        sizes: what it simulated and trained.
        heldout: the N held-out pairs.
        summary: what scoring the training pairs came to.
        gaps: arm -> seed -> (N,) predicted log-odds.
    """
    arms = {}
    for name, arm in ARMS.items():
        per_seed = {seed: numbers(sigmoid(gap), heldout) for seed, gap in gaps[name].items()}
        arms[name] = {"label": arm.label, "seeds": per_seed, **spread(per_seed)}
    found = differences(gaps, heldout, sizes.resamples, options.seed)
    return {
        "data": "simulated: no person wrote or voted on any of it (data_cards/simulated.md)",
        "settings": {
            "seed": options.seed,
            "training_seeds": options.training_seeds,
            "quick": options.quick,
            "simulation": asdict(sizes.simulation),
            "scoring": SCORING,
            "training": sizes.training,
            "bootstrap_resamples": sizes.resamples,
        },
        "training_pairs": summary.kept,
        "mean_target": summary.mean_target,
        "gamma_of_the_defaults": default_gamma(summary),
        "heldout_pairs": len(heldout.prompt),
        "heldout_prompts": len(set(heldout.prompt)),
        "arms": arms,
        "always_one_half": numbers(np.full(len(heldout.prompt), 0.5), heldout),
        "differences": as_dict(found),
        "conclusion": conclusion(found),
        "commands": commands(options, sizes),
        "versions": versions(),
    }


def default_gamma(summary: ScoreSummary) -> float:
    """Return the gamma on these margins that the defaults of `score` come to.

    rms divides all margins by one number, so it changes gamma and no target.
    """
    margins = read_table(summary.out).column("margin").to_numpy()
    return solve_gamma(margins, ScoreOptions(source="shp", out=summary.out).agreement)


def commands(options: DemoOptions, sizes: Budget) -> list[str]:
    """Return the commands that repeat the demo's steps by hand, with its first seed."""
    folder = options.folder
    pairs = str(folder / PAIR_FILE)
    files = {"input": folder / TRAIN_FILE, "out": pairs, "overwrite": True}
    lines = [_command(["score"], {**SCORING, **files}), _command(["inspect", pairs], {})]
    for name, arm in ARMS.items():
        given = {**sizes.training, **arm.training, "seed": options.seed}
        out = folder / f"by-hand-{name}"
        lines.append(_command(["train", pairs], {**given, "out": out}))
    return lines


def _command(words: list[str], options: Mapping[str, Any]) -> str:
    for name, value in options.items():
        for one in value if isinstance(value, tuple) else (value,):
            words = [*words, f"--{name.replace('_', '-')}"]
            if one is not True:
                words.append(f"{one:g}" if isinstance(one, float) else str(one))
    return shlex.join(["margintool", *words])
