"""The check of a picture's name. Read by plot.py and by margintool/compare."""

from pathlib import Path

from mmpo_core.errors import InputError


def check_png(path: Path) -> None:
    """Raise InputError unless the name ends in .png."""
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: --plot writes PNG; give a name that ends in .png")
