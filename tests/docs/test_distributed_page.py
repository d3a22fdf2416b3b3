"""docs/distributed.md names every configuration, and its command runs as written."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.core.accelerate_runs import CONFIGS, environment, write_data

PAGE = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")


def test_the_table_has_every_configuration() -> None:
    rows = [line.split("|")[1].strip() for line in PAGE.splitlines() if line.startswith("|")]
    assert sorted(rows[2:]) == sorted(path.name for path in CONFIGS.iterdir())
    training = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert "(distributed.md)" in training


@pytest.mark.slow
def test_the_command_runs_as_written(tmp_path: Path) -> None:
    """Word for word, on two processes; on a machine without GPUs they take the CPU."""
    [line] = [line for line in PAGE.splitlines() if line.startswith("    ")]
    words = shlex.split(line)
    assert words[:2] == ["accelerate", "launch"]
    write_data(tmp_path)
    shutil.copytree(CONFIGS, tmp_path / "docs" / "accelerate")
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *words[2:]],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes, wrapper DDP" in done.stderr
    assert (tmp_path / "policy" / "model.safetensors").is_file()
