"""Datasets: folders saved by `datasets`, and the hub behind a stand-in for the network."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from margintool.storage import open_input
from mmpo_core.errors import InputError

RECORDS = [{"prompt": f"p{n}", "turns": [{"role": "user", "content": "é"}]} for n in range(2500)]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _dataset() -> Any:
    from datasets import Dataset

    return Dataset.from_list(RECORDS)


def _message(spec: Any, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        list(open_input(spec, **options).batches())
    return str(caught.value)


def test_saved_dataset(tmp_path: Path, rows) -> None:
    _dataset().save_to_disk(tmp_path / "saved", num_shards=3)
    found = open_input(tmp_path / "saved")
    assert rows(tmp_path / "saved") == RECORDS
    assert rows(tmp_path / "saved", ["turns"])[7] == {"turns": RECORDS[7]["turns"]}
    assert found.schema_sample().column_names == ["prompt", "turns"]
    assert found.schema_sample().num_rows == 100
    assert {batch.name for batch in found.batches()} == {str(tmp_path / "saved")}
    steps: list[int] = []
    list(found.batches(on_bytes=steps.append))
    shards = list((tmp_path / "saved").glob("*.arrow"))
    assert len(shards) == 3
    assert sum(steps) == found.total_bytes == sum(shard.stat().st_size for shard in shards)


def test_rows_selected_before_saving_are_the_rows_read(tmp_path: Path, rows) -> None:
    """`select` keeps an index over the whole table; save_to_disk writes the selected rows."""
    _dataset().select([5, 3]).save_to_disk(tmp_path / "saved")
    assert rows(tmp_path / "saved") == [RECORDS[5], RECORDS[3]]


def test_splits_of_a_saved_dataset(tmp_path: Path, rows) -> None:
    from datasets import DatasetDict

    both = DatasetDict(train=_dataset(), test=_dataset().select(range(3)))
    both.save_to_disk(tmp_path / "saved")
    assert rows(tmp_path / "saved", split="test") == RECORDS[:3]
    batch = next(open_input(tmp_path / "saved", split="test").batches())
    assert batch.name == f"{tmp_path / 'saved'}:test"
    assert "choose one by --split train|test" in _message(tmp_path / "saved")
    message = _message(tmp_path / "saved", split="tset")
    assert "no split 'tset'. Did you mean 'test'? Splits: train, test" in message
    DatasetDict(only=_dataset()).save_to_disk(tmp_path / "one")
    assert rows(tmp_path / "one") == RECORDS


def test_damaged_saved_dataset(tmp_path: Path) -> None:
    _dataset().save_to_disk(tmp_path / "saved")
    shard = next((tmp_path / "saved").glob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[:5000])
    assert f"{shard.name} is damaged" in _message(tmp_path / "saved")
    shard.unlink()
    assert "no such file" in _message(tmp_path / "saved")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The hub has every dataset, with RECORDS in it; returns how load_dataset was called."""
    import datasets
    import huggingface_hub

    calls: list[dict[str, Any]] = []

    def load_dataset(path: str, **options: Any) -> Any:
        calls.append({"path": path, **options})
        return _dataset().to_iterable_dataset()

    def dataset_info(self: Any, dataset: str, *, revision: str | None, timeout: float) -> Any:
        return SimpleNamespace(sha=COMMIT)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    return calls


def test_hub_dataset_streams_its_rows(hub: list[dict[str, Any]], rows) -> None:
    found = open_input("stanfordnlp/SHP")
    batches = list(found.batches())
    assert [row for batch in batches for row in batch.table.to_pylist()] == RECORDS
    assert batches[0].name == "stanfordnlp/SHP:train"
    assert batches[0].rows[0] == 1
    assert found.description == "stanfordnlp/SHP (train)"
    assert found.total_bytes is None
    assert found.schema_sample().column_names == ["prompt", "turns"]
    assert found.fingerprint() == f"stanfordnlp/SHP@{COMMIT}:default:train"
    assert rows("stanfordnlp/SHP", ["prompt"])[3] == {"prompt": "p3"}


def test_hub_options_reach_load_dataset_and_pin_the_commit(hub: list[dict[str, Any]]) -> None:
    found = open_input("org/name", split="test", config="large", revision="v1")
    assert hub == [
        {
            "path": "org/name",
            "name": "large",
            "split": "test",
            "revision": COMMIT,
            "streaming": True,
        }
    ]
    assert found.fingerprint() == f"org/name@{COMMIT}:large:test"


def test_limit_stops_the_stream(hub: list[dict[str, Any]]) -> None:
    batches = list(open_input("org/name").batches(limit=1234))
    assert sum(batch.table.num_rows for batch in batches) == 1234


def _hf_error(name: str) -> Exception:
    """An error of huggingface_hub, made without the response that its constructor wants."""
    import huggingface_hub.errors

    kind = getattr(huggingface_hub.errors, name)
    error: Exception = kind.__new__(kind)
    error.args = ("404 Client Error",)
    return error


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RepositoryNotFoundError", "no such dataset, or a private one"),
        ("GatedRepoError", "the dataset is gated: accept its terms on the hub"),
        ("RevisionNotFoundError", "no such revision"),
    ],
)
def test_refusals_of_the_hub(name: str, words: str, hub, monkeypatch) -> None:
    def refuse(self: Any, dataset: str, **options: Any) -> Any:
        raise _hf_error(name)

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", refuse)
    message = _message("org/name")
    assert words in message
    assert "--input FILE" in message
    assert hub == []


@pytest.mark.parametrize(
    "options", [{"split": "validation"}, {"config": "missing"}], ids=["split", "config"]
)
def test_wrong_split_or_config_names_the_right_ones(
    options: dict[str, str], tmp_path: Path, monkeypatch, hub
) -> None:
    """The real load_dataset, on a local repository with one config and two splits."""
    from datasets.load import load_dataset

    (tmp_path / "repo").mkdir()
    for split in ("train", "test"):
        (tmp_path / "repo" / f"{split}.jsonl").write_text('{"a": 1}\n')

    def local(path: str, *, revision: str, **rest: Any) -> Any:
        return load_dataset(str(tmp_path / "repo"), cache_dir=str(tmp_path / "cache"), **rest)

    monkeypatch.setattr("datasets.load_dataset", local)
    assert len(list(open_input("org/name", split="test").batches())) == 1
    message = _message("org/name", **options)
    assert ("train" in message and "test" in message) or "default" in message
    assert "--input FILE" in message


def test_connection_lost_on_the_way(hub, monkeypatch) -> None:
    from datasets import IterableDataset

    def rows_then_failure() -> Any:
        yield from RECORDS[:1500]
        raise ConnectionError("server disconnected")

    monkeypatch.setattr(
        "datasets.load_dataset", lambda *_, **__: IterableDataset.from_generator(rows_then_failure)
    )
    assert "it cannot be reached (server disconnected)" in _message("org/name")


def test_saved_datasets_are_read_without_importing_datasets(tmp_path: Path) -> None:
    import subprocess
    import sys

    _dataset().save_to_disk(tmp_path / "saved")
    code = (
        "import sys\n"
        "from margintool.storage import open_input\n"
        "print(sum(b.table.num_rows for b in open_input(sys.argv[1]).batches()))\n"
        "print('datasets' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "saved")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert done.stdout.split() == ["2500", "False"]
