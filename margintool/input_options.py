"""The options of every command that reads raw feedback: name, default and help text, once."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

Input = str | PathLike[str] | tuple[str | PathLike[str], ...]


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """What to read.

    Args:
        input: File, glob, folder or Hugging Face dataset id; repeat it for several files.
            Without it the source's own dataset is read from the hub.
        layout: How the rows look (see `margintool layouts`); detected from the columns if not
            given.
        map: Your column names for a layout's: prompt=COLUMN,rating=scores.overall (a dot goes
            into a struct).
        split: Split of a hub or saved dataset.
        config: Configuration of a hub dataset.
        revision: Branch, tag or commit of a hub dataset.
        limit: Read at most so many rows.
    """

    input: Input | None = None
    layout: str | None = None
    map: str | Mapping[str, str] | None = None
    split: str | None = None
    config: str | None = None
    revision: str | None = None
    limit: int | None = None
