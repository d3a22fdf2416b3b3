"""`margintool sft` as typed: three forms of rows, what is said of bad ones, errors."""

import gzip
import json
from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from margintool.progress import no_progress
from margintool.sft import sft
from margintool.sft_data import conversation_sources
from mmpo_core.sft.conversations import ConversationReport
from mmpo_core.sft.options import ULTRACHAT, SftOptions

Cli = Callable[..., Any]


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, **options: Any) -> tuple[list[Any], ConversationReport]:
    """Return the conversations of a file, and what was said of it."""
    sources = conversation_sources(
        SftOptions(model="tiny", data=str(path), **options), lambda: nullcontext(no_progress)
    )
    source = sources.train
    return [row for table in source.tables() for row in table.to_pylist()], source.report


HELLO = [turn("user", "Hi?"), turn("assistant", "Yes.")]
FORMS = {
    "messages": {"messages": HELLO, "prompt": "not read"},
    "prompt and completion": {"prompt": "Hi?", "completion": "Yes."},
    "prompt and completion as messages": {"prompt": HELLO[:1], "completion": HELLO[1:]},
    "alpaca": {"instruction": "Hi?", "input": "", "output": "Yes."},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_of_rows(form: dict[str, Any], tmp_path: Path):
    found, report = read(lines(tmp_path / "data.jsonl", [form, form]))
    assert [row["messages"] for row in found] == [HELLO, HELLO]
    assert found[1]["origin"].endswith("data.jsonl:2")
    assert (report.read, report.refused) == (2, {})


def test_alpaca_input_goes_below_the_instruction(tmp_path: Path):
    row = {"instruction": "Add.", "input": "1 and 2", "output": "3"}
    ((found,), _) = read(lines(tmp_path / "data.jsonl", [row]))
    assert found["messages"] == [turn("user", "Add.\n\n1 and 2"), turn("assistant", "3")]


def test_history_and_system_message_come_first(tmp_path: Path):
    history = [turn("system", "Be kind."), turn("user", "Hi?"), turn("assistant", "Yes.")]
    row = {"history": history, "prompt": "Why?", "completion": "Because."}
    ((found,), _) = read(lines(tmp_path / "data.jsonl", [row]))
    assert found["messages"] == [*history, turn("user", "Why?"), turn("assistant", "Because.")]


def test_other_names_and_parquet_in_the_same_order_as_the_file(tmp_path: Path):
    path = tmp_path / "data.parquet"
    rows = [{"question": f"q{i}", "answers": {"best": f"a{i}"}} for i in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), path)
    found, _ = read(path, map="prompt=question,completion=answers.best", limit=3)
    assert [row["messages"][1]["content"] for row in found] == ["a0", "a1", "a2"]


def test_bad_rows_are_counted_and_the_first_named(tmp_path: Path):
    bad = [
        {"messages": [turn("user", "Hi?"), turn("assistant", " \n")]},
        {"messages": [turn("user", "Hi?"), turn("tool", "42"), turn("assistant", "Yes.")]},
        {"messages": []},
        {"messages": [turn("user", None), turn("assistant", "Yes.")]},
        {"messages": HELLO},
    ]
    found, report = read(lines(tmp_path / "data.jsonl", bad))
    assert [row["origin"].rpartition(":")[2] for row in found] == ["5"]
    said = {
        reason: (r.count, r.first.partition("jsonl:")[2]) for reason, r in report.refused.items()
    }
    assert said == {
        "empty_response": (1, "1: messages: an assistant message is empty"),
        "bad_conversation": (
            2,
            "2: messages: message 2 has role 'tool'; known are system, user, assistant",
        ),
        "empty_conversation": (1, "3: messages has no messages"),
    }


