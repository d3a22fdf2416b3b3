"""The page in a real Chromium, without a window: nothing is fetched, nothing is cut off.

Skipped, saying so, where there is no Chromium or no playwright. MARGINTOOL_CHROMIUM names a
browser that is not on the path.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
WIDTHS = {"desktop": 1280, "phone": 390}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with an empty profile."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("MARGINTOOL_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium, or set MARGINTOOL_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=path,
            headless=True,
            args=FLAGS,
            viewport={"width": 1280, "height": 900},
        )
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def opened(chromium: Any, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page at a width; it has asked for nothing and complained of nothing when it closes."""
    page = chromium.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.on("console", lambda one: said.append(one.text))
    page.on("pageerror", lambda one: said.append(str(one)))
    page.set_viewport_size({"width": WIDTHS[request.param], "height": 900})
    page.goto(page_file.as_uri(), wait_until="load")
    yield page
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    assert said == []
    page.close()


def test_pictures_are_drawn_and_told(opened: Any) -> None:
    pictures = opened.evaluate(
        "[...document.images].map(i => [i.complete, i.naturalWidth, i.naturalHeight, i.alt])"
    )
    assert len(pictures) >= 10
    for complete, width, height, alt in pictures:
        assert complete
        assert width > 100
        assert height > 100
        assert len(alt) > 20


def test_nothing_is_wider_than_the_page(opened: Any) -> None:
    """With everything unfolded, too; tables scroll inside their boxes."""
    opened.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    width = opened.viewport_size["width"]
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    outside = opened.evaluate(
        """width => [...document.querySelectorAll('main *')]
            .filter(e => !e.parentElement.closest('.scroll, .wide, .code'))
            .filter(e => e.getBoundingClientRect().right > width + 1)
            .map(e => e.outerHTML.slice(0, 80))""",
        width,
    )
    assert outside == []


def test_a_keyboard_unfolds_and_skips(opened: Any) -> None:
    """The first stop is the link to the content; every fold is a stop and opens with Enter."""
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.className") == "skip"
    assert opened.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    folds = opened.locator("summary").count()
    reached = 0
    for _ in range(300):
        opened.keyboard.press("Tab")
        if opened.evaluate("document.activeElement.tagName") == "SUMMARY":
            reached += 1
            if reached == 1:
                style = opened.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert style != "none"
                opened.keyboard.press("Enter")
                assert opened.evaluate("document.activeElement.parentElement.open")
        if reached == folds:
            break
    assert reached == folds > 5


def test_paper_cuts_nothing_off(opened: Any) -> None:
    """At the width of A4: what scrolls on a screen is as wide as the paper."""
    opened.set_viewport_size({"width": 720, "height": 900})
    opened.emulate_media(media="print")
    outside = opened.evaluate(
        """() => [...document.querySelectorAll('main *')]
            .filter(e => e.getBoundingClientRect().right > 721)
            .map(e => e.outerHTML.slice(0, 80))"""
    )
    opened.emulate_media(media="screen")
    assert outside == []


def test_dark_is_dark(opened: Any) -> None:
    opened.emulate_media(color_scheme="dark")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    opened.emulate_media(color_scheme="light")
    assert (
        opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )
