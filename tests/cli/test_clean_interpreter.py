"""What a fresh interpreter imports: the data side stays light, and importing does no work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.score.conftest import shp_row

SPY = """
import json, sys
from margintool.cli import run
status = run(sys.argv[1:])
names = ("torch", "transformers", "datasets", "openai", "aiohttp", "jinja2", "tiktoken")
heavy = [name for name in names if name in sys.modules]
print(json.dumps({"status": status, "heavy": heavy}))
"""


def spy(*args: object) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", SPY, *map(str, args)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_help_imports_nothing_heavy() -> None:
    assert spy("--help") == {"status": 0, "heavy": []}


@pytest.mark.parametrize(
    "command", ["score", "train", "inspect", "demo", "judge run", "judge submit", "judge status"]
)
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    assert spy(*command.split(), "--help") == {"status": 0, "heavy": []}


def test_scoring_a_local_file_imports_nothing_heavy(tmp_path: Path) -> None:
    data = tmp_path / "votes.jsonl"
    data.write_text(json.dumps(shp_row(9, 2)) + "\n")
    out = tmp_path / "pairs.parquet"
    result = spy("score", "--source", "shp", "--input", data, "--out", out)
    assert result == {"status": 0, "heavy": []}
    assert out.exists()


def test_importing_the_packages_downloads_and_imports_nothing_heavy() -> None:
    """Importing the paper's package downloaded a dataset."""
    code = (
        "import sys, socket; socket.socket.connect = None\n"
        "import margintool, mmpo_core\n"
        "from margintool import score, read_pairs\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
