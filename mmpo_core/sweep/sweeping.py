"""sweep(): a grid of training runs, one after another, and what came of them. READ THIS FIRST.

    from mmpo_core.sweep.sweeping import sweep
    sweep(pairs="pairs.parquet", model="tiny", gamma=[0.3, 1.1, 2.2], lr=1e-3, seeds=3)

`margintool sweep` is the same from the command line. Every run is an ordinary one of train, in
FOLDER/runs/NAME. They share the reference cache, and hold out the same prompts.
"""

import dataclasses
import gc
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpo_core.checkpoints import last_checkpoint
from mmpo_core.errors import InputError
from mmpo_core.file_metadata import recorded_gamma
from mmpo_core.locking import locked
from mmpo_core.options import takes_options
from mmpo_core.run_folder import RUN_FILE
from mmpo_core.sweep.files import SWEEP_FILE, write_results
from mmpo_core.sweep.grid import PlannedRun, planned_runs
from mmpo_core.sweep.options import SweepOptions, checked_sweep
from mmpo_core.sweep.progress import Progress, progress_of
from mmpo_core.sweep.results import Best, Row, SettingResult, best_of, by_setting, row_of
from mmpo_core.train import train_run
from mmpo_core.train_data import load_tables
from mmpo_core.training_args import optimizer_steps

logger = logging.getLogger("mmpo_core.sweep")

_TOLD = ("accuracy", "ece", "nll", "steps", "seconds")


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep is going to do.

    Attributes:
        options: checked options.
        runs: all runs of the grid, and how far each is.
        pairs: split -> number of pairs, `train` and `eval`.
        held_out_prompts: prompts of the held-out pairs.
        file_gamma: the gamma that the pair file records, behind its own p_chosen.
    """

    options: SweepOptions
    runs: list[Progress]
    pairs: dict[str, int]
    held_out_prompts: int
    file_gamma: float | None

    def steps(self, run: PlannedRun) -> int:
        """Return the optimizer steps of a run; fewer if pairs are dropped as overlong."""
        return optimizer_steps(run.options, self.pairs["train"])


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to.

    Attributes:
        plan: what was to be done.
        rows: one for each run of the grid (see results.py).
        settings: the runs of each setting together.
        best: by NLL on held-out pairs; None if no setting is whole.
    """

    plan: SweepPlan
    rows: list[Row]
    settings: list[SettingResult]
    best: Best | None

    @property
    def folder(self) -> Path:
        """Where sweep.json, sweep.csv, sweep.png and runs/ are."""
        return self.plan.options.folder

    @property
    def failed(self) -> list[Row]:
        """The rows of runs that failed."""
        return [row for row in self.rows if row["status"] == "failed"]


@takes_options(SweepOptions)
def plan_sweep(options: SweepOptions) -> SweepPlan:
    """Return what a sweep with these options is going to do; nothing is trained or written.

    Raises:
        InputError: for options and pairs that cannot be used, and runs in the folder that were
            made with others.
    """
    options = checked_sweep(options)
    runs = planned_runs(options)
    tables = load_tables(runs[0].options)
    assert tables.evaluation is not None  # checked_sweep
    return SweepPlan(
        options,
        progress_of(options, runs),
        {"train": tables.train.num_rows, "eval": tables.evaluation.num_rows},
        len(tables.evaluation["prompt"].unique()),
        recorded_gamma(tables.metadata),
    )


@takes_options(SweepOptions)
def sweep(options: SweepOptions) -> SweepResult:
    """Train on every setting of a grid with every seed, and compare the runs on held-out pairs.

    Takes the fields of SweepOptions as keywords. Finished runs are not done again, interrupted
    ones go on from their checkpoints, and a run that fails does not stop the others.

    Raises:
        InputError: as plan_sweep, and for what keeps the first run from its first step.
    """
    if options.dry_run:
        raise InputError("dry_run trains nothing: call plan_sweep")
    folder = options.folder
    with locked(folder / SWEEP_FILE, what="sweep", instead="name another with --out"):
        plan = plan_sweep(**vars(options))
        rows = [row_of(one.run, one.record) for one in plan.runs]
        started = False
        for number, one in enumerate(plan.runs):
            if one.record is None:
                head = f"run {number + 1} of {len(plan.runs)}: {one.run.name}"
                logger.info("%s", head if one.checkpoint is None else f"{head}, {one.words()}")
                with _says_how_to_go_on(one.run, head, plan.options):
                    rows[number] = _row(one, plan.options, first=not started)
                started = True
                _tell(rows[number])
                write_results(_result(plan, rows), drawn=False)
        result = _result(plan, rows)
        write_results(result)
    return result


def _result(plan: SweepPlan, rows: Sequence[Row]) -> SweepResult:
    settings = by_setting(rows)
    return SweepResult(plan, list(rows), settings, best_of(settings))


def _row(one: Progress, options: SweepOptions, *, first: bool) -> Row:
    """Do a run and return its row, also where it fails.

    Raises:
        InputError: if the first run cannot even begin: no other one would.
    """
    resume = one.checkpoint is not None
    again = one.replaces and not resume
    asked = dataclasses.replace(one.run.options, resume=resume, overwrite=again)
    try:
        record = train_run(asked, interrupted=_silently, keep_model=options.keep_models).record
    except Exception as error:
        begun = (asked.folder / RUN_FILE).exists()
        if first and not begun and isinstance(error, InputError):
            raise
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return row_of(one.run, None, text)
    finally:
        _free_memory()
    return row_of(one.run, record)


def _silently(_options: Any) -> nullcontext[None]:
    """Stand in for train's advice on how to resume: that of a sweep is another."""
    return nullcontext()


@contextmanager
def _says_how_to_go_on(run: PlannedRun, head: str, options: SweepOptions) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        checkpoint = last_checkpoint(run.options.folder)
        never = "save_strategy=no" in options.set
        hint = "" if never else " (see --save-steps)"
        logger.warning(
            "interrupted in %s. The same command%s keeps the finished runs and goes on with this "
            "one %s",
            head,
            ", without --overwrite," if options.overwrite else "",
            f"from {checkpoint.name}" if checkpoint else f"from its beginning{hint}",
        )
        raise


def _tell(row: Row) -> None:
    if row["status"] == "failed":
        logger.warning("  failed: %s", row["message"])
        return
    logger.info(
        "  held out: accuracy %.4f  ECE %.4f  NLL %.4f  (%d steps, %.1f s)",
        *(math.nan if row[name] is None else row[name] for name in _TOLD),
    )


def _free_memory() -> None:
    """Let go of a run's model before the next one is loaded."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
