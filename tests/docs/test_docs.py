"""The documentation is whole and true: generated pages, help texts, and the README as written."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.main import get_command

import margintool
import mmpo_core
from margintool.cli import COMMANDS, GROUPS, app
from tests.conftest import ROOT
from tests.docs.pages import code_lines
from tests.judge.conftest import MockJudge, start_mock
from tests.score.conftest import shp_row

__all__ = ["start_mock"]  # a fixture

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name", sorted([*COMMANDS, *(f"{g} {n}" for g, (_, names) in GROUPS.items() for n in names)])
)
def test_every_command_has_help_an_example_and_described_options(name: str) -> None:
    command: Any = get_command(app)
    for word in name.split():
        command = command.commands[word]
    assert f"Example: margintool {name}" in command.help
    assert all(getattr(parameter, "help", "") for parameter in command.params)


def options_with_help() -> Iterator[tuple[str, str]]:
    """Yield each command's options and arguments, and their help without the default."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, str]]:
        for parameter in command.params:
            text = re.sub(r" \[default: [^]]*\]$", "", parameter.help)
            yield f"{name} {parameter.name}".strip(), text
        for word, member in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {word}".strip(), member)

    yield from walk("", get_command(app))


def test_the_help_of_every_option_is_a_sentence() -> None:
    """A capital letter first and a full stop last, in all commands alike."""
    texts = dict(options_with_help())
    assert {"version", "train lr", "score out", "judge run mode"} <= texts.keys()
    wrong = {n: text for n, text in texts.items() if not re.fullmatch(r"[A-Z].*\.", text)}
    assert wrong == {}


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = list(code_lines(README, "Two commands"))
    assert commands == ["make demo", "make test"]
    for command in commands:
        assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-ins for what the hub holds: SHP rows and a small model. Returns what was asked for."""
    import datasets
    import huggingface_hub

    from mmpo_core import models

    asked: list[str] = []

    def load_dataset(path: str, *_: Any, **__: Any) -> Any:
        asked.append(path)
        rows = [shp_row(2 + i, 2 + i % 3, 3 * i) for i in range(12)]
        return datasets.Dataset.from_list(rows).to_iterable_dataset()

    commit = SimpleNamespace(sha="0" * 40)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: commit)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setitem(models.MODELS, "mistral-7b", models.MODELS["tiny"])
    return asked


def test_the_main_job_runs_as_written(
    cli: Callable[..., Any], hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word for word in an empty folder; only what the hub sends is replaced."""
    monkeypatch.chdir(tmp_path)
    sections = ("The main job", "Is it better, and is it calibrated?")
    for line in code_lines(README, *sections):
        words = shlex.split(line)
        if words[0] == "margintool":
            done = cli(*words[1:])
            assert done.status == 0, f"{line}\n{done.err}"
        elif words[0] == "python":
            assert subprocess.run([sys.executable, *words[1:]], check=True).returncode == 0
        else:
            assert line == "pip install -c constraints.txt ."
    assert hub == ["stanfordnlp/SHP"]
    assert (tmp_path / "margins.png").stat().st_size > 10_000
    assert list(tmp_path.glob("runs/*/model.safetensors"))
    assert "mmpo against dpo: " in (tmp_path / "report.html").read_text(encoding="utf-8")


JUDGE_SECTIONS = {
    "README.md": ("A judge for pairs without a strength",),
    "docs/judge.md": ("Try it without a key", "A real run", "The journal", "Batch API"),
}


@pytest.mark.parametrize("page", sorted(JUDGE_SECTIONS))
def test_the_judge_commands_run_as_written(
    page: str,
    cli: Callable[..., Any],
    start_mock: Callable[..., MockJudge],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Word for word, in the page's order; the stand-in's port and the judge's name are replaced."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = list(code_lines(text, *JUDGE_SECTIONS[page]))
    assert len(lines) > 3
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.jsonl").write_text(
        "".join(
            json.dumps({"prompt": f"{n}?", "chosen": "a b c d " * n, "rejected": "a"}) + "\n"
            for n in range(1, 6)
        )
    )
    monkeypatch.setenv("OPENAI_BASE_URL", start_mock().url)
    for line in lines:
        words = shlex.split(line.rstrip(" &").replace("gpt-4o", "mock-judge"))
        if words[0] == "export":
            assert re.fullmatch(r"OPENAI_BASE_URL=http://127.0.0.1:8000/v1", words[1])
        elif words[:3] == ["margintool", "judge", "mock-server"]:
            assert words[3:] == ["--port", "8000"]
        elif words[0] == "margintool":
            again = ["--overwrite"] if words[1] == "score" else []
            priced = ["--prices", prices(tmp_path)] if "--max-cost" in words else []
            done = cli(*words[1:], *again, *priced)
            assert done.status == 0, f"{line}\n{done.err}"
        else:
            json.loads(line)  # the price file shown
    assert list(tmp_path.glob("*.journal.sqlite"))


def prices(folder: Path) -> Path:
    path = folder / "prices.json"
    path.write_text(json.dumps({"mock-judge": {"input": 1, "output": 1}}))
    return path


def test_the_python_example_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    monkeypatch.chdir(tmp_path)
    with gzip.open("votes.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(shp_row(2 + i, 2, 3 * i)) + "\n" for i in range(5))
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    assert len(names["pairs"]) == 5
    assert names["data"][0]["chosen"][0]["role"] == "assistant"


@pytest.mark.parametrize("package", [margintool, mmpo_core])
def test_every_public_name_is_there_and_documented(package: Any) -> None:
    for name in package.__all__:
        assert getattr(package, name).__doc__


def test_the_versions_agree() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{margintool.__version__}"' in project
    assert f"## {margintool.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
