"""The whole demo in order: simulate, score, train both arms with every seed, evaluate.

    margintool demo --out demo

is `run_demo(DemoOptions(out="demo"), print)`. A finished model is kept with its predictions, so
the same command goes on where an earlier one stopped.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from margintool.demo.heldout import Floats, Heldout, read_heldout
from margintool.demo.model_run import ModelRun, log_odds, plain
from margintool.demo.plot import plot_results
from margintool.demo.results import Results, make_results
from margintool.demo.settings import (
    ARMS,
    HELDOUT_FILE,
    PAIR_FILE,
    PLOT_FILE,
    RESULTS_FILE,
    SCORING,
    SETTINGS_FILE,
    TRAIN_FILE,
    Budget,
    DemoOptions,
    budget,
)
from margintool.demo.workers import train_all
from margintool.pipeline import score
from margintool.simulate import simulate, write_rows
from margintool.summary import ScoreSummary
from mmpo_core.errors import InputError
from mmpo_core.run_folder import write_json

Say = Callable[[str], None]


def run_demo(options: DemoOptions, say: Say = lambda line: None) -> Results:
    """Run the demo, or what is left of it; write results.json and demo.png; return the results.

    Args:
        options: see DemoOptions.
        say: told in a line what is being done.

    Raises:
        InputError: if an option is out of range, or the folder holds something else.
    """
    started = time.monotonic()
    sizes = budget(options)
    open_folder(options, sizes)
    heldout, summary = make_data(options.folder, sizes, say)
    gaps = train_arms(options, sizes, say)
    results = make_results(options, sizes, heldout, summary, gaps)
    results["seconds_of_this_command"] = round(time.monotonic() - started, 1)
    write_json(options.folder / RESULTS_FILE, results)
    plot_results(results, heldout, gaps, options.folder / PLOT_FILE)
    say(f"Wrote {options.folder / RESULTS_FILE} and {options.folder / PLOT_FILE}")
    return results


def open_folder(options: DemoOptions, sizes: Budget) -> None:
    """Make the folder ready, or find that it holds this demo already.

    Raises:
        InputError: if it is a file, holds something else or a demo with other settings, or cannot
            be written.
    """
    folder, path = options.folder, options.folder / SETTINGS_FILE
    wanted = plain({"seed": options.seed, "quick": options.quick, **asdict(sizes)})
    if path.is_file():
        found = _read_settings(path)
        changed = [name for name in wanted if found.get(name) != wanted[name]]
        if changed:
            raise InputError(
                f"{folder}: holds a demo with other settings ({', '.join(changed)}). Give another "
                "--out, or delete the folder"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not a demo's folder. Give another --out")
    try:
        write_json(path, wanted)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}). Give another --out") from error
    return found


def make_data(folder: Path, sizes: Budget, say: Say) -> tuple[Heldout, ScoreSummary]:
    """Simulate both splits and score the one that is trained on."""
    drawn = simulate(sizes.simulation)
    write_rows(drawn.train, folder / TRAIN_FILE)
    write_rows(drawn.heldout, folder / HELDOUT_FILE)
    say(
        f"Simulated votes on {len(drawn.train)} pairs to train on and {len(drawn.heldout)} held "
        "out, other prompts and answers"
    )
    summary = score(input=folder / TRAIN_FILE, out=folder / PAIR_FILE, overwrite=True, **SCORING)
    say(f"Scored them: mean target {summary.mean_target:.3f} in {folder / PAIR_FILE}")
    return read_heldout(folder / HELDOUT_FILE), summary


def train_arms(options: DemoOptions, sizes: Budget, say: Say) -> dict[str, dict[int, Floats]]:
    """Return arm -> seed -> (N,) predicted log-odds, from models trained now or kept."""
    folder = options.folder
    runs = {
        (name, seed): ModelRun(
            title=f"{arm.label}, seed {seed}",
            folder=str(folder / f"{name}-seed{seed}"),
            pairs=str(folder / PAIR_FILE),
            heldout=str(folder / HELDOUT_FILE),
            training={**sizes.training, **arm.training, "seed": seed},
        )
        for seed in options.training_seeds
        for name, arm in ARMS.items()
    }
    train_all(list(runs.values()), folder, say)
    gaps: dict[str, dict[int, Floats]] = {name: {} for name in ARMS}
    for (name, seed), run in runs.items():
        gaps[name][seed] = log_odds(run)
    return gaps
