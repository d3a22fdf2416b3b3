"""Which runs of a sweep are done, and how the others go on. Read by sweeping.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmpo_core.errors import InputError
from mmpo_core.run_folder import RUN_FILE, changed_since, last_checkpoint, read_run
from mmpo_core.run_record import fingerprint
from mmpo_core.sweep.grid import PlannedRun
from mmpo_core.sweep.options import SweepOptions
from mmpo_core.train_options import TrainOptions

_INSTEAD = "Take another --out, or do the runs again with --overwrite"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        run: the run.
        record: what run.json says of it, if it is finished.
        checkpoint: name of the checkpoint that it goes on from, if there is one.
        replaces: whether something of an earlier run is in its folder, and goes.
    """

    run: PlannedRun
    record: dict[str, Any] | None = None
    checkpoint: str | None = None
    replaces: bool = False

    def words(self) -> str:
        """Return the state in words."""
        if self.record is not None:
            return "done"
        return f"goes on from {self.checkpoint}" if self.checkpoint else "to do"


def progress_of(options: SweepOptions, runs: Sequence[PlannedRun]) -> list[Progress]:
    """Return how far each run is; with overwrite, all are to do.

    Raises:
        InputError: if a run was made with other options or pairs, or is finished without the model
            that is now to be kept, or its run.json cannot be read.
    """
    contents = {
        path: fingerprint(path) for path in (options.pairs, options.eval_pairs) if path is not None
    }
    found = []
    for run in runs:
        there = (run.options.folder / RUN_FILE).exists()
        if options.overwrite or not there:
            found.append(Progress(run, replaces=there))
        else:
            found.append(_begun(run, contents, keep_model=options.keep_models))
    return found


def _begun(run: PlannedRun, contents: dict[Any, str], *, keep_model: bool) -> Progress:
    folder = run.options.folder
    record = read_run(folder, _INSTEAD)
    changed = changed_since(record, run.options, lambda: contents[run.options.pairs])
    changed += _other_evaluation(record, run.options, contents)
    if changed:
        raise InputError(f"{folder}: was made with other options: {', '.join(changed)}. {_INSTEAD}")
    if record["status"] == "finished":
        if keep_model and not record.get("model_kept", True):
            raise InputError(
                f"{folder}: is finished and its model was not kept. Leave --keep-models out, or do "
                "the runs again with --overwrite"
            )
        return Progress(run, record=record)
    checkpoint = last_checkpoint(folder)
    name = None if checkpoint is None else checkpoint.name
    return Progress(run, checkpoint=name, replaces=True)


def _other_evaluation(
    record: dict[str, Any], options: TrainOptions, contents: dict[Any, str]
) -> list[str]:
    if options.eval_pairs is None or not record.get("eval_pairs"):
        return []  # given in one of the two only: changed_since has said so
    same = record["eval_pairs"]["fingerprint"] == contents[options.eval_pairs]
    return [] if same else ["the content of the evaluation pairs"]
