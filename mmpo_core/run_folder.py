"""A run's output folder: what may be in it, whether a run goes on there, how a model gets in.

OUT/run.json is there from the first step ("unfinished") and says "finished" only after model,
tokenizer, history and plot are whole. Read by train.py; run_record.py makes run.json's content,
checkpoints.py says which checkpoints are whole.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmpo_core.checkpoints import last_checkpoint, numbered_checkpoints
from mmpo_core.errors import InputError
from mmpo_core.models import MODELS
from mmpo_core.pair_file import whole_file
from mmpo_core.run_options import RunOptions
from mmpo_core.run_record import finite

RUN_FILE, HISTORY_FILE = "run.json", "log_history.jsonl"
# run.json last: while anything of a run is left, so is the sign that a run made it
_MADE_HERE = (
    HISTORY_FILE,
    "train.png",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "adapter_config.json",
    "adapter_model.safetensors",
    ".model.partial",
    RUN_FILE,
)
# May differ between a run and its continuation: they do not change what is learnt.
_MAY_DIFFER = (
    "resume overwrite out logging_steps eval_steps save_steps save_total_limit report_to "
    "push_to_hub hub_private"
).split()


def check_folder(
    options: RunOptions, content: Callable[[], str], evaluation: Callable[[], str] | None = None
) -> Path | None:
    """Return the checkpoint to resume from, or None for a new run.

    Args:
        options: of the run.
        content: gives the fingerprint of what the run reads, as its run.json holds it.
        evaluation: the same of a file that it is evaluated on, if it has one.

    Raises:
        InputError: if the folder cannot be written, is the model's or the reference's, holds a run
            already (neither resume nor overwrite asked for) or a model that no run made, or there
            is nothing to resume.
    """
    folder = options.folder
    check_writable(folder)
    _check_not_read(options)
    if options.resume:
        _check_same_run(options, content, evaluation)
        return _to_resume(folder)
    held = sorted(path.name for path in _made_here(folder))
    if held and RUN_FILE not in held:
        raise InputError(
            f"{folder}: holds a model that no run made ({', '.join(held[:3])}); choose another "
            "--out"
        )
    if held and not options.overwrite:
        raise InputError(
            f"{folder}: already holds a run ({', '.join(held[:3])}). --resume goes on with an "
            "interrupted one, --overwrite replaces it, --out takes another folder"
        )
    return None


def _made_here(folder: Path) -> list[Path]:
    """Return what a run makes and this folder holds, run.json last."""
    checkpoints = [path for _, path in numbered_checkpoints(folder)]
    return checkpoints + [path for pattern in _MADE_HERE for path in folder.glob(pattern)]


def check_writable(folder: Path) -> None:
    """Raise InputError unless the folder, or the nearest one above it, takes a new folder."""
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file; out must be a folder")
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with TemporaryDirectory(prefix=".margintool-", dir=there):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}). Choose another --out"
        ) from error


def _check_not_read(options: RunOptions) -> None:
    """Raise InputError if the run would write over the model or reference it reads."""
    folder = options.folder.resolve()
    for role, name in options.models_read.items():
        if name is None or name in MODELS:
            continue
        source = Path(name).resolve()
        inside = source.parent == folder and source in _made_here(folder)
        if source == folder or inside:
            raise InputError(
                f"{options.folder}: the {role} is read from here; choose another --out"
            )


def _to_resume(folder: Path) -> Path:
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        raise InputError(
            f"{folder}: no complete checkpoint to resume from. Start again with --overwrite; "
            "--save-steps says how often one is written"
        )
    return checkpoint


def _check_same_run(
    options: RunOptions, content: Callable[[], str], evaluation: Callable[[], str] | None
) -> None:
    """Raise InputError unless the options continue the run that OUT/run.json tells of.

    Other options or data would go on with other batches from the middle of that run.
    """
    earlier = earlier_record(options)
    if earlier["status"] == "finished":
        raise InputError(f"{options.folder}: this run is finished; there is nothing to resume")
    changed = changed_since(earlier, options, content, evaluation)
    if changed:
        raise InputError(
            f"{options.folder}: cannot resume with other options: {', '.join(changed)}. Give those "
            "of the run, or another --out"
        )


def earlier_record(options: RunOptions) -> dict[str, Any]:
    """Return run.json of the run that is to be resumed; empty for a new one."""
    return read_run(options.folder, "Start without --resume") if options.resume else {}


def read_run(folder: Path, instead: str) -> dict[str, Any]:
    """Return the content of a folder's run.json.

    Args:
        folder: of the run.
        instead: what to do where there is none, such as `Start without --resume`.

    Raises:
        InputError: if it is not there, or is not the record of a run.
    """
    path = folder / RUN_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: no run to resume ({error}). {instead}") from error
    if not _is_record(record):
        raise InputError(f"{path}: is not the record of a run. {instead}")
    read: dict[str, Any] = record
    return read


def changed_since(
    record: Mapping[str, Any],
    options: RunOptions,
    content: Callable[[], str],
    evaluation: Callable[[], str] | None = None,
) -> list[str]:
    """Return what is not as it was in the run that `record` tells of, in words.

    Options that do not change what is learnt may differ; the input's content may not.

    Args:
        record: as read_run gives it.
        options: checked options.
        content: gives the fingerprint of what the run reads.
        evaluation: the same of a file that it is evaluated on, if it has one.
    """
    before, now = record["arguments"], json.loads(json.dumps(options.to_dict()))
    changed = [
        f"{name} ({before.get(name)} -> {now[name]})"
        for name in now
        if name not in _MAY_DIFFER and before.get(name) != now[name]
    ]
    if _input(record).get("fingerprint") != content():
        changed.append("the content of the input")
    measured = record.get("eval_pairs", record.get("eval_conversations"))
    # a file in one of the two only is another option
    if measured and evaluation is not None and measured["fingerprint"] != evaluation():
        changed.append("the content of the evaluation data")
    return changed


def _input(record: Mapping[str, Any]) -> Any:
    """Return what a record says of the file that the run read."""
    return record.get("pairs", record.get("conversations"))


def _is_record(content: Any) -> bool:
    """Whether a JSON value has what resuming reads (see run_record.start_record)."""
    if not isinstance(content, dict):
        return False
    parts = content.get("arguments"), _input(content)
    return all(isinstance(part, dict) for part in parts) and "status" in content


def clear(folder: Path) -> None:
    """Remove an earlier run's files; anything else in the folder stays."""
    for path in _made_here(folder):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with whole_file(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def write_history(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write log entries as JSON Lines, whole or not at all."""
    with whole_file(folder / HISTORY_FILE) as temporary:
        lines = [json.dumps(finite(entry), allow_nan=False) + "\n" for entry in history]
        temporary.write_text("".join(lines), encoding="utf-8")


def publish(folder: Path, save: Callable[[str], None], *, main: bool = True) -> list[str]:
    """Let `save` write model and tokenizer into a temporary folder, then move them into `folder`.

    Weights are moved last: a folder with config.json alone does not pass for a model.

    Returns:
        the names of what was moved; nothing in other processes.

    Args:
        folder: of the run.
        save: writes into the folder it is given. Called in every process: sharded weights are
            gathered by all of them.
        main: whether this process is the one that writes.
    """
    partial = folder / ".model.partial"
    try:
        save(str(partial))
        return _move_all(partial, folder) if main else []
    finally:
        if main:
            shutil.rmtree(partial, ignore_errors=True)


def _move_all(partial: Path, folder: Path) -> list[str]:
    # a pickle of the options; run.json has them readably
    (partial / "training_args.bin").unlink(missing_ok=True)
    files = sorted(partial.iterdir(), key=lambda path: path.suffix == ".safetensors")
    for path in files:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    for path in files:
        path.replace(folder / path.name)
    return [path.name for path in files]
