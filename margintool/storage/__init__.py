"""Reading raw feedback and keeping working data on disk. Start with raw_input.py."""

from margintool.storage.columns import Wanted
from margintool.storage.raw_input import RawBatch, RawInput, open_input
from margintool.storage.spill import Spill
from margintool.storage.stream import prefetch
from margintool.storage.workspace import workspace

__all__ = ["RawBatch", "RawInput", "Spill", "Wanted", "open_input", "prefetch", "workspace"]
