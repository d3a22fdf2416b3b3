"""Turn graded preferences into margins: `score` writes pair files, `read_pairs` reads them.

    from margintool import score, read_pairs
    score(source="shp", input="votes.jsonl.gz", out="pairs.parquet")
    pairs = read_pairs("pairs.parquet")

Importing this package is cheap: names load on first use. Read next: pipeline.py.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from margintool.pipeline import score
    from mmpo_core.errors import InputError
    from mmpo_core.pair_file import read_metadata, read_pairs, write_pairs
    from mmpo_core.schema import pair_to_messages
    from mmpo_core.train import train

__version__ = "0.1.0"
__all__ = [
    "InputError",
    "pair_to_messages",
    "read_metadata",
    "read_pairs",
    "score",
    "train",
    "write_pairs",
]

_WHERE = {
    "InputError": "mmpo_core.errors",
    "pair_to_messages": "mmpo_core.schema",
    "read_metadata": "mmpo_core.pair_file",
    "read_pairs": "mmpo_core.pair_file",
    "score": "margintool.pipeline",
    "train": "mmpo_core.train",
    "write_pairs": "mmpo_core.pair_file",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module 'margintool' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
