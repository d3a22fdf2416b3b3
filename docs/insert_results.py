"""Puts results of experiments into docs/experiments.md, each in its own place, with pictures.

Run: python docs/insert_results.py DIR...     folders of `margintool experiment`
"""

import json
import shutil
import sys
from pathlib import Path

from margintool.experiments.record import EXPERIMENT_FILE
from margintool.experiments.table import place, with_results

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "experiments.md"
PICTURES = "experiments"


def main() -> None:
    """Write the page anew with the results of every folder given."""
    page = PAGE.read_text(encoding="utf-8")
    for folder in map(Path, sys.argv[1:]):
        content = json.loads((folder / EXPERIMENT_FILE).read_text(encoding="utf-8"))
        name = place(content).replace(", ", "-").replace(" ", "-")
        copies = {one: f"{PICTURES}/{name}-{one}" for one in content.get("pictures", ())}
        page = with_results(page, content, list(copies.values()))
        (DOCS / PICTURES).mkdir(exist_ok=True)
        for picture, copy in copies.items():
            shutil.copyfile(folder / picture, DOCS / copy)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