@pytest.mark.real_data
def test_trains_on_real_rows_and_says_what_came_of_it(
    cli: Cli, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without --out the model lands in runs/MODEL-sft. Row 4 of 8 is spoilt."""
    monkeypatch.chdir(tmp_path)
    with gzip.open(real_data / "sft" / "alpaca_en_demo.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in islice(file, 8)]
    rows[3]["output"] = ""
    data = lines(tmp_path / "alpaca.jsonl", rows)
    options = ["--max-length", 128, "--batch-size", 3, "--lr", "1e-3", "--device", "cpu"]
    result = cli("sft", "--model", "tiny", "--data", data, *options)
    assert result.status == 0, result.err
    record = json.loads((tmp_path / "runs" / "tiny-sft" / "run.json").read_text())
    assert (record["data"]["read"], record["data"]["dropped"]) == (8, {"empty_response": 1})
    assert "alpaca.jsonl:4: output is empty or only white space" in result.err
    for text in ("2 steps", "perplexity", "held out", "7 (1 dropped", "train pairs.parquet"):
        assert text in result.out
    assert "step 2/2" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "no.jsonl"], "no.jsonl: no such file or folder"),
        (["--data", "pairs.jsonl"], "no conversations found in the columns chosen, rejected"),
        (["--data", "chat.jsonl", "--map", "answer=output"], "--map: 'answer' is not read"),
        (["--data", "chat.jsonl", "--data-config", "en"], "--data-config has no effect on files"),
        (["--data", "chat.jsonl", "--data-revision", "1"], "--data-revision has no effect"),
        (["--data", "chat.jsonl", "--batch-size", "0"], "batch_size must be a whole number >= 1"),
        (["--data", "users.jsonl"], "no conversation can be trained on"),
        (["--data", "chat.jsonl", "--eval-data", "no.jsonl"], "no.jsonl: no such file or folder"),
        (
            ["--data", "chat.jsonl", "--eval-data", "chat.jsonl", "--eval-split", "0.2"],
            "eval_data and eval_split both say what to evaluate on",
        ),
        ([], f"{ULTRACHAT}: not a file here, and not to be had from the Hugging Face hub"),
    ],
)
def test_bad_usage_and_input_is_status_2(
    arguments: list[str], message: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "chat.jsonl", [{"messages": HELLO}])
    lines(tmp_path / "users.jsonl", [{"messages": HELLO[:1]}])
    lines(tmp_path / "pairs.jsonl", [{"chosen": "a", "rejected": "b"}])
    result = cli("sft", "--model", "tiny", "--out", "out", *arguments)
    assert result.status == 2, result.err
    assert message in result.err
    assert "--input" not in result.err
    assert not (tmp_path / "out").exists()


def test_ultrachat_is_read_by_default_from_its_own_split():
    assert SftOptions(model="tiny").data_split == "train_sft"
    assert SftOptions(model="tiny", split="test_sft").data_split == "test_sft"
    assert SftOptions(model="tiny", data="chat.jsonl").data_split is None


@pytest.mark.parametrize(
    ("row", "unread"),
    [
        ({"instruction": "Hi?", "input": "", "output": "Yes.", "id": 1}, "; not read: id"),
        ({"prompt": "Hi?", "input": "no", "completion": "Yes."}, "; not read: input"),
        ({"prompt": "Hi?", "completion": "Yes."}, ""),
    ],
)
def test_columns_that_are_not_read_are_named(
    row: dict[str, Any], unread: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", "mmpo_core.train")
    found, _ = read(lines(tmp_path / "data.jsonl", [row]))
    assert found[0]["messages"] == HELLO
    assert caplog.messages == [f"{tmp_path / 'data.jsonl'}: rows are prompt and completion{unread}"]


def test_adapters_are_trained_too(cli: Cli, tmp_path: Path):
    data = lines(tmp_path / "chat.jsonl", [{"messages": HELLO}] * 2)
    options = ["--eval-split", 0, "--lora-rank", 2, "--device", "cpu", "--out", tmp_path / "out"]
    result = cli("sft", "--model", "tiny", "--data", data, *options)
    assert result.status == 0, result.err
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["adapter"]["rank"] == 2


def test_a_file_to_evaluate_on_is_read_whole_and_a_limit_is_of_the_data(cli: Cli, tmp_path: Path):
    """The evaluation file has a row of data in it, and one that cannot be used."""
    chats = [[turn("user", f"Why {n}?"), turn("assistant", f"So {n}.")] for n in range(6)]
    data = lines(tmp_path / "chat.jsonl", [{"messages": chat} for chat in chats])
    other = [{"talk": chat} for chat in (chats[0], chats[5], [])]
    evaluation = lines(tmp_path / "eval.jsonl", [{"talk": HELLO}, *other])
    with gzip.open(tmp_path / "data.jsonl.gz", "wt") as file:
        file.write(data.read_text().replace("messages", "talk"))
    result = cli(
        *("sft", "--model", "tiny", "--data", tmp_path / "data.jsonl.gz", "--limit", 2),
        *("--map", "messages=talk", "--eval-data", evaluation, "--out", tmp_path / "out"),
        *("--device", "cpu", "--max-length", 64),
    )
    assert result.status == 0, result.err
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [record["splits"][name]["conversations"] for name in ("train", "eval")] == [2, 3]
    assert record["data"]["read"] == 2
    assert record["eval_data"]["dropped"] == {"empty_conversation": 1}
    assert record["eval_conversations"]["name"].endswith("eval.jsonl")
    assert record["eval_conversations_also_trained_on"] == 1
    assert "1 conversations of eval_data are trained on too" in result.err
    assert "3 (1 dropped" in result.out


def test_a_plan_is_printed_and_nothing_is_written(cli: Cli, tmp_path: Path):
    chats = [{"messages": [turn("user", f"Why {n}?"), turn("assistant", "So.")]} for n in range(10)]
    data = lines(tmp_path / "chat.jsonl", [*chats, {"messages": HELLO[:1]}])
    before = set(tmp_path.iterdir())
    options = ["--eval-split", "0.2", "--device", "cpu", "--out", tmp_path / "out"]
    result = cli("sft", "--plan", "--model", "tiny", "--data", data, *options)
    assert result.status == 0, result.err
    assert set(tmp_path.iterdir()) == before
    for text in ("10 of 11 kept", "1 dropped (no answer)", "2 of them", "1 (1 an epoch) of 8 conv"):
        assert text in result.out
    for part in ("weights", "gradients", "optimizer", "activations"):
        assert f"  {part}" in result.out
    assert "reference" not in result.out


def test_library_takes_the_options_as_keywords(tmp_path: Path):
    data = lines(tmp_path / "chat.jsonl", [{"messages": HELLO}, {"messages": []}])
    options = {"eval_split": 0.0, "max_length": 32, "device": "cpu", "out": tmp_path / "out"}
    result = sft(model="tiny", data=str(data), **options)
    assert (result.steps, result.record["data"]["kept"]) == (1, 1)
    with pytest.raises(TypeError, match="gamma"):
        sft(model="tiny", gamma=1.0)
