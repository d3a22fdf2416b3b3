"""The page on an experiment, from its sweeps and evaluations. Read by registry.py."""

from pathlib import Path

from margintool.experiments.record import PAGE_FILE

# Of each model: there are up to forty, on the same pairs.
EXAMPLES = 1


def write_report(folder: Path) -> Path:
    """Write the page of a finished experiment into its folder and return its path."""
    from margintool.page.writing import report_page

    parts = [*sorted(folder.glob("sweeps/*")), *sorted(folder.glob("evaluations/*"))]
    return report_page(
        parts, folder / PAGE_FILE, title=f"Experiment {folder.name}", examples=EXAMPLES
    ).path
