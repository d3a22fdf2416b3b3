"""Where a fit may be written, what it replaces, and options that make no sense."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from safetensors.numpy import save_file

from margintool.cli.from_options import argument_help
from margintool.similarity.fit.early_end import says_how_to_go_on, says_what_memory_needs
from margintool.similarity.fit.fitting import fit, run_fit
from margintool.similarity.fit.folder import MADE_BY, FitFolder, write_record
from margintool.similarity.fit.options import FitOptions, checked_fit_options
from mmpo_core.errors import InputError
from mmpo_core.locking import locked
from tests.similarity.fit_pairs import cat_pairs


@pytest.fixture
def options(tmp_path: Path) -> FitOptions:
    return FitOptions(pairs=tmp_path / "pairs.parquet", out=tmp_path / "out")


def finished(folder: Path, **more: str) -> None:
    """Write what a fit leaves: fit.json and a weight, and more files."""
    folder.mkdir()
    files = {"model.safetensors": "old"} | more
    for name, text in files.items():
        (folder / name).write_text(text)
    write_record(folder, {"made_by": MADE_BY, "files": ["fit.json", "model.safetensors"]})


def begun(options: FitOptions) -> FitFolder:
    folder = FitFolder(options)
    folder.work.mkdir()
    folder.begin({"made_by": MADE_BY})
    return folder


def keep_checkpoint(folder: FitFolder) -> Path:
    """Write what is_whole asks of a checkpoint."""
    checkpoint = folder.checkpoints / "checkpoint-3"
    checkpoint.mkdir(exist_ok=True)
    (checkpoint / "trainer_state.json").write_text("{}")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        with ZipFile(checkpoint / name, "w"):
            pass
    save_file({"weight": np.zeros(1)}, checkpoint / "model.safetensors")
    return checkpoint


def refused(options: FitOptions, match: str) -> None:
    with pytest.raises(InputError, match=match):
        FitFolder(options).check()


def test_a_new_or_empty_folder_will_do(options: FitOptions) -> None:
    FitFolder(options).check()
    options.out.mkdir()
    FitFolder(options).check()
    assert list(options.out.iterdir()) == []


@pytest.mark.parametrize("more", [{}, {"overwrite": True}])
def test_a_folder_that_no_fit_made_is_never_replaced(
    options: FitOptions, more: dict[str, Any]
) -> None:
    options.out.mkdir()
    (options.out / "notes.txt").write_text("mine")
    refused(replace(options, **more), r"out: holds files that no fit made \(notes.txt\)")
    (options.out / "fit.json").write_text(json.dumps({"made_by": "another tool"}))
    refused(replace(options, **more), "holds files that no fit made")


def test_neither_is_what_else_is_in_a_fit_folder(options: FitOptions) -> None:
    finished(options.out, **{"notes.txt": "mine"})
    refused(
        replace(options, overwrite=True), r"files beside those of its fit \(notes.txt\). Move them"
    )


def test_a_finished_fit_is_replaced_only_when_asked(options: FitOptions) -> None:
    finished(options.out)
    refused(options, "already holds a fitted model. --overwrite replaces it")
    FitFolder(replace(options, overwrite=True)).check()
    refused(replace(options, resume=True), "this fit is finished; there is nothing to resume")


def test_an_interrupted_fit(options: FitOptions) -> None:
    refused(replace(options, resume=True), "there is no interrupted fit; there is nothing to")
    keep_checkpoint(begun(options))
    refused(options, "a fit was interrupted there. --resume goes on with it, --overwrite starts")
    FitFolder(replace(options, resume=True)).check()
    FitFolder(replace(options, overwrite=True)).check()


def test_a_fit_that_ended_before_its_first_whole_checkpoint(options: FitOptions) -> None:
    """As a kill -9 leaves it: the same command starts again, and --resume says that it cannot."""
    folder = begun(options)
    for _ in range(2):
        FitFolder(options).check()
        refused(
            replace(options, resume=True), "no checkpoint yet; there is nothing to resume. Leave"
        )
        (keep_checkpoint(folder) / "optimizer.pt").write_text("torn")


def test_only_a_checkpoint_is_worth_keeping(options: FitOptions) -> None:
    """However a fit ends: with one it can be resumed, without the folder is gone."""
    folder = begun(options)
    with pytest.raises(KeyboardInterrupt), folder.held():
        raise KeyboardInterrupt
    assert not folder.work.exists()
    keep_checkpoint(begun(options))
    with pytest.raises(KeyboardInterrupt), folder.held():
        raise KeyboardInterrupt
    assert folder.checkpoint().name == "checkpoint-3"
    (folder.checkpoint() / "trainer_state.json").unlink()
    with pytest.raises(InputError, match=r"no checkpoint is left\. Start again"):
        folder.checkpoint()


def test_what_is_said_on_an_interruption(
    options: FitOptions, caplog: pytest.LogCaptureFixture
) -> None:
    folder = begun(options)
    for says in ("before the first checkpoint, and nothing is kept", "--resume goes on from the"):
        caplog.clear()
        with pytest.raises(KeyboardInterrupt), says_how_to_go_on(folder):
            raise KeyboardInterrupt
        assert says in caplog.text
        keep_checkpoint(folder)


def test_what_is_said_where_memory_does_not_suffice(options: FitOptions) -> None:
    """Of training, and of measuring, whose own advice is of options that fit has not."""
    from torch import OutOfMemoryError

    def measuring() -> None:
        try:
            raise OutOfMemoryError("CUDA: none left\nmore")
        except OutOfMemoryError as error:
            raise InputError("Give fewer with batch_tokens") from error

    folder = begun(options)
    advice = r"^out of memory \(CUDA: none left\)\. Give a smaller --batch-size or --max-length$"
    with pytest.raises(InputError, match=advice), says_what_memory_needs(folder):
        measuring()
    keep_checkpoint(folder)
    advice = r"^out of memory \(full\)\. --resume goes on .* start again, with --overwrite$"
    with pytest.raises(InputError, match=advice), says_what_memory_needs(folder):
        raise OutOfMemoryError("full")
    with pytest.raises(InputError, match="of something else"), says_what_memory_needs(folder):
        raise InputError("of something else")


def test_starting_again_clears_what_was_interrupted(options: FitOptions) -> None:
    folder = begun(options)
    (folder.checkpoints / "checkpoint-3").mkdir()
    folder.begin({"made_by": MADE_BY, "again": True})
    assert list(folder.checkpoints.iterdir()) == []
    assert json.loads((folder.work / "fit.json").read_text())["again"]


def test_the_model_is_put_in_its_place_whole(options: FitOptions) -> None:
    finished(options.out)
    folder = begun(replace(options, overwrite=True))
    finished(folder.model)
    (folder.model / "model.safetensors").write_text("new")
    with folder.held():
        folder.publish()
    assert (options.out / "model.safetensors").read_text() == "new"
    assert sorted(path.name for path in options.out.parent.iterdir()) == ["out"]


def test_a_folder_that_was_filled_meanwhile(options: FitOptions) -> None:
    folder = begun(options)
    finished(folder.model)
    options.out.mkdir()
    (options.out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"the model is in .*unfinished/model"):
        folder.publish()
    assert (options.out / "notes.txt").read_text() == "mine"


def test_one_process_at_a_time(options: FitOptions) -> None:
    folder = begun(options)
    with (
        locked(folder.work / "fit", what="fit", instead=""),
        pytest.raises(InputError, match="is writing this fit"),
        folder.held(),
    ):
        pass
    assert (folder.work / "fit.json").exists()


def test_the_lock_of_another_process_is_left_alone(options: FitOptions) -> None:
    """One that has not begun yet, such as while it loads its model."""
    folder = FitFolder(options)
    with locked(folder.work / "fit", what="fit", instead=""):
        before = sorted(folder.work.iterdir())
        with pytest.raises(InputError, match="is writing this fit"), folder.held():
            pass
        assert sorted(folder.work.iterdir()) == before != []


def test_a_file_or_no_name(options: FitOptions) -> None:
    options.out.write_text("mine")
    refused(options, "out: is a file")
    refused(replace(options, out=Path("/")), "cannot be a model's folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(options: FitOptions) -> None:
    options.out.parent.chmod(0o500)
    with pytest.raises(InputError, match="cannot be"), FitFolder(options).held():
        pass
    options.out.parent.chmod(0o700)


def test_the_base_model_is_not_written_over(options: FitOptions) -> None:
    finished(options.out)
    for base in (options.out, options.out / "part"):
        base.mkdir(exist_ok=True)
        write_record(options.out, {"made_by": MADE_BY})
        refused(
            replace(options, base_model=str(base), overwrite=True), "the base model is read from"
        )


def test_a_base_model_that_is_not_there(options: FitOptions) -> None:
    cat_pairs(options.pairs, prompts=10)
    with pytest.raises(InputError, match="/nowhere: no such folder"):
        run_fit(replace(options, base_model="/nowhere"))
    empty = options.out.with_name("empty")
    empty.mkdir()
    with pytest.raises(InputError, match="no model there"):
        fit(pairs=options.pairs, out=options.out, base_model=str(empty))
    assert sorted(path.name for path in options.out.parent.iterdir()) == ["empty", "pairs.parquet"]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"epochs": 0.0}, "--epochs must be a number > 0"),
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be"),
        ({"warmup": 1.0}, "--warmup must be a share"),
        ({"max_length": 7}, "--max-length must be at least 8"),
        ({"eval_fraction": 0.0}, "--eval-fraction must be"),
        ({"eval_fraction": 0.5, "test_fraction": 0.5}, "leave no prompts to train on"),
        ({"checkpoints": 0}, "--checkpoints must be"),
        ({"max_pairs": -1}, "--max-pairs must be"),
        ({"seed": -1}, "--seed must be"),
        ({"device": "cuda:1"}, "--device must be one of cpu, cuda, cuda:0, mps"),
        ({"dtype": "float16"}, "--dtype: 'float16' is not one of float32, bfloat16"),
        ({"resume": True, "overwrite": True}, "give one of them"),
        ({"cross_encoder": True, "with_prompt": True}, "reads the prompt in any case"),
        ({"base_model": " "}, "--base-model: name a model"),
        ({"batch_size": 1.5}, "--batch-size: expected a whole number"),
    ],
)
def test_options_that_make_no_sense(options: FitOptions, given: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        checked_fit_options(replace(options, **given))


def test_options_are_typed_and_documented(options: FitOptions) -> None:
    given = replace(options, pairs=str(options.pairs), epochs=2)  # type: ignore[arg-type]
    checked = checked_fit_options(given)
    assert (checked.pairs, checked.epochs) == (options.pairs, 2.0)
    assert json.loads(json.dumps(checked.as_dict()))["pairs"] == str(options.pairs)
    assert set(argument_help(FitOptions)) == set(checked.as_dict())
