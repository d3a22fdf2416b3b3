"""`margintool layouts`: every layout is listed with all of its columns."""

import json

import pytest
import typer

from margintool.cli.layouts import layouts_command
from margintool.layouts import LAYOUTS
from margintool.layouts.listing import print_layouts


@pytest.fixture
def cli():
    from typer.testing import CliRunner

    app = typer.Typer()
    app.command()(layouts_command)
    return lambda *args: CliRunner().invoke(app, list(args)).output


def test_plain_text_names_every_layout_and_column(cli):
    text = cli()
    for layout in LAYOUTS.values():
        assert f"\n{layout.name} (--source" in f"\n{text}"
        assert layout.about in text
        for name in layout.patterns():
            assert name in text
    assert "\x1b" not in text


def test_what_may_be_absent_is_said(cli):
    text = cli()
    assert "  score_B: votes of comment B (for shp)\n" in text
    assert "  rating or score: its rating (one of; for ratings)\n" in text
    assert "  models: list, as long as responses, of who wrote each (optional)\n" in text
    assert "\npairs (--source gpt4, similarity; rows are pairs)\n" in text


def test_json_is_only_json(cli):
    listed = json.loads(cli("--json"))
    assert [entry["name"] for entry in listed] == list(LAYOUTS)
    shp = listed[0]
    assert shp["kind"] == "pairs"
    assert shp["sources"] == ["shp", "gpt4", "similarity"]
    assert shp["scores"] == ["score_A", "score_B"]
    sources = {entry["name"]: entry["sources"] for entry in listed}
    assert sources["pairs"] == sources["hh"] == ["gpt4", "similarity"]
    assert sources["responses"] == ["gpt4"]
    assert sources["judgments"] == sources["ratings_long"] == ["ratings", "gpt4"]
    assert [e["name"] for e in listed if e["both_orders"]] == ["judgments"]
    assert "labels" in shp["optional"]
    assert shp["scale"] is None
    assert [e["scale"] for e in listed if e["name"] == "helpsteer3"] == [[-3.0, 3.0]]


def test_a_table_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    print_layouts(lambda layout: [*layout.sources, "other"])
    text = capsys.readouterr().out
    assert "annotator*[0-9]" in text
    assert "│" in text
    assert all(name in text for name in LAYOUTS)
    assert "ratings, other" in text
