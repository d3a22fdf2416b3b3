"""Wrong command lines end with one line in this program's form; names of elsewhere are known."""

from collections.abc import Callable
from typing import Any

import pytest
from typer.main import get_command

from margintool.cli import app
from mmpo_core.other_names import _OTHER_NAMES, names_here

Cli = Callable[..., Any]


@pytest.mark.parametrize(
    ("line", "last"),
    [
        ("train x --learning-rate 3", "No such option: --learning-rate. It is called --lr here"),
        ("train x --learning_rate=3", "No such option: --learning_rate. It is called --lr here"),
        ("train --dataset x", "No such option: --dataset. It is called PAIRS here"),
        ("sft --dataset x", "No such option: --dataset. It is called --data here"),
        (
            "train --per-device-train-batch-size 3",
            "No such option: --per-device-train-batch-size. It is called --batch-size or "
            "--tokens-per-batch here",
        ),
        ("similarity fit --lr 3", "No such option: --lr. It is called --learning-rate here"),
        # score trains nothing
        ("score --learning-rate 3 --out x", "No such option: --learning-rate"),
        ("train x --gama 3", "No such option: --gama (Possible options: --eval-gamma, --gamma)"),
        ("report", "Missing argument 'folders'."),
        ("nosuch", "No such command 'nosuch'."),
    ],
)
def test_the_last_line_says_what_is_wrong(cli: Cli, line: str, last: str) -> None:
    done = cli(*line.split())
    assert (done.status, done.out) == (2, "")
    usage, *_, shown = done.err.splitlines()
    assert usage.startswith("Usage: margintool")
    assert shown == f"error: {last}"


def test_a_word_that_is_none_of_the_choices_is_said_without_the_checkers_words(cli: Cli) -> None:
    """Pydantic, which checks for Typer, begins every such message with `Value error, `."""
    done = cli("train", "x", "--loss", "foo")
    assert done.status == 2
    assert "error: Invalid value for '--loss': 'foo' is not one of 'mmpo'," in done.err
    assert "Value error" not in done.err


@pytest.mark.parametrize("line", ["", "judge"])
def test_nothing_given_shows_the_help(cli: Cli, line: str) -> None:
    done = cli(*line.split())
    assert done.status == 2
    assert "Commands:" in done.err
    assert "error:" not in done.err


def test_every_name_here_is_an_option_of_some_command() -> None:
    """A renamed option may leave no name behind."""

    def names(command: Any) -> set[str]:
        members = getattr(command, "commands", {}).values()
        return {one.name for one in command.params}.union(*map(names, members))

    known = names(get_command(app))
    assert {name for own in _OTHER_NAMES.values() for name in own} <= known


def test_only_names_that_are_known_are_given() -> None:
    assert names_here("dataset", ["data", "model", "input"]) == ["data", "input"]
    assert names_here("dataset", ["model"]) == []
    assert names_here("nothing", ["data"]) == []
