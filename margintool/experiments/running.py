"""How every experiment runs: arms trained by `sweep`, measured by `evaluate`. READ THIS FIRST.

    DIR/experiment.json         settings while it runs; with `tables` and `verdicts` it is finished
    DIR/data/                   pair files
    DIR/sweeps/ARM/             the arm's runs, one a seed: a folder of `margintool sweep`
    DIR/evaluations/NAME/       all arms with one seed on one file: folders of `margintool evaluate`
    DIR/report.html             a page of all of it; registry.py has it written

Nothing that is whole is done again: sweep keeps finished runs and evaluate keeps predictions, so
an interrupted experiment goes on with the same command.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from margintool.experiments.comparing import Predicted
from margintool.experiments.data import Data
from margintool.experiments.options import ExperimentOptions, check
from margintool.experiments.record import (
    EXPERIMENT_FILE,
    RUN_FILES,
    command_of,
    finished_seconds,
    settings_of,
)
from mmpo_core.errors import InputError, UnfinishedError
from mmpo_core.run_folder import check_writable, write_json

Say = Callable[[str], None]
# arm -> seed -> folder of the run
Runs = dict[str, dict[int, Path]]


@dataclass(frozen=True)
class Arm:
    """A way to train that is compared with others.

    Attributes:
        label: what tables and pictures call it.
        data: what it is trained on.
        training: options of `sweep` that only this arm has.
    """

    label: str
    data: Data
    training: dict[str, Any] = field(default_factory=dict)


def begin(name: str, options: ExperimentOptions) -> float:
    """Make the folder ready, or find that it holds this experiment already; return the clock.

    Raises:
        InputError: if an option is out of range, or the folder holds something else, holds runs
            of an experiment with other settings, or cannot be written.
    """
    check(options)
    folder, path = options.out, options.out / EXPERIMENT_FILE
    wanted: dict[str, Any] = {"experiment": name, "settings": settings_of(options)}
    # Before the first run nothing can be lost: a mistyped option may be put right.
    if path.is_file() and any(folder.glob(RUN_FILES)):
        found = _read(path)
        changed = [key for key in wanted if found.get(key) != wanted[key]]
        if changed:
            old, new = found.get("settings") or {}, wanted["settings"]
            names = [key for key in new if old.get(key) != new[key]] or changed
            raise InputError(
                f"{folder}: holds an experiment with other settings ({', '.join(names)}). Give "
                "another --out, or delete the folder"
            )
        return time.monotonic()
    if not path.is_file() and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an experiment's folder. Give another --out")
    check_writable(folder)
    write_json(path, {**wanted, "command": command_of(name, options)})
    return time.monotonic()


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}). Give another --out") from error
    return found


def train_arms(options: ExperimentOptions, arms: Mapping[str, Arm], say: Say) -> Runs:
    """Train every arm with every seed, and keep the models.

    Raises:
        InputError: for options and pairs that cannot be used.
        UnfinishedError: if a run failed.
    """
    from mmpo_core.sweep.sweeping import sweep

    runs: Runs = {}
    for name, arm in arms.items():
        left = time_left(finished_seconds(options.out), len(arms) * options.seeds)
        say(f"{arm.label}: {options.seeds} runs; arm {len(runs) + 1} of {len(arms)}{left}")
        result = sweep(
            **{
                "model": options.model,
                "lr": options.lr,
                "epochs": options.trained_epochs,
                "beta": options.beta,
                "batch_size": options.batch_size,
                "max_length": options.max_length,
                "device": options.device,
                "seeds": ",".join(map(str, options.training_seeds)) + ",",
                "split_seed": options.seed,
                "eval_gamma": "file",
                "keep_models": True,
                # a run takes a minute or so: an interrupted one begins anew
                "set": ("save_strategy=no",),
                "pairs": arm.data.train,
                "eval_pairs": arm.data.held_out,
                **arm.training,
                "out": options.out / "sweeps" / name,
            }
        )
        if result.failed:
            raise UnfinishedError(
                f"{arm.label}: a run failed: {result.failed[0]['message']}. The same command keeps "
                "finished runs and tries this one again"
            )
        runs[name] = {one.run.seed: one.run.options.folder for one in result.plan.runs}
    return runs


def time_left(seconds: Sequence[float], runs: int) -> str:
    """Return in words what training will still take, if finished runs tell.

    Args:
        seconds: of each finished run.
        runs: all that there are to be.
    """
    left = runs - len(seconds)
    if not seconds or not left:
        return ""
    minutes = left * sum(seconds) / len(seconds) / 60
    return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"


def predict_arms(
    options: ExperimentOptions, name: str, runs: Runs, data: Data, say: Say
) -> Predicted:
    """Return what every model says of the held-out pairs; an evaluation's folder for each seed.

    Args:
        options: of the experiment.
        name: of the evaluations' folders.
        runs: the models.
        data: whose held-out pairs are predicted, against the file's own targets.
        say: told in a line what is being done.
    """
    from mmpo_core.evaluate.running import evaluate
    from mmpo_core.short_names import short_names

    found: dict[str, dict[int, Any]] = {arm: {} for arm in runs}
    say(f"Measuring on held-out pairs of {data.name}")
    for seed in options.training_seeds:
        models = {arm: str(by_seed[seed]) for arm, by_seed in runs.items()}
        labels = short_names(tuple(models.values()))
        result = evaluate(
            models=tuple(models.values()),
            data=data.held_out,
            out=options.out / "evaluations" / f"{name}-seed{seed}",
            gamma="file",
            bootstrap=options.resamples,
            seed=options.seed,
            device=options.device,
        )
        for arm, model in models.items():
            found[arm][seed] = result.predictions[labels[model]]
    return found
