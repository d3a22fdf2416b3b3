"""Margin sources: where a quality gap comes from. A new one is a file, a line here, a card."""

from margintool.sources.base import Rated, Scored, Settings, Source
from margintool.sources.gpt4 import GPT4
from margintool.sources.ratings import RATINGS
from margintool.sources.shp import SHP
from margintool.sources.similarity import SIMILARITY

SOURCES: dict[str, Source] = {source.name: source for source in (SHP, RATINGS, GPT4, SIMILARITY)}

__all__ = ["SOURCES", "Rated", "Scored", "Settings", "Source"]
