"""Each way to ask for the impossible has its own error, before any model is loaded."""

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.run_folder import clear
from mmpo_core.schema import METADATA_KEY
from mmpo_core.train import train
from mmpo_core.train_options import TrainOptions, checked_options
from tests.core.pair_tables import METADATA, pair_file, pair_table

BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"loss": "dop"}, r"loss: 'dop' is not one of mmpo, .* Did you mean 'dpo'\?"),
    ({"objective": "rewards"}, "Did you mean 'reward'"),
    ({"gamma": -1.0}, "gamma must be a number >= 0, got -1"),
    ({"gamma": math.nan}, "gamma must be a number >= 0, got nan"),
    ({"gamma": "much"}, "gamma: expected a number, got 'much'"),
    ({"beta": 0.0}, "beta must be a number > 0, got 0"),
    ({"lr": -1e-3}, "lr must be a number from 0 to 1e30"),
    ({"lr": math.inf}, "lr must be a number from 0 to 1e30, got inf"),
    ({"epochs": 0.0}, "epochs must be a number > 0"),
    ({"batch_size": 0}, "batch_size must be a whole number >= 1"),
    ({"batch_size": 2.5}, "batch_size: expected a whole number, got 2.5"),
    ({"tokens_per_batch": 0}, "tokens_per_batch must be a whole number >= 1"),
    ({"packing": "share"}, "Did you mean 'shared'"),
    ({"set": ("gradient_accumulation_steps=2",)}, "use --batch-size; --tokens-per-batch bounds"),
    ({"eval_split": 1.0}, "eval_split must be a share >= 0 and < 1"),
    ({"eval_split": 0.99}, r"eval_split 0.99 of 12 prompts leaves none to train on"),
    ({"eval_pairs": Path("x"), "eval_split": 0.2}, "eval_pairs and eval_split both"),
    ({"eval_pairs": Path("no.parquet")}, "no.parquet: no such file"),
    ({"eval_split": 0.0, "eval_steps": 5}, "eval_steps: nothing is held out"),
    ({"margin_column": "margin_raw"}, "margin_raw needs a gamma"),
    ({"label_smoothing": 0.1}, "label_smoothing is for loss cdpo and robust; loss is mmpo"),
    ({"loss": "cdpo", "label_smoothing": 0.5}, "label_smoothing must be a number >= 0 and < 0.5"),
    ({"loss": "cdpo", "simpo_margin": 0.5}, "simpo_margin is for loss simpo; loss is cdpo"),
    ({"loss": "simpo", "simpo_margin": -0.5}, "simpo_margin must be a number >= 0"),
    ({"loss": "simpo", "reference": "tiny"}, "loss simpo uses no reference model"),
    ({"loss": "odpo", "gamma": math.inf}, "loss odpo wants a reward gap.*gamma inf makes infinite"),
    ({"sft_weight": -1.0}, "sft_weight must be a number >= 0"),
    ({"center_rewards": 0.01}, "center_rewards is for reward models; policies have none"),
    ({"loss": "hard"}, "loss 'hard' is for reward models. Losses of policies: mmpo, "),
    ({"objective": "reward", "loss": "dpo"}, "'dpo' is for policies.*models: mmpo, hard, offset"),
    (
        {"objective": "reward", "loss": "offset", "gamma": math.inf},
        "loss offset wants a reward gap",
    ),
    ({"objective": "reward", "sft_weight": 1.0}, "sft_weight is for policies"),
    ({"objective": "reward", "label_smoothing": 0.1}, "label_smoothing is for loss cdpo"),
    ({"objective": "reward", "beta": 0.5}, "beta is for policies"),
    ({"objective": "reward", "reference": "tiny"}, "reference is for policies"),
    ({"resume": True, "overwrite": True}, "give one of them"),
    ({"max_prompt_length": 64}, "max_prompt_length .64. must be below max_length"),
    ({"optimizer": "adamm"}, "transformers refuses these options.*adamm"),
    ({"report_to": "wandbb"}, "report_to 'wandbb': unknown, or its package is not installed"),
    ({"set": ("adam_beta3=1",)}, "no such field. Did you mean 'adam_beta"),
    ({"set": ("adam_beta2",)}, "expected KEY=VALUE"),
    ({"set": ("output_dir=x",)}, "set output_dir: use --out"),
    ({"set": ("remove_unused_columns=true",)}, "the run sets this itself"),
    ({"set": ("learning_rate=1",)}, "set learning_rate: use --lr"),
    ({"set": ("fp16=true",)}, "set fp16: the reference is computed without it"),
    ({"set": ("use_liger_kernel=true",)}, "set use_liger_kernel: use --liger"),
    ({"set": ("hub_token=hf_x",)}, "set hub_token: use --push-to-hub"),
    ({"hub_private": True}, "hub_private is for push_to_hub, which is not given"),
    ({"set": ("bf16_full_eval=true",)}, "set bf16_full_eval: .* saved rounded; use --bf16"),
    ({"set": ("fp16_full_eval=true",)}, "set fp16_full_eval: .* saved rounded; use --bf16"),
    ({"set": ("eval_strategy=epoch",)}, "set eval_strategy: use --eval-steps"),
    ({"set": ("save_only_model=true",)}, "save_only_model: a run could not be resumed"),
    ({"set": ("neftune_noise_alpha=5",)}, "would differ from its reference before the first"),
    ({"eval_split": 0.0, "set": ("eval_on_start=true",)}, "eval_on_start: nothing is held out"),
    ({"scheduler": "constant", "warmup_ratio": 0.2}, "0.2: .*no warm-up. .*constant_with_warmup"),
    ({"set": ("label_smoothing_factor=0.1",)}, "set label_smoothing_factor: it has no effect"),
    ({"set": ("train_sampling_strategy=group_by_length",)}, "have no column of lengths"),
    ({"set": ("adam_beta2=[",)}, "not a value in YAML"),
    ({"set": ("adam_beta2={a: 1}", "logging_strategy=abc")}, "transformers refuses"),
    ({"model": "no/such-model"}, "no/such-model"),
    ({"max_length": 3}, "train pairs: "),
    ({"overlong": "error", "max_length": 20}, "train pairs: .*pair-"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_bad_options_are_named(options: dict[str, Any], message: str, tmp_path: Path):
    given: dict[str, Any] = {"model": "tiny", "max_length": 64, "device": "cpu"}
    with pytest.raises(InputError, match=message):
        train(pairs=pair_file(tmp_path), out=tmp_path / "out", **(given | options))
    assert not (tmp_path / "out").exists()


def test_liger_without_its_package_is_said_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("transformers.utils.is_liger_kernel_available", lambda: False)
    with pytest.raises(InputError, match=r"pip install 'margintool\[liger\]'"):
        train(pairs=pair_file(tmp_path), model="no/such-model", liger=True)


def test_flex_attention_on_a_cpu_is_refused_before_anything_is_loaded(tmp_path: Path):
    with pytest.raises(InputError, match="flex_attention needs a GPU: on a CPU it has no backward"):
        train(
            pairs=pair_file(tmp_path),
            model="no/such-model",
            attn_implementation="flex_attention",
            device="cpu",
        )


@pytest.mark.parametrize("ratio", [0.0, TrainOptions.warmup_ratio])
def test_a_constant_learning_rate_needs_no_word_on_warm_up(ratio: float):
    options = TrainOptions(pairs=Path("p"), model="m", scheduler="constant", warmup_ratio=ratio)
    assert checked_options(options).warmup_ratio == ratio
    with_warmup = dataclasses.replace(
        options, scheduler="constant_with_warmup", warmup_ratio=ratio / 2
    )
    assert checked_options(with_warmup).warmup_ratio == ratio / 2


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / "pairs.parquet"
    table = pair_table([1.0, 2.0])
    metadata = METADATA
    if kind == "no file":
        return path
    if kind == "text":
        path.write_text("prompt,chosen\n")
        return path
    if kind == "missing column":
        table = table.drop_columns(["p_chosen"])
    if kind == "nan":
        index = table.schema.get_field_index("margin")
        table = table.set_column(index, table.schema.field("margin"), [[1.0, math.nan]])
    if kind == "empty":
        table = table.slice(0, 0)
    if kind == "newer":
        metadata = METADATA | {"schema_version": 99}
    packed = {METADATA_KEY: json.dumps(metadata).encode()}
    pq.write_table(table.replace_schema_metadata(packed), path)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no file", "no such file"),
        ("text", "not a Parquet file"),
        ("missing column", "column 'p_chosen' is missing"),
        ("nan", "column 'margin' is nan in row 1"),
        ("empty", "holds no pairs"),
        ("newer", "schema version 99"),
    ],
)
def test_bad_pair_files_are_named(kind: str, message: str, tmp_path: Path):
    path = bad_file(tmp_path, kind)
    with pytest.raises(InputError, match=message):
        train(pairs=path, model="tiny", out=tmp_path / "out")


def test_a_file_of_one_prompt_cannot_be_split(tmp_path: Path):
    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([1.0, 2.0], prompts=["same", "same"]), path, METADATA)
    with pytest.raises(InputError, match=r"of 1 prompt leaves none .* eval_split 0"):
        train(pairs=path, model="tiny", out=tmp_path / "out")


def test_a_reference_with_another_vocabulary_is_refused(tmp_path: Path, micro_model: Path):
    other = tmp_path / "other"
    tokenizer = AutoTokenizer.from_pretrained(micro_model)
    tokenizer.add_tokens(["<new>"])
    shutil.copytree(micro_model, other)
    tokenizer.save_pretrained(other)
    with pytest.raises(InputError, match="another vocabulary"):
        train(
            pairs=pair_file(tmp_path),
            model=str(micro_model),
            reference=str(other),
            out=tmp_path / "out",
            max_length=64,
            device="cpu",
        )


def test_out_that_is_a_file_is_refused(tmp_path: Path):
    out = tmp_path / "out"
    out.write_text("")
    with pytest.raises(InputError, match="is a file; out must be a folder"):
        train(pairs=pair_file(tmp_path), model="tiny", out=out)


def test_files_that_are_no_run_are_left_alone(tmp_path: Path, micro_model: Path):
    """--overwrite clears an earlier run, and nothing else that stands in the folder."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    given: dict[str, Any] = {"model": str(micro_model), "objective": "reward", "device": "cpu"}
    for overwrite in (False, True):
        train(pairs=pair_file(tmp_path), out=out, overwrite=overwrite, max_length=64, **given)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "checkpoint-4"])
def test_a_model_that_no_run_made_is_never_cleared(name: str, overwrite: bool, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(InputError, match=r"holds a model that no run made .*another --out"):
        train(pairs=pair_file(tmp_path), model="tiny", out=out, overwrite=overwrite)
    assert (out / name).read_text() == "mine"


def test_only_numbered_checkpoints_of_a_run_are_cleared(tmp_path: Path):
    for name in ("checkpoint-12", "checkpoint-best", "checkpoint-2-copy"):
        (tmp_path / name).mkdir()
    (tmp_path / "run.json").write_text("{}")
    clear(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["checkpoint-2-copy", "checkpoint-best"]


@pytest.mark.parametrize("role", ["model", "reference"])
@pytest.mark.parametrize("part", ["", "checkpoint-3"])
def test_out_may_not_be_where_a_model_is_read(role: str, part: str, tmp_path: Path):
    out = tmp_path / "out"
    (out / "checkpoint-3").mkdir(parents=True)
    (out / "run.json").write_text("{}")
    given = {"model": "tiny"} | {role: str(tmp_path / "pairs" / ".." / "out" / part)}
    with pytest.raises(InputError, match=f"the {role} is read from here; choose another --out"):
        train(pairs=pair_file(tmp_path), out=out, overwrite=True, **given)
    assert (out / "checkpoint-3").is_dir()


@pytest.mark.parametrize("out", ["/proc/no/such", "/dev/null/out", "x" * 300])
def test_out_that_cannot_be_made_is_refused_at_once(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Before the pair file, which is not there, is looked for."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"cannot be written .*Choose another --out"):
        train(pairs=tmp_path / "no.parquet", model="tiny", out=out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["[]", "{}", "null", '{"status": "unfinished", "arguments": 3, "pairs": {}}']
)
def test_a_run_json_of_another_shape_cannot_be_resumed(text: str, tmp_path: Path):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run.json: is not the record of a run"):
        train(pairs=pair_file(tmp_path), model="tiny", out=tmp_path, resume=True)


def test_train_takes_no_unknown_keyword(tmp_path: Path):
    with pytest.raises(TypeError, match="learning_rate"):
        train(pairs=tmp_path, model="tiny", learning_rate=1e-3)
