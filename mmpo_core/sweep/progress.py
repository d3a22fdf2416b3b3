"""Which runs of a sweep are done, and how the others go on. Read by sweeping.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmpo_core.checkpoints import last_checkpoint
from mmpo_core.errors import InputError
from mmpo_core.run_folder import RUN_FILE, changed_since, read_run
from mmpo_core.run_record import Fingerprint, input_fingerprints
from mmpo_core.sweep.grid import PlannedRun
from mmpo_core.sweep.options import SweepOptions

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
    found = []
    contents = input_fingerprints(runs[0].options)  # the same for all
    for run in runs:
        there = (run.options.folder / RUN_FILE).exists()
        if options.overwrite or not there:
            found.append(Progress(run, replaces=there))
        else:
            found.append(_begun(run, contents, keep_model=options.keep_models))
    return found


def _begun(
    run: PlannedRun, contents: tuple[Fingerprint, Fingerprint | None], *, keep_model: bool
) -> Progress:
    folder = run.options.folder
    record = read_run(folder, _INSTEAD)
    changed = changed_since(record, run.options, *contents)
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
