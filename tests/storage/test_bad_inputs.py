"""Inputs that cannot be opened: each has its own sentence, with the file and what to do."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from margintool.storage import open_input
from mmpo_core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def _message(spec: Any, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        for _ in open_input(spec, **options).batches():
            pass
    return str(caught.value)


def test_missing_file_folder_and_glob(tmp_path: Path) -> None:
    for name in ("no.jsonl", "no/such/file.csv", "folder"):
        assert "no such file or folder" in _message(tmp_path / name)
    assert _message("votes.jsonl").startswith("votes.jsonl: no such file or folder. A dataset on")
    assert _message("./a/b").startswith("./a/b: no such file")
    assert _message(f"{tmp_path}/*.jsonl") == f"{tmp_path}/*.jsonl: no file matches"
    assert _message([]) == "no input given"
    assert _message("") == "--input is empty; give a file, a folder, a glob or a dataset's id"
    assert _message([tmp_path, ""]).startswith("--input is empty")


def test_empty_files(write) -> None:
    for name in ("e.json", "e.jsonl", "e.csv", "e.parquet"):
        assert _message(write(name, "")).endswith("the file is empty")
    for name in ("e.jsonl.gz", "blank.jsonl"):
        content = "" if name.endswith("gz") else "\n\n  \n"
        with pytest.raises(InputError, match="no rows"):
            open_input(write(name, content)).schema_sample()


def test_folder_without_readable_files(tmp_path: Path, write) -> None:
    write("notes.txt", "x")
    assert "the folder has no file that can be read. Known suffixes: .json, " in _message(tmp_path)


def test_unknown_suffix(write) -> None:
    for name in ("d.txt", "d.xlsx", "noend", "d.gz", "d.jsonl.bz2"):
        path = write("x.txt", "x")
        path = path.rename(path.with_name(name))
        assert _message(path).startswith(f"{path}: unknown file type. Known suffixes: .json, ")


@pytest.mark.parametrize("packing", ["gz", "zst"])
@pytest.mark.parametrize("inner", ["jsonl", "json", "csv", "parquet"])
def test_truncated_compressed_file(packing: str, inner: str, write) -> None:
    text = "".join(f'{{"a": "{n * 7919}"}}\n' for n in range(5000))
    content = f"[{text.replace(chr(10), ',')[:-1]}]" if inner == "json" else text
    path = write(f"d.{inner}.{packing}", content)
    path.write_bytes(path.read_bytes()[:-12])
    assert "data ends too early: the file is cut off. Copy or download it again" in _message(path)


def test_damaged_gzip(write) -> None:
    path = write("d.jsonl.gz", [{"a": n * 7919} for n in range(5000)])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert "damaged gzip data" in _message(path)


def test_names_that_hide_or_invent_compression(write) -> None:
    packed = write("a.jsonl.gz", [{"a": 1}])
    hidden = packed.rename(packed.with_name("a.jsonl"))
    assert "the content is gzip-compressed, which the name does not say" in _message(hidden)
    assert "end with .gz" in _message(hidden)
    plain = write("b.jsonl", [{"a": 1}])
    assert "not a gzip file, though" in _message(plain.rename(plain.with_name("b.jsonl.gz")))
    other = write("c.jsonl.zst", [{"a": 1}])
    assert "zstd-compressed" in _message(other.rename(other.with_name("c.jsonl.gz")))


@pytest.mark.parametrize("name", ["d.json", "d.jsonl", "d.csv"])
def test_utf16_is_refused_by_name(name: str, write) -> None:
    text = '[{"a": 1}]' if name == "d.json" else '{"a": 1}\n' if name == "d.jsonl" else "a\n1\n"
    assert "the text is UTF-16, expected UTF-8. Convert it: iconv" in _message(
        write(name, text.encode("utf-16"))
    )


@pytest.mark.parametrize(
    ("option", "value"), [("split", "train"), ("config", "x"), ("revision", "main")]
)
def test_hub_options_have_no_effect_on_files(option: str, value: str, write) -> None:
    path = write("d.jsonl", [{"a": 1}])
    assert f"--{option} has no effect on files" in _message(path, **{option: value})


def test_what_is_on_disk_is_not_taken_for_a_hub_id(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert "the folder has no file" in _message("org/name")
    assert "no such file" in _message("org/name.jsonl")
    assert "no such file" in _message("org/name/more")
    assert _message(["org/name", "org/other"]) == (
        "org/other: no such file or folder. A dataset on the hub cannot be combined with other "
        "inputs: give its id alone"
    )


AS_NOBODY = """
import os, sys
from margintool.storage import open_input
from mmpo_core.errors import InputError
os.setgid(65534); os.setuid(65534)
for spec in sys.argv[1:]:
    try:
        open_input(spec).schema_sample()
    except InputError as error:
        print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_no_permission_to_file_or_folder(write, tmp_path: Path) -> None:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    lines = write("d.jsonl", [{"a": 1}])
    parquet = write("d.parquet", b"PAR1")
    closed = tmp_path / "closed"
    closed.mkdir()
    inside = closed / "e.jsonl"
    inside.write_text('{"a": 1}\n')
    for path in (lines, parquet, closed):
        path.chmod(0)
    specs = [str(path) for path in (lines, parquet, closed, inside)]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *specs],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout.splitlines() == [f"{spec}: no permission to read it" for spec in specs]


def test_no_permission_simulated(write, monkeypatch) -> None:
    """The same where the tests do not run as root."""

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    path = write("d.jsonl", [{"a": 1}])
    monkeypatch.setattr("pyarrow.OSFile", refuse)
    assert _message(path) == f"{path}: no permission to read it"


@pytest.mark.parametrize("offline", ["1", "0"])
def test_unreachable_hub_is_one_quick_error(offline: str) -> None:
    """Offline mode, and a hub that refuses connections: no retries, no output but the error."""
    code = (
        "from margintool.storage import open_input\n"
        "from mmpo_core.errors import InputError\n"
        "try: open_input('stanfordnlp/SHP')\n"
        "except InputError as error: print(error)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env |= {"HF_HUB_OFFLINE": offline, "HF_ENDPOINT": "http://127.0.0.1:9"}
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    )
    assert time.monotonic() - begin < 20
    assert done.stderr == ""
    cause = "offline mode is on" if offline == "1" else "it cannot be reached"
    assert done.stdout.startswith(
        f"stanfordnlp/SHP: not a file here, and not to be had from the Hugging Face hub: {cause}"
    )
    assert done.stdout.endswith("To read a local file instead, give its path: --input FILE\n")
    assert done.stdout.count("\n") == 1


def test_local_files_import_nothing_heavy(write) -> None:
    parquet = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), parquet)
    paths = [
        write("a.jsonl.gz", [{"a": 1}, {"a": 2}]),
        write("b.json", '{"a": 1}\n{"a": 2}\n'),
        write("c.csv", "a\n1\n"),
        write("d.parquet", parquet.getvalue().to_pybytes()),
    ]
    code = (
        "import sys\n"
        "from margintool.storage import Spill, open_input, workspace\n"
        "found = open_input(sys.argv[1:])\n"
        "assert sum(b.table.num_rows for b in found.batches()) == 6, 'rows'\n"
        "found.fingerprint()\n"
        "heavy = {'datasets', 'torch', 'transformers', 'pandas', 'huggingface_hub', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout == "[]\n"
