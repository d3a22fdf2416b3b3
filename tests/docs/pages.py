"""What tests of the pages share: reading commands and tables off a page, and running them."""

import json
import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from margintool import score
from tests.score.conftest import shp_row


def code_lines(page: str, *sections: str) -> Iterator[str]:
    """The indented command lines of sections, in the order given, comments cut."""
    for section in sections:
        yield from _indented(page.split(f"## {section}\n")[1].split("\n## ")[0])


def first_lines(page: str) -> Iterator[str]:
    """The indented command lines before the first section."""
    return _indented(page.split("\n## ")[0])


def _indented(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("    "):
            yield line.split("  #")[0].strip()


def first_column(page: str, section: str) -> list[str]:
    """The names in the first column of a section's table."""
    body = page.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in body.splitlines() if line.startswith("|")][2:]
    return [name.strip() for row in rows for name in row.split(",")]


def run_as_written(cli: Callable[..., Any], lines: Iterable[str]) -> None:
    """Run margintool's command lines in this process; each must end well."""
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "margintool"
        done = cli(*words[1:])
        assert done.status == 0, f"{line}\n{done.err}"


def write_twelve_pairs() -> None:
    """Write votes.jsonl and, scored, pairs.parquet into the working directory."""
    rows = [shp_row(3 + n, 2 + n % 2, 3 * n) for n in range(12)]
    Path("votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(source="shp", input="votes.jsonl", out="pairs.parquet")
