"""The configurations in docs/accelerate: they load, and two processes learn what one learns."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from mmpo_core.checkpoints import last_checkpoint
from tests.core.accelerate_runs import CONFIGS, environment, launch, train_options, write_data

WRAPPERS = {
    "ddp.yaml": "DDP",
    "fsdp2.yaml": "FSDP2",
    "deepspeed_zero2.yaml": "DeepSpeed ZeRO-2",
    "deepspeed_zero3.yaml": "DeepSpeed ZeRO-3",
}
NO_DEEPSPEED = pytest.mark.skipif(
    find_spec("deepspeed") is None, reason="the package deepspeed is not installed"
)
RUNS = [
    pytest.param(name, marks=NO_DEEPSPEED if name.startswith("deepspeed") else ())
    for name in WRAPPERS
]


def test_every_configuration_is_known_here() -> None:
    assert {path.name for path in CONFIGS.iterdir()} == set(WRAPPERS)


@pytest.mark.parametrize("name", WRAPPERS)
def test_accelerate_reads_the_configuration_and_knows_its_options(name: str) -> None:
    """accelerate itself refuses unknown keys at the top, and passes over those further down."""
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(str(CONFIGS / name))
    known = vars(launch_command_parser().parse_args(["script.py"]))
    inner = {**config.fsdp_config, **config.deepspeed_config}
    assert [key for key in inner if key not in known] == []
    assert (config.num_processes, str(config.mixed_precision)) == (2, "no")
    kinds = {"ddp": "MULTI_GPU", "fsdp": "FSDP", "deep": "DEEPSPEED"}
    kind = next(kind for start, kind in kinds.items() if name.startswith(start))
    assert config.distributed_type.value == kind


@pytest.fixture(scope="module")
def one(micro_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs, and the run `one` of one process on them."""
    folder = tmp_path_factory.mktemp("launched")
    write_data(folder)
    alone(folder, train_options(micro_model, "one"))
    return folder


def alone(folder: Path, given: list[str]) -> None:
    """Run margintool in one process."""
    command = [sys.executable, "-m", "margintool", *given]
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log_history.jsonl").open()]


def assert_equal_runs(one: Path, two: Path, file: str = "model.safetensors") -> None:
    """Losses, gradients' norms and every weight tensor agree to 1e-6, relatively."""
    logs = [log_of(folder) for folder in (one, two)]
    counted = 0
    for ours, theirs in zip(*logs, strict=True):
        for key in {"loss", "eval_loss", "grad_norm"} & set(ours):
            assert theirs[key] == pytest.approx(ours[key], rel=1e-6), key
            counted += 1
    assert counted == 13  # loss and norm of 6 steps, one evaluation
    expected, found = (load_file(folder / file) for folder in (one, two))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert float((found[name] - value).norm() / value.norm()) < 1e-6, name


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_processes_learn_what_one_learns(name: str, one: Path, micro_model: Path) -> None:
    out = name.removesuffix(".yaml")
    done = launch(name, one, train_options(micro_model, out))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"2 processes, wrapper {WRAPPERS[name]}\n") == 1
    assert done.stdout.count("load it") == 1
    assert json.loads((one / out / "run.json").read_text())["wrapper"] == WRAPPERS[name]
    assert_equal_runs(one / "one", one / out)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "file"),
    [
        ("--objective=reward", "model.safetensors"),
        ("--lora-rank=2", "adapter_model.safetensors"),
    ],
)
def test_fsdp_shares_out_reward_models_and_adapters(
    more: str, file: str, one: Path, micro_model: Path
) -> None:
    alone(one, train_options(micro_model, f"one{more}", more))
    done = launch("fsdp2.yaml", one, train_options(micro_model, f"two{more}", more))
    assert done.returncode == 0, done.stderr
    assert_equal_runs(one / f"one{more}", one / f"two{more}", file)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_is_resumed_to_the_same_weights(
    name: str, one: Path, micro_model: Path
) -> None:
    """Killed after step 5 of 6; the last checkpoint is of step 4."""
    out = f"killed-{name.removesuffix('.yaml')}"
    arguments = train_options(micro_model, out)
    assert launch(name, one, arguments, end="SIGKILL:5").returncode != 0
    assert not (one / out / "model.safetensors").exists()
    assert last_checkpoint(one / out) == one / out / "checkpoint-4"
    assert json.loads((one / out / "run.json").read_text())["status"] == "unfinished"
    done = launch(name, one, [*arguments, "--resume"])
    assert done.returncode == 0, done.stderr
    assert json.loads((one / out / "run.json").read_text())["resumed_from"] == "checkpoint-4"
    assert_equal_runs(one / "one", one / out)


