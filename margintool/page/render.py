"""A page as HTML: one file without scripts, that asks the network for nothing.

What users and models wrote goes through two gates: control characters that could hide or turn
text round are replaced, and everything is escaped. The template's `csp` forbids the browser to
load or run anything, should a gate ever fail. Read next: page.html.jinja.
"""

from pathlib import Path
from typing import Any

from margintool import __version__
from margintool.page.views import Page
from margintool.report.words import visible
from mmpo_core.errors import InputError
from mmpo_core.pair_file import whole_file

_HERE = Path(__file__).resolve().parent
# Styles inside the page and pictures inside the page; nothing else.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_page(page: Page, path: Path) -> None:
    """Write a page, whole or not at all.

    Raises:
        InputError: if the name does not end in .html, or the file cannot be written.
    """
    check_html(path)
    text = html(page)
    with whole_file(path) as temporary:
        # A lone surrogate, as JSON may hold, has no UTF-8 form.
        temporary.write_text(text, encoding="utf-8", errors="replace")


def check_html(path: Path) -> None:
    """Raise InputError unless the name ends in .html."""
    if path.suffix.lower() != ".html":
        raise InputError(f"{path}: the page is HTML; give a name that ends in .html")


def html(page: Page) -> str:
    """Return a page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        """Make a text safe to read; what the template itself made stays as it is."""
        plain = isinstance(value, str) and not isinstance(value, Markup)
        return visible(value) if plain else value

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda block: type(block).__name__.lower()
    template = environment.get_template("page.html.jinja")
    # Ours, and the only text that is not escaped.
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8"))
    return template.render(page=page, style=style, policy=_POLICY, version=__version__)
