"""The model card: what it says, that the hub can read it, and that a card by hand is left alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from mmpo_core.model_card import model_card, run_command
from mmpo_core.pair_file import write_pairs
from mmpo_core.sft.options import SftOptions
from mmpo_core.train import train
from mmpo_core.train_options import TrainOptions
from mmpo_core.trainer import MMPOTrainer
from tests.core.pair_tables import METADATA, pair_file, pair_table

COUNTS = {"read": 20, "kept": 12, "ties": 0, "flipped": 0, "rejected": {"empty answer": 8}}
MADE = METADATA | {"source": "shp", "layout": "shp", "margin": "log-ratio", "counts": COUNTS}


def run(folder: Path, model: Path, **more: Any) -> tuple[Path, str]:
    pairs = folder / "pairs.parquet"
    described = {"description": "stanfordnlp/SHP:train"}
    described["fingerprint"] = "stanfordnlp/SHP@0123abc:default:train"
    write_pairs(pair_table([1.5] * 12), pairs, MADE | {"input": described})
    options: dict[str, Any] = {"max_length": 128, "batch_size": 8, "lr": 1e-3, "eval_split": 0.3}
    options |= {"device": "cpu", "out": folder / "out"}
    train(pairs=pairs, model=str(model), **(options | more))
    return folder / "out", (folder / "out" / "README.md").read_text(encoding="utf-8")


def test_the_card_has_data_settings_metrics_command_and_versions(micro_model: Path, tmp_path: Path):
    out, text = run(tmp_path, micro_model)
    record = json.loads((out / "run.json").read_text())
    assert f"| accuracy (ties half) | {record['metrics']['eval_accuracy']:.4g} |" in text
    assert f"| NLL against the targets | {record['metrics']['eval_nll']:.4g} |" in text
    assert "| Margins | Pairs | Accuracy |" in text
    for row in ("source of the margins | shp", "rows read | 20", "pairs kept | 12"):
        assert f"| {row} |" in text
    assert "| rejected: empty answer | 8 |" in text
    assert "| gamma of the file | 1 |" in text
    assert "| input | stanfordnlp/SHP:train |" in text
    assert "| lr | 0.001 |" in text
    assert f"| torch | {record['versions']['torch']} |" in text
    assert (
        f"    margintool train pairs.parquet --model {micro_model.name} --out out --lr 0.001 "
        "--batch-size 8 --max-length 128 --eval-split 0.3 --beta 0.1\n" in text
    )
    assert str(tmp_path) not in text
    assert str(micro_model) not in text


def test_the_hub_reads_the_yaml_block(micro_model: Path, tmp_path: Path):
    _, text = run(tmp_path, micro_model)
    data = ModelCard(text).data
    assert data.datasets == ["stanfordnlp/SHP"]
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-generation"
    assert data.tags == ["margintool", "preference-optimization", "mmpo"]
    assert data.license is None
    assert data.base_model is None  # a folder of this machine is none that others can load


FROM_HUB = [
    (TrainOptions(pairs=Path("p"), model="qwen2.5-0.5b"), "Qwen/Qwen2.5-0.5B", "finetune"),
    (TrainOptions(pairs=Path("p"), model="me/x", lora_rank=8), "me/x", "adapter"),
    (SftOptions(model="me/x"), "me/x", "finetune"),
    (TrainOptions(pairs=Path("p"), model="tiny"), None, None),
]


@pytest.mark.parametrize(("options", "base", "relation"), FROM_HUB)
def test_the_base_model_is_named_where_others_can_load_it(
    options: TrainOptions | SftOptions, base: str | None, relation: str | None
):
    data = ModelCard(model_card(options, bare_record(options))).data.to_dict()
    assert data.get("base_model") == base
    assert data.get("base_model_relation") == relation


def bare_record(options: TrainOptions | SftOptions) -> dict[str, Any]:
    record: dict[str, Any] = {"arguments": options.to_dict(), "metrics": {"loss": 1.0}}
    record |= {"versions": {"torch": "2"}, "processes": [1], "steps": 3, "device": "cpu"}
    if isinstance(options, SftOptions):
        record |= {
            "conversations": {"name": "/home/me/chats.jsonl", "fingerprint": "0f"},
            "splits": {"train": {"conversations": 5, "tokens": 60, "assistant_tokens": 20}},
        }
        return record
    pairs = {"metadata": {"schema_version": 1}, "fingerprint": "0f"}
    return record | {"pairs": pairs, "data": {"train": {"kept": 5, "dropped": {}}}}


def test_a_supervised_run_has_a_card_too():
    options = SftOptions(model="me/x", lr=1e-4)
    text = model_card(options, bare_record(options))
    assert "| conversations | chats.jsonl |" in text
    assert "| assistant tokens, train | 20 |" in text
    assert "Nothing was held out, and nothing was measured." in text
    assert "    margintool sft --model me/x --lr 0.0001\n" in text


def test_a_supervised_run_says_what_it_was_evaluated_on():
    options = SftOptions(model="me/x", eval_data="/home/me/held out.jsonl")
    record = bare_record(options) | {
        "metrics": {"eval_loss": 1.5},
        "eval_conversations": {"name": "/home/me/held out.jsonl", "fingerprint": "1f"},
        "eval_conversations_also_trained_on": 4,
    }
    text = model_card(options, record)
    assert "| evaluated on | held out.jsonl |" in text
    assert "4 of the evaluation conversations were trained on too." in text
    assert "--eval-data 'held out.jsonl'" in text
    assert "/home/me" not in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"set": ("adam_beta2=0.98", "tf32=true")}, "--set adam_beta2=0.98 --set tf32=true"),
        ({"bf16": True, "lora_targets": ("q_proj",)}, "--lora-targets q_proj --bf16"),
        ({"gamma": float("inf")}, "--gamma inf"),
        ({"resume": True, "push_to_hub": "me/x", "report_to": "wandb"}, ""),
        ({"eval_pairs": Path("/data/held out.parquet")}, "--eval-pairs 'held out.parquet'"),
    ],
)
def test_the_command_has_what_differs_from_the_defaults(more: dict[str, Any], words: str):
    options = TrainOptions(pairs=Path("a/p.parquet"), model="tiny", **more)
    # adapters' options come first in the class, then the model
    command = run_command(options, bare_record(options))
    assert command.startswith("margintool train a/p.parquet ")
    without = command.replace("--model tiny", "").removeprefix("margintool train a/p.parquet")
    assert " ".join(without.split()) == words


def test_a_card_by_hand_is_kept_and_ours_is_replaced(micro_model: Path, tmp_path: Path):
    out, text = run(tmp_path, micro_model)
    _, again = run(tmp_path, micro_model, overwrite=True, seed=7)
    assert "| seed | 42 |" in text
    assert "| seed | 7 |" in again
    (out / "README.md").write_text("# Mine\n")
    _, kept = run(tmp_path, micro_model, overwrite=True)
    assert kept == "# Mine\n"


def test_a_run_that_replaces_another_drops_its_card_before_the_first_step(
    micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out, _ = run(tmp_path, micro_model)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MMPOTrainer, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, micro_model, overwrite=True)
    assert not (out / "README.md").exists()


def test_a_reward_model_and_adapters_say_how_they_are_loaded(micro_model: Path, tmp_path: Path):
    options: dict[str, Any] = {"max_length": 128, "eval_split": 0, "device": "cpu"}
    out = tmp_path / "reward"
    pairs = pair_file(tmp_path)
    train(pairs=pairs, model=str(micro_model), objective="reward", out=out, **options)
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "from transformers import AutoModelForSequenceClassification, AutoTokenizer" in text
    assert ModelCard(text).data.pipeline_tag == "text-classification"
    out = tmp_path / "adapter"
    train(pairs=pairs, model=str(micro_model), lora_rank=2, out=out, **options)
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "AutoPeftModelForCausalLM.from_pretrained" in text
    assert ModelCard(text).data.library_name == "peft"
    assert "lora" in ModelCard(text).data.tags
