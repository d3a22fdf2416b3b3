"""Puts results of experiments into docs/experiments.md, each in its own place.

Run: python docs/insert_results.py DIR...     folders of `margintool experiment`
"""

import json
import sys
from pathlib import Path

from margintool.experiments.record import EXPERIMENT_FILE
from margintool.experiments.table import with_results

PAGE = Path(__file__).resolve().parent / "experiments.md"


def main() -> None:
    """Write the page anew with the results of every folder given."""
    page = PAGE.read_text(encoding="utf-8")
    for folder in sys.argv[1:]:
        content = json.loads((Path(folder) / EXPERIMENT_FILE).read_text(encoding="utf-8"))
        page = with_results(page, content)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