@pytest.mark.slow
def test_fsdp_computes_in_bfloat16_as_one_process_does(one: Path, micro_model: Path) -> None:
    """accelerate would round each log-prob, of some 56 nats, to a quarter of a nat."""
    more = ("--bf16", "--max-steps=2")
    alone(one, train_options(micro_model, "one-bf16", *more))
    done = launch("fsdp2.yaml", one, train_options(micro_model, "fsdp-bf16", *more))
    assert done.returncode == 0, done.stderr
    logs = [log_of(one / name) for name in ("one-bf16", "fsdp-bf16")]
    for ours, theirs in zip(*logs, strict=True):
        for key in {"loss", "eval_loss", "logps/chosen", "logps/rejected"} & set(ours):
            assert theirs[key] == pytest.approx(ours[key], rel=1e-3), key
    first = [log[0]["logps/chosen"] for log in logs]
    assert first[1] == pytest.approx(first[0], rel=1e-5)


@pytest.mark.slow
def test_ctrl_c_says_once_how_to_go_on_and_leaves_no_model(one: Path, micro_model: Path) -> None:
    arguments = train_options(micro_model, "stopped", "--epochs=200")
    done = launch("ddp.yaml", one, arguments, end="SIGINT:3")
    assert done.returncode != 0
    assert done.stderr.count("interrupted. The same command with --resume goes on") == 1
    left = sorted(path.name for path in (one / "stopped").iterdir())
    assert left == ["checkpoint-2", "run.json"]


@pytest.mark.slow
def test_fsdp_on_a_cpu_is_refused_before_anything_is_written(one: Path, micro_model: Path) -> None:
    """accelerate by itself would train plain DDP here."""
    config = ["-m", "accelerate.commands.launch", "--config_file", CONFIGS / "fsdp2.yaml"]
    command = [sys.executable, *config, "--main_process_port=0", "-m", "margintool"]
    done = subprocess.run(
        [*command, *train_options(micro_model, "silent")],
        cwd=one,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "error: FSDP was asked for" in done.stderr
    assert "plain DDP" in done.stderr
    assert not (one / "silent").exists()


def test_deepspeed_in_bfloat16_wants_such_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its policy would be rounded, and differ from a reference of the same model."""
    from accelerate.utils import DistributedType

    from mmpo_core.errors import InputError
    from mmpo_core.wrappers import check_launch

    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    run = arguments(bf16=True, kind=DistributedType.MULTI_GPU)
    check_launch(run, "bfloat16")
    with pytest.raises(InputError, match="Give --dtype bfloat16 beside --bf16"):
        check_launch(run, "float32")


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, "it would train in one process"),
    ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_USE_CPU": "true"}, "together with use_cpu"),
    ({"ACCELERATE_MIXED_PRECISION": "fp16"}, "mixed_precision is fp16"),
    ({"ACCELERATE_MIXED_PRECISION": "bf16"}, "give --bf16 here"),
]


@pytest.mark.parametrize(("variables", "message"), REFUSED)
def test_what_a_launcher_asks_for_and_would_not_get_is_refused(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmpo_core.errors import InputError
    from mmpo_core.wrappers import check_launch

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        check_launch(arguments(), "float32")


def arguments(**more: Any) -> Any:
    """What check_launch reads of TrainingArguments in one process."""
    from types import SimpleNamespace

    from accelerate.utils import DistributedType

    state = SimpleNamespace(distributed_type=more.pop("kind", DistributedType.NO))
    return SimpleNamespace(
        **{"deepspeed": None, "fsdp": None, "bf16": False, "distributed_state": state, **more}
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"FSDP_VERSION": "1"}, "Set fsdp_version: 2"),
        ({}, "Set fsdp_version: 2"),  # accelerate's default
        ({"FSDP_VERSION": "2", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, "Set it to false"),
    ],
)
def test_settings_of_fsdp_under_which_a_run_would_be_wrong_are_refused(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.utils import DistributedType

    from mmpo_core.errors import InputError
    from mmpo_core.wrappers import check_launch

    for name, value in {"ACCELERATE_USE_FSDP": "true", **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        check_launch(arguments(kind=DistributedType.MULTI_GPU), "float32")


def test_what_runs_as_asked_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.utils import DistributedType

    from mmpo_core.wrappers import check_launch

    check_launch(arguments(), "float32")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    check_launch(arguments(bf16=True), "float32")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    check_launch(arguments(bf16=True, kind=DistributedType.MULTI_GPU), "float32")


def test_the_command_ends_with_status_2_and_writes_nothing(
    cli: Callable[..., Any], micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    done = cli(*train_options(micro_model, "out"))
    assert done.status == 2
    assert "FSDP was asked for" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("asked", ["FSDP", "DeepSpeed"])
def test_a_model_that_is_not_wrapped_as_asked_stops_the_run(asked: str) -> None:
    from torch import nn

    from mmpo_core.errors import InputError
    from mmpo_core.wrappers import active_wrapper, check_wrapped

    assert active_wrapper(nn.Linear(1, 1)) == "none"
    check_wrapped(None, nn.Linear(1, 1))
    with pytest.raises(InputError, match=rf"{asked} was asked for.*otherwise \(none\)"):
        check_wrapped(asked, nn.Linear(1, 1))
