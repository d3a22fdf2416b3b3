"""Configuration files and presets: order, types, and errors that name file and line."""

import math
from pathlib import Path

import pytest

from mmpo_core.config_file import options_from, read_config
from mmpo_core.errors import InputError
from mmpo_core.presets import PRESETS, preset_options
from mmpo_core.train_options import TrainOptions, checked_options


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_values_come_in_their_fields_types(tmp_path: Path):
    """YAML reads 1e-5 and inf as text, 2 as a whole number, [..] as a list."""
    path = write(
        tmp_path,
        "pairs: a.parquet\nlr: 1e-5\ngamma: inf\nepochs: 2\nbf16: true\nmax_steps: null\n"
        "set: [adam_beta2=0.98]\nloss: dpo\n",
    )
    assert read_config(path, TrainOptions) == {
        "pairs": Path("a.parquet"),
        "lr": 1e-5,
        "gamma": math.inf,
        "epochs": 2.0,
        "bf16": True,
        "max_steps": None,
        "set": ("adam_beta2=0.98",),
        "loss": "dpo",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 1\nbatchsize: 3\n", r"run.yaml, line 2: unknown key 'batchsize'. .*'batch_size'\?"),
        ("learning_rate: 1\n", r"line 1: unknown key 'learning_rate'. It is called 'lr' here$"),
        ("loss: dop\n", r"line 1: loss: 'dop' is not one of .* Did you mean 'dpo'\?"),
        ("\nlr: [1]\n", r"line 2: lr: expected a number, got \[1\]"),
        ("lr: true\n", "lr: expected a number, got True"),
        ("seed: 1.5\n", "seed: expected a whole number, got 1.5"),
        ("seed: true\n", "seed: expected a whole number, got True"),
        ("bf16: 1\n", "bf16: expected true or false, got 1"),
        ("set: a=b\n", "set: expected a list, got 'a=b'"),
        ("model: 3\n", "model: expected text, got 3"),
        ("lr: 1\nlr: 2\n", "line 2: key 'lr' stands twice"),
        ("lr: [\n", "not valid YAML"),
        ("- lr\n", "expected lines of `key: value`"),
        ("lr: !!python/name:os.system x\n", "line 1: could not determine a constructor"),
    ],
)
def test_what_does_not_fit_is_named(text: str, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        read_config(write(tmp_path, text), TrainOptions)


def test_missing_and_binary_files_are_named(tmp_path: Path):
    with pytest.raises(InputError, match="no such configuration file"):
        read_config(tmp_path / "none.yaml", TrainOptions)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as a text file"):
        read_config(tmp_path / "b.yaml", TrainOptions)


def test_an_empty_file_changes_nothing(tmp_path: Path):
    assert read_config(write(tmp_path, "# nothing\n"), TrainOptions) == {}


def test_command_line_beats_file_beats_preset_beats_default(tmp_path: Path):
    """lr is in all three, epochs in two, gamma in the preset, weight_decay nowhere."""
    config = write(tmp_path, "lr: 2e-5\nepochs: 7\n")
    preset = preset_options("gemma-2b-ultrafeedback")
    options = options_from(
        TrainOptions, {"pairs": Path("p"), "lr": 3e-5}, config=config, preset=preset
    )
    assert (options.lr, options.epochs, options.gamma, options.weight_decay) == (3e-5, 7, 2.2, 0)


def test_what_nobody_gave_is_asked_for():
    with pytest.raises(InputError, match="nothing says model or pairs: give --model and --pairs"):
        options_from(TrainOptions, {})
    with pytest.raises(InputError, match="nothing says pairs: give PAIRS on the command line"):
        options_from(TrainOptions, {"model": "tiny"}, positional=("pairs",))


@pytest.mark.parametrize("name", PRESETS)
def test_preset_makes_valid_options(name: str):
    options = options_from(TrainOptions, {"pairs": Path("p")}, preset=preset_options(name))
    assert checked_options(options) == options
    assert PRESETS[name].about


# (lr, epochs, gamma, batch), as published: ../shared/peers.md and the recipe files
PUBLISHED = {
    "gemma-2b-ultrafeedback": (1e-5, 3, 2.2, 64),
    "gemma-7b-ultrafeedback": (5e-7, 1, 0.3, 64),
    "gemma-7b-shp": (5e-7, 3, 1.1, 64),
    "llama-3-8b-ultrafeedback": (5e-7, 3, 2.2, 64),
    "gemma-2b-reward": (1.41e-5, 3, None, 64),
    "gemma-7b-reward": (3e-6, 2, None, 32),
    "llama-3-8b-reward": (3e-6, 2, None, 32),
}


def test_presets_are_the_published_recipes():
    found = {
        name: tuple(preset.options.get(k) for k in ("lr", "epochs", "gamma", "batch_size"))
        for name, preset in PRESETS.items()
    }
    assert found == PUBLISHED
    for preset in PRESETS.values():
        if preset.options["objective"] == "policy":
            names = "beta scheduler warmup_ratio max_length max_prompt_length margin_column".split()
            values = (0.01, "cosine", 0.3, 1024, 512, "margin_raw")
            assert tuple(preset.options[name] for name in names) == values
        else:
            assert (preset.options["scheduler"], preset.options["max_length"]) == ("linear", 1024)


def test_unknown_preset_is_named_with_the_nearest():
    with pytest.raises(
        InputError, match="unknown preset 'gemma-7b'\\. Did you mean 'gemma-7b-shp'"
    ):
        preset_options("gemma-7b")
