"""The page on an experiment. Read by registry.py."""

from pathlib import Path

from margintool.experiments.record import PAGE_FILE


def write_report(folder: Path) -> Path:
    """Write the page of a finished experiment into its folder and return its path."""
    from margintool.page.writing import report_page

    return report_page([folder], folder / PAGE_FILE, title=f"Experiment {folder.name}").path
