"""train_sft(): a run to its end, what lands in the folder, resumption, and `train` after it."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.schema import HISTORY
from mmpo_core.sft.options import SftOptions, checked_options
from mmpo_core.sft.source import ConversationSource, RunSources
from mmpo_core.sft.train import train_sft
from mmpo_core.sft.trainer import SftTrainer
from mmpo_core.train import train
from mmpo_core.training_run import TrainResult
from tests.core.pair_tables import METADATA, pair_table

Start = Callable[..., TrainResult]


def chat(number: int) -> list[dict[str, str]]:
    """Two questions; the answers count."""
    contents = [f"question {number}", "one " * (number % 4 + 1), "more?", f"yes {number}"]
    return [
        {"role": "assistant" if place % 2 else "user", "content": content}
        for place, content in enumerate(contents)
    ]


def source(count: int = 20, fingerprint: str = "content") -> ConversationSource:
    table = pa.table(
        {
            "messages": pa.array([chat(number) for number in range(count)], HISTORY),
            "origin": [f"chat:{number + 1}" for number in range(count)],
        }
    )
    given = ConversationSource("chat", lambda: fingerprint, lambda: iter([table]))
    given.report.read = count
    return given


@pytest.fixture
def start(tmp_path: Path, micro_model: Path) -> Start:
    def call(
        name: str,
        data: ConversationSource | None = None,
        evaluation: ConversationSource | None = None,
        **options: Any,
    ) -> TrainResult:
        given = {"model": str(micro_model), "batch_size": 5, "epochs": 2, "lr": 1e-2}
        given |= {"save_steps": 2, "logging_steps": 1, "device": "cpu", "tokens_per_batch": 256}
        given |= {"out": tmp_path / name} | options
        return train_sft(SftOptions(**given), RunSources(data or source(), evaluation))

    return call


@pytest.mark.usefixtures("run_pictures")
def test_a_run_learns_and_leaves_a_model_that_train_goes_on_with(start: Start, tmp_path: Path):
    result = start("sft", eval_split=0.2, epochs=4)
    record = json.loads((result.folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["steps"] == result.steps == 16  # 16 of 20, batches of 5: 4 steps, 4 epochs
    splits = record["splits"]
    assert [splits[name]["conversations"] for name in ("train", "eval")] == [16, 4]
    assert record["data"]["kept"] == record["data"]["read"] == 20
    assert record["data"]["answers"] == 40
    assert record["conversations"] == {"name": "chat", "fingerprint": "content"}
    assert record["packing"]["used"] == "shared"
    assert (result.folder / "train.png").read_bytes().startswith(b"\x89PNG")
    lines = (result.folder / "log_history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == result.history

    # a byte-level model of 256 and a few tokens starts at about log 260 = 5.56
    assert result.history[0]["loss"] == pytest.approx(math.log(260), abs=0.2)
    assert result.metrics["eval_loss"] < 4.5
    assert result.metrics["eval_perplexity"] == pytest.approx(math.exp(result.metrics["eval_loss"]))
    assert result.metrics["perplexity"] == pytest.approx(math.exp(result.metrics["loss"]))

    pairs = tmp_path / "pairs.parquet"
    write_pairs(pair_table([1.0] * 6), pairs, METADATA)
    after = train(
        pairs=pairs, model=str(result.folder), out=tmp_path / "policy", max_steps=1, device="cpu"
    )
    assert after.record["status"] == "finished"
    assert after.record["arguments"]["model"] == str(result.folder)


def test_evaluation_loss_is_that_of_the_model_that_was_saved(start: Start):
    """All conversations but one are trained on at learning rate 0.01; the other, by hand: the sum
    of -log p over the two answers and their EOS, over their number.
    """
    result = start("sft", data=source(6), eval_split=0.01)
    model = AutoModelForCausalLM.from_pretrained(result.folder)
    tokenizer = AutoTokenizer.from_pretrained(result.folder)
    losses = []
    for number in range(6):
        total, count, messages = 0.0, 0, chat(number)
        for turn in (1, 3):
            before = tokenizer.apply_chat_template(
                messages[:turn], tokenize=False, add_generation_prompt=True
            )
            context = tokenizer(before, add_special_tokens=False).input_ids
            answer = tokenizer(messages[turn]["content"], add_special_tokens=False).input_ids
            answer.append(tokenizer.eos_token_id)
            ids = torch.tensor([context + answer])
            with torch.no_grad():
                logps = model(input_ids=ids).logits[0].log_softmax(-1)
            places = range(len(context), len(context) + len(answer))
            total -= sum(float(logps[place - 1, ids[0, place]]) for place in places)
            count += len(answer)
        losses.append(total / count)
    assert any(result.metrics["eval_loss"] == pytest.approx(loss, rel=1e-5) for loss in losses)


@pytest.mark.parametrize(("eval_steps", "evaluated"), [(2, [2, 4]), (3, [3, 4])])
def test_the_last_step_is_evaluated_once(start: Start, eval_steps: int, evaluated: list[int]):
    result = start("sft", data=source(8), eval_split=0.25, eval_steps=eval_steps, max_steps=4)
    assert [entry["step"] for entry in result.history if "eval_loss" in entry] == evaluated


def test_conversations_that_stand_twice_are_not_on_both_sides(start: Start):
    """10 different conversations, each twice: a fifth of them is 2, which is 4 rows."""
    ten = source(10)
    twice = ConversationSource("twice", lambda: "x", lambda: iter([*ten.tables(), *ten.tables()]))
    twice.report.read = 20
    result = start("sft", data=twice, eval_split=0.2, max_steps=1)
    splits = result.record["splits"]
    assert [splits[name]["conversations"] for name in ("train", "eval")] == [16, 4]


def test_resumed_run_ends_with_the_weights_of_an_unbroken_one(
    start: Start, monkeypatch: pytest.MonkeyPatch
):
    """Steps of 5, 5, 5 and 4 conversations: interrupted in step 6, within the second epoch."""
    unbroken = start("unbroken", eval_split=0.05)
    training_step, seen = SftTrainer.training_step, 0

    def counted(self: SftTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        nonlocal seen
        seen += 1
        if seen == 6:
            raise KeyboardInterrupt
        return training_step(self, *args, **kwargs)

    monkeypatch.setattr(SftTrainer, "training_step", counted)
    with pytest.raises(KeyboardInterrupt):
        start("broken", eval_split=0.05)
    with pytest.raises(InputError, match="already holds a run"):
        start("broken", eval_split=0.05)
    with pytest.raises(InputError, match="the content of the input"):
        start("broken", data=source(fingerprint="other"), eval_split=0.05, resume=True)
    with pytest.raises(InputError, match=r"max_length \(2048 -> 64\)"):
        start("broken", max_length=64, eval_split=0.05, resume=True)
    resumed = start("broken", eval_split=0.05, resume=True)
    assert resumed.record["resumed_from"] == "checkpoint-4"
    expected, found = (load_file(r.folder / "model.safetensors") for r in (unbroken, resumed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_other_weights_or_evaluation_data_are_no_continuation(
    start: Start, micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = tmp_path / "model"
    shutil.copytree(micro_model, model)
    given: dict[str, Any] = {"model": str(model), "eval_data": "chats", "save_steps": 1}
    training_step = SftTrainer.training_step

    def second_fails(self: SftTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step == 1:
            raise KeyboardInterrupt
        return training_step(self, *args, **kwargs)

    monkeypatch.setattr(SftTrainer, "training_step", second_fails)
    with pytest.raises(KeyboardInterrupt):
        start("out", evaluation=source(4, "evaluated"), **given)
    monkeypatch.undo()
    with pytest.raises(InputError, match="the content of the evaluation data"):
        start("out", evaluation=source(4, "other"), resume=True, **given)
    weights = load_file(model / "model.safetensors")
    whole = (model / "model.safetensors").read_bytes()
    name = next(iter(weights))
    save_file(weights | {name: weights[name] + 1e-3}, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"the model .* has other weights than when the run began"):
        start("out", evaluation=source(4, "evaluated"), resume=True, **given)
    (model / "model.safetensors").write_bytes(whole)
    resumed = start("out", evaluation=source(4, "evaluated"), resume=True, **given)
    assert resumed.record["status"] == "finished"
    assert resumed.record["splits"]["eval"]["conversations"] == 4
    assert resumed.record["eval_conversations_also_trained_on"] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_split": 0.0, "eval_steps": 3}, "nothing is held out"),
        ({"eval_split": 0.2, "eval_data": "x.jsonl"}, "eval_data and eval_split both"),
        ({"batch_size": 0}, "batch_size must be a whole number >= 1"),
        ({"packing": "dense"}, "packing: 'dense' is not one of auto, shared, padded"),
        ({"resume": True, "overwrite": True}, "give one of them"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        checked_options(SftOptions(model="tiny", **options))


def test_one_conversation_leaves_none_to_train_on(start: Start):
    with pytest.raises(InputError, match="of 1 conversation leaves none to train on"):
        start("sft", data=source(1))


SCRIPT = """
import sys
from mmpo_core.sft.options import SftOptions
from mmpo_core.sft.source import RunSources
from mmpo_core.sft.train import train_sft
from tests.core.sft.test_sft_train import source
model, out = sys.argv[1:]
train_sft(SftOptions(model=model, out=out, lr=1e-2, batch_size=4, tokens_per_batch=128, epochs=2,
                     eval_split=0.25, logging_steps=1, device="cpu"), RunSources(source(13)))
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path, micro_model: Path):
    """10 conversations to train on and 3 to evaluate on, which two cannot share evenly."""
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    for name, prefix in (("one", []), ("two", launcher)):
        command = [sys.executable, *prefix, str(script), str(micro_model), str(tmp_path / name)]
        subprocess.run(command, check=True, env=environment)
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "log_history.jsonl").open()]
        for name in ("one", "two")
    )
    for ours, theirs in zip(one, two, strict=True):
        for key in ours.keys() & {"loss", "perplexity", "eval_loss", "eval_perplexity"}:
            assert theirs[key] == pytest.approx(ours[key], rel=1e-5), key
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name, value in weights[0].items():
        assert torch.allclose(weights[1][name], value, atol=1e-4), name
