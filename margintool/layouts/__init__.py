"""How raw rows look: one file per dataset layout, each turning rows into a canonical table.

Read base.py first (what a layout is), then shp.py (the simplest), then detect.py (the choice).
"""

from margintool.layouts.base import Layout, found_as
from margintool.layouts.detect import detect, require
from margintool.layouts.mapping import apply_map, parse_map, wanted_columns
from margintool.layouts.registry import LAYOUTS

__all__ = [
    "LAYOUTS",
    "Layout",
    "apply_map",
    "detect",
    "found_as",
    "parse_map",
    "require",
    "wanted_columns",
]
