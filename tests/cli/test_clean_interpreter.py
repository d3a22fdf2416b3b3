"""What a fresh interpreter imports: the data side stays light, and importing does no work."""

import json
import subprocess
import sys
from pathlib import Path

from tests.score.conftest import shp_row

SPY = """
import json, sys
from margintool.cli import run
names = ("torch", "transformers", "datasets", "openai", "aiohttp", "jinja2", "tiktoken")
for arguments in json.loads(sys.argv[1]):
    status = run(arguments)
    heavy = [name for name in names if name in sys.modules]
    print(json.dumps({"arguments": arguments, "status": status, "heavy": heavy}))
"""
HELP = ("", "score", "train", "sweep", "inspect", "demo")
HELP += ("judge run", "judge submit", "judge status")


def spy(*commands: list[str]) -> list[dict]:
    """Run commands one after another in one fresh interpreter; what each had imported after it."""
    done = subprocess.run(
        [sys.executable, "-c", SPY, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"arguments"')]


def test_help_imports_nothing_heavy() -> None:
    commands = [[*command.split(), "--help"] for command in HELP]
    assert spy(*commands) == [
        {"arguments": command, "status": 0, "heavy": []} for command in commands
    ]


def test_scoring_a_local_file_imports_nothing_heavy(tmp_path: Path) -> None:
    data = tmp_path / "votes.jsonl"
    data.write_text(json.dumps(shp_row(9, 2)) + "\n")
    out = tmp_path / "pairs.parquet"
    command = ["score", "--source", "shp", "--input", str(data), "--out", str(out)]
    assert spy(command) == [{"arguments": command, "status": 0, "heavy": []}]
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
