"""The page's HTML: safe, self-contained, whole, and readable by everyone."""

import re
from pathlib import Path

import pytest

from margintool.page import render
from margintool.page.render import html
from margintool.page.views import Example, Page, Paragraph, Said, Section
from tests.report_page.made import HOSTILE
from tests.report_page.outline import Outline

CSS = (Path(render.__file__).parent / "page.css").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(page_file: Path) -> Outline:
    return Outline(page_file.read_text(encoding="utf-8"))


def test_hostile_texts_are_texts(outline: Outline) -> None:
    assert not outline.named("script")
    assert HOSTILE in outline.text
    handlers = [name for _, attributes in outline.tags for name in attributes if name[:2] == "on"]
    assert handlers == []


def test_nothing_is_fetched(outline: Outline) -> None:
    places = [
        value or ""
        for _, attributes in outline.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action")
    ]
    assert len(places) > 10
    assert all(place.startswith(("data:", "#")) for place in places)
    assert "url(" not in CSS
    assert "@import" not in CSS
    [policy] = [m for m in outline.named("meta") if "http-equiv" in m]
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_sections_are_there(outline: Outline) -> None:
    titles = [a["id"] for a in outline.named("section")]
    results = "experiment-1 runs held-out reliability by-margin overfitting training"
    others = "mt-bench best-of-n examples data targets commands"
    assert titles == [*results.split(), *others.split()]


def test_what_a_screen_reader_needs(outline: Outline) -> None:
    assert outline.headings.count(1) == 1
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(deeper <= level + 1 for level, deeper in steps)
    for landmark in ("header", "nav", "main", "footer"):
        assert len(outline.named(landmark)) == 1
    ids = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [(a["href"] or "")[1:] for a in outline.named("a")]
    assert set(links) <= set(ids)
    assert all(len(a["alt"] or "") > 20 for a in outline.named("img"))
    assert len(outline.named("caption")) == len(outline.named("table")) > 5
    assert outline.named("html") == [{"lang": "en"}]


def test_control_characters_are_replaced_and_the_rest_is_kept() -> None:
    """A right-to-left override and an escape sequence each become U+FFFD; emoji and é stay."""
    said = [Said("prompt", "a\u202eb \x1b[31m é 🙂 {{ 7 * 7 }}")]
    page = Page("t", "l", [Section("k", "s", [Example("p", [("n", "v")], said)])])
    shown = Outline(html(page)).text
    assert "a\ufffdb \ufffd[31m é 🙂 {{ 7 * 7 }}" in shown


@pytest.mark.parametrize("place", ["title", "lead", "section", "left_out"])
def test_names_are_escaped_too(place: str) -> None:
    own = {"title": "t", "lead": "l", "section": "s", "left_out": "o"} | {place: HOSTILE}
    sections = [Section("k", own["section"], [Paragraph("p")])]
    page = html(Page(own["title"], own["lead"], sections, [own["left_out"]]))
    assert "<script" not in page
    assert HOSTILE in Outline(page).text


def test_a_lone_surrogate_does_not_stop_the_page(tmp_path: Path) -> None:
    page = Page("t \ud800", "l", [])
    render.write_page(page, tmp_path / "page.html")
    assert "t ?" in (tmp_path / "page.html").read_text(encoding="utf-8")


def _luminance(color: str) -> float:
    """Relative luminance by WCAG 2.1."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "panel"])
@pytest.mark.parametrize("ink", ["ink", "soft", "link"])
def test_contrast(scheme: int, ground: str, ink: str) -> None:
    """At least 4.5 : 1, WCAG 2.1 AA for text of any size."""
    colors = dict(re.findall(r"--(\w+): (#\w{6})", CSS.split(":root {")[scheme + 1].split("}")[0]))
    assert len(colors) == 7
    light, dark = sorted((_luminance(colors[ink]), _luminance(colors[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
