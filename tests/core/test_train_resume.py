"""Interrupted runs: nothing half is left, and --resume ends with the weights of an unbroken run."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmpo_core.checkpoints import is_whole, last_checkpoint
from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.run_folder import publish
from mmpo_core.train import TrainResult, train
from mmpo_core.trainer import PairTrainer
from tests.core.pair_tables import METADATA, pair_table

Start = Callable[..., TrainResult]


@pytest.fixture
def start(tmp_path: Path, micro_model: Path) -> Start:
    """10 pairs, batches of 4 in micro-batches of 2: steps of 4, 4 and 2 pairs, 3 epochs."""
    pairs = tmp_path / "pairs.parquet"
    write_pairs(pair_table([0.3 * i for i in range(10)]), pairs, METADATA)
    given = {
        "pairs": pairs,
        "model": str(micro_model),
        "eval_split": 0.0,
        "batch_size": 4,
        "micro_batch_size": 2,
        "epochs": 3,
        "lr": 1e-2,
        "save_steps": 2,
        "logging_steps": 1,
        "device": "cpu",
    }

    def call(name: str, **options: Any) -> TrainResult:
        return train(out=tmp_path / name, **(given | options))

    return call


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Press Ctrl-C in the micro-batch of this number; once."""
    compute_loss = PairTrainer.compute_loss

    def at(micro_batch: int) -> None:
        seen = 0

        def counted(self: PairTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
            nonlocal seen
            seen += 1
            if seen == micro_batch:
                raise KeyboardInterrupt
            return compute_loss(self, *args, **kwargs)

        monkeypatch.setattr(PairTrainer, "compute_loss", counted)

    return at


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


@pytest.mark.parametrize("more", [{}, {"lora_rank": 2, "dora": True, "lora_dropout": 0.1}])
@pytest.mark.parametrize(("objective", "micro_batch"), [("policy", 9), ("reward", 12)])
def test_resumed_run_ends_with_the_weights_of_an_unbroken_one(
    objective: str,
    micro_batch: int,
    more: dict[str, Any],
    start: Start,
    interrupt: Callable[[int], None],
):
    """Micro-batch 9 is in step 5 (checkpoint 4, middle of epoch 2), 12 in step 7 (checkpoint 6)."""
    start = partial(start, objective=objective, **more)
    unbroken = start("unbroken")
    interrupt(micro_batch)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    broken = unbroken.folder.parent / "broken"
    assert not list(broken.glob("*.safetensors"))
    assert json.loads((broken / "run.json").read_text())["status"] == "unfinished"

    resumed = start("broken", resume=True)
    assert resumed.steps == unbroken.steps == 9
    expected, found = weights(unbroken.folder), weights(resumed.folder)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert resumed.record["resumed_from"] == f"checkpoint-{4 if micro_batch == 9 else 6}"
    losses = [[e["loss"] for e in r.history if "loss" in e] for r in (unbroken, resumed)]
    assert losses[0] == losses[1]


def test_a_torn_checkpoint_is_passed_over(start: Start, interrupt: Callable[[int], None]):
    unbroken = start("unbroken")
    interrupt(12)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    broken = unbroken.folder.parent / "broken"
    newest = broken / "checkpoint-6"
    assert last_checkpoint(broken) == newest
    data = (newest / "optimizer.pt").read_bytes()
    (newest / "optimizer.pt").write_bytes(data[: len(data) // 2])
    assert last_checkpoint(broken) == broken / "checkpoint-4"
    resumed = start("broken", resume=True)
    expected, found = weights(unbroken.folder), weights(resumed.folder)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("damage", ["missing", "half"])
@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"],
)
def test_a_checkpoint_is_whole_only_with_all_of_every_file(
    name: str, damage: str, checkpoint: Path, tmp_path: Path
):
    copy = shutil.copytree(checkpoint, tmp_path / "checkpoint-1")
    assert is_whole(copy)
    data = (copy / name).read_bytes()
    (copy / name).unlink()
    if damage == "half":
        (copy / name).write_bytes(data[: len(data) // 2])
    assert not is_whole(copy)


def test_a_checkpoint_of_several_processes_wants_the_random_state_of_each(
    checkpoint: Path, tmp_path: Path
):
    copy = shutil.copytree(checkpoint, tmp_path / "checkpoint-1")
    (tmp_path / "run.json").write_text('{"processes": [2]}')
    for number in (0, 1):
        assert last_checkpoint(tmp_path) is None
        shutil.copy(copy / "rng_state.pth", copy / f"rng_state_{number}.pth")
    assert last_checkpoint(tmp_path) == copy
    (tmp_path / "run.json").write_text('{"processes": [3]}')
    assert last_checkpoint(tmp_path) is None
    (tmp_path / "run.json").write_text('{"processes": [1, 3]}')
    assert last_checkpoint(tmp_path) == copy


@pytest.fixture(scope="module")
def checkpoint(micro_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    write_pairs(pair_table([1.0, 2.0]), folder / "pairs.parquet", METADATA)
    options: dict[str, Any] = {"batch_size": 1, "save_steps": 1, "eval_split": 0.0}
    train(
        pairs=folder / "pairs.parquet",
        model=str(micro_model),
        objective="reward",
        out=folder / "out",
        device="cpu",
        **options,
    )
    return folder / "out" / "checkpoint-1"


def test_interrupt_says_how_to_go_on(
    start: Start, interrupt: Callable[[int], None], caplog: pytest.LogCaptureFixture
):
    interrupt(9)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    assert "--resume goes on" in caplog.text
    assert "checkpoint-4" in caplog.text


def test_interrupt_before_the_first_checkpoint_says_so(
    start: Start, interrupt: Callable[[int], None], caplog: pytest.LogCaptureFixture
):
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    assert "before the first checkpoint" in caplog.text
    with pytest.raises(InputError, match=r"no complete checkpoint.*--overwrite"):
        start("broken", resume=True)


def test_resume_with_other_options_or_pairs_is_refused(
    start: Start, interrupt: Callable[[int], None], tmp_path: Path
):
    interrupt(9)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    with pytest.raises(InputError, match=r"other options: lr \(0.01 -> 0.02\), seed \(42 -> 1\)"):
        start("broken", resume=True, lr=0.02, seed=1)
    write_pairs(pair_table([1.0] * 10), tmp_path / "pairs.parquet", METADATA)
    with pytest.raises(InputError, match="the content of the input"):
        start("broken", resume=True)


def test_resume_saves_logs_and_evaluates_as_often_as_asked_then(
    start: Start, interrupt: Callable[[int], None]
):
    """From checkpoint 4 of 9: saved at 7, logged at 6, 8 and the end, evaluated at 5."""
    start = partial(start, eval_split=0.1, epochs=3, save_total_limit=9)
    interrupt(9)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    resumed = start("broken", resume=True, save_steps=7, logging_steps=2, eval_steps=5)
    assert {path.name for path in resumed.folder.glob("checkpoint-*")} == {
        "checkpoint-2",
        "checkpoint-4",
        "checkpoint-7",
    }
    logged = [entry["step"] for entry in resumed.history if "loss" in entry]
    assert logged == [1, 2, 3, 4, 6, 8, 9]
    assert {entry["step"] for entry in resumed.history if "eval_loss" in entry} == {5, 9}


def test_resume_with_other_evaluation_pairs_is_refused(
    start: Start, interrupt: Callable[[int], None], tmp_path: Path
):
    held_out = tmp_path / "held-out.parquet"
    write_pairs(pair_table([0.5] * 3), held_out, METADATA)
    start = partial(start, eval_pairs=held_out, eval_split=0.05)
    interrupt(9)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    write_pairs(pair_table([1.5] * 3), held_out, METADATA)
    with pytest.raises(InputError, match="resume with other options: the content of the evalua"):
        start("broken", resume=True)
    write_pairs(pair_table([0.5] * 3), held_out, METADATA)
    assert start("broken", resume=True).steps == 9


def change_weights(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    changed = load_file(file)
    changed["model.norm.weight"][0] += 0.5
    save_file(changed, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("role", "options"),
    [
        ("model", {"reference_cache": "none"}),
        ("model", {"lora_rank": 2, "loss": "simpo"}),
        ("model", {"objective": "reward"}),
        ("reference", {"reference_cache": "none"}),
        ("reference", {"reference_logps": "online"}),
    ],
)
def test_resume_from_other_weights_is_refused(
    role: str,
    options: dict[str, Any],
    start: Start,
    interrupt: Callable[[int], None],
    tmp_path: Path,
    micro_model: Path,
):
    """One number in the folder of the model or the reference is another."""
    copy = shutil.copytree(micro_model, tmp_path / "copy")
    start = partial(start, **{role: str(copy)}, **options)
    interrupt(9)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    change_weights(copy)
    with pytest.raises(InputError, match=f"the {role} .*copy has other weights than when the run"):
        start("broken", resume=True)
    shutil.rmtree(copy)
    shutil.copytree(micro_model, copy)
    assert start("broken", resume=True).steps == 9


def test_numbers_of_a_resumed_run_are_of_all_of_it_or_said_to_be_of_a_part(
    start: Start, interrupt: Callable[[int], None]
):
    """Without a cache the 10 pairs are computed at each of the two resumptions again."""
    start = partial(start, reference_cache="none")
    whole = start("whole").record
    assert {"seconds", "steps"} < whole.keys()
    assert {"train_loss", "train_runtime"} < whole["metrics"].keys()
    for micro_batch, resume in ((9, False), (2, True)):
        interrupt(micro_batch)
        with pytest.raises(KeyboardInterrupt):
            start("broken", resume=resume)
    record = start("broken", resume=True).record
    assert record["seconds_since_resume"] > 0
    assert "seconds" not in record
    totals = {name for name in whole["metrics"] if name.startswith("train_")}
    assert record["metrics"].keys() == whole["metrics"].keys() - totals
    assert whole["reference"]["computed"] == 10
    assert record["reference"] == {
        "pairs": 10,
        "from_cache": 0,
        "computed": 30,
        "forward_tokens": 3 * whole["reference"]["forward_tokens"],
    }


def test_what_was_computed_before_a_resumption_is_not_said_to_be_from_the_cache(
    start: Start, interrupt: Callable[[int], None], tmp_path: Path
):
    start = partial(start, reference_cache=str(tmp_path / "cache"))
    interrupt(9)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    begun = json.loads((tmp_path / "broken" / "run.json").read_text())["reference"]
    assert (begun["computed"], begun["from_cache"]) == (10, 0)
    assert start("broken", resume=True).record["reference"] == begun


def test_nothing_to_resume_is_an_error(start: Start):
    with pytest.raises(InputError, match="no run to resume"):
        start("never", resume=True)
    start("done")
    with pytest.raises(InputError, match="this run is finished"):
        start("done", resume=True)


def test_a_save_that_fails_leaves_no_model(tmp_path: Path):
    def save(folder: str) -> None:
        Path(folder).mkdir()
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        publish(tmp_path, save)
    assert list(tmp_path.iterdir()) == []
