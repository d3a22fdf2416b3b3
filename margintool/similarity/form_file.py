"""margintool.json: the file beside a fitted model that says what the model reads.

Read by texts.py, for models of embeddings, and by pair_text.py, for cross-encoders.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmpo_core.errors import InputError
from mmpo_core.pair_file import whole_file

FORM_FILE = "margintool.json"


def write_form_file(folder: Path, content: Mapping[str, Any]) -> None:
    """Write what the model in `folder` reads beside it."""
    with whole_file(folder / FORM_FILE) as path:
        path.write_text(json.dumps(content, indent=2) + "\n")


def read_form_file(folder: Path) -> dict[str, Any] | None:
    """Return what the file says, or None where there is none.

    Raises:
        InputError: if the file is damaged.
    """
    path = folder / FORM_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    if not isinstance(content, dict):
        raise damaged(path, "no object")
    return content


def damaged(path: Path, why: object) -> InputError:
    """Return the error of a file that cannot be what a fit wrote."""
    return InputError(f"{path}: is damaged ({why}). Fit the model again")
