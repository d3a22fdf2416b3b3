"""Every layout has a card, cards say what the code knows, and their commands parse."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from huggingface_hub import DatasetCard

from margintool.card.origins import ORIGINS
from margintool.cli import app
from margintool.layouts import LAYOUTS
from margintool.readers import reads
from margintool.sources import SOURCES

FOLDER = Path(__file__).resolve().parents[2] / "data_cards"
CARDS = sorted(FOLDER.glob("*.md"))
SECTIONS = ("Origin", "Licence", "Columns", "How the margin is defined", "Caveats", "Commands")


def front(path: Path) -> dict[str, Any]:
    block = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])
    assert isinstance(block, dict)
    return block


def layouts_of(path: Path) -> list[str]:
    return list(front(path).get("margintool_layouts", []))


def commands(path: Path) -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.strip()]


SOURCE_CARDS = [card for card in CARDS if layouts_of(card)]
COMMANDS = [(card.name, words) for card in SOURCE_CARDS for words in commands(card)]


def by_name(value: Any) -> str:
    if isinstance(value, Path):
        return value.stem
    return value if isinstance(value, str) else shlex.join(value[1:])


def test_every_layout_has_a_card_and_every_card_a_layout_that_exists() -> None:
    covered = {name for card in SOURCE_CARDS for name in layouts_of(card)}
    assert covered == set(LAYOUTS)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_layout_has_an_origin_whose_card_covers_it(name: str) -> None:
    assert name in layouts_of(FOLDER / ORIGINS[name].card)


def test_origins_know_no_other_layouts() -> None:
    assert set(ORIGINS) == set(LAYOUTS)


@pytest.mark.parametrize("card", CARDS, ids=by_name)
def test_front_matter_is_the_hubs(card: Path) -> None:
    text = card.read_text(encoding="utf-8")
    block = front(card)
    assert DatasetCard(text).data.to_dict() == block
    assert {"license", "pretty_name", "task_categories", "tags"} <= set(block)


@pytest.mark.parametrize("card", SOURCE_CARDS, ids=by_name)
def test_sections(card: Path) -> None:
    titles = re.findall(r"^## (.+)$", card.read_text(encoding="utf-8"), re.MULTILINE)
    assert titles == list(SECTIONS)


@pytest.mark.parametrize("name", sorted(ORIGINS))
def test_the_card_holds_the_caveats_and_licences_that_the_code_writes(name: str) -> None:
    origin = ORIGINS[name]
    card = FOLDER / origin.card
    text = card.read_text(encoding="utf-8")
    for caveat in origin.caveats:
        assert f"- {caveat}\n" in text
    for dataset in origin.licenses:
        assert f"https://huggingface.co/datasets/{dataset})" in text
    if origin.licenses:
        assert front(card)["license"] == next(iter(origin.licenses.values()))
        assert front(card)["source_datasets"] == list(origin.licenses)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_the_card_names_the_columns_that_the_layout_reads(name: str) -> None:
    text = (FOLDER / ORIGINS[name].card).read_text(encoding="utf-8")
    layout = LAYOUTS[name]
    for column in layout.required:
        names = (column, *layout.aliases.get(column, ()))
        assert any(f"`{word}" in text for word in names), column


@pytest.mark.parametrize("name", sorted(n for n in LAYOUTS if ORIGINS[n].licenses))
def test_hub_datasets_of_a_layout_are_those_it_announces(name: str) -> None:
    for dataset in ORIGINS[name].licenses:
        assert dataset.split("/")[0] in LAYOUTS[name].about


@pytest.mark.parametrize(("card", "words"), COMMANDS, ids=by_name)
def test_commands_parse_and_name_what_exists(card: str, words: list[str]) -> None:
    assert words[0] == "margintool"
    group: Any = typer.main.get_command(app)
    command = group.commands[words[1]]
    given = command.make_context(words[1], words[2:]).params
    if words[1] != "score":
        return
    source = SOURCES[given["source"]]
    layout = LAYOUTS[given["layout"] or layouts_of(FOLDER / card)[0]]
    assert given["margin"] is None or given["margin"] in source.margins
    assert given["layout"] is None or reads(source, layout)
    aspects = set((given["aspects"] or "").split(",")) - {""}
    assert layout.aspects_in is not None or aspects <= set(layout.aspects)


@pytest.mark.parametrize("card", SOURCE_CARDS, ids=by_name)
def test_every_card_has_a_score_command_for_each_of_its_datasets(card: Path) -> None:
    score = [words for words in commands(card) if words[1] == "score"]
    assert score
    inputs = {words[words.index("--input") + 1] for words in score if "--input" in words}
    sources = {words[words.index("--source") + 1] for words in score}
    defaults = {SOURCES[name].default_input for name in sources}
    for dataset in front(card).get("source_datasets", [])[:1]:
        assert dataset in inputs | defaults
