"""The list of layouts. A new one is a file beside this one, a line here, and a test."""

from margintool.layouts import (
    argilla_ultrafeedback,
    helpsteer2,
    helpsteer3,
    hh,
    judgments,
    pair_file,
    pairs,
    ratings_long,
    ratings_pair,
    responses,
    shp,
    ultrafeedback,
    ultrafeedback_binarized,
    votes_pair,
)
from margintool.layouts.base import Layout

LAYOUTS: dict[str, Layout] = {
    "shp": shp.LAYOUT,
    "votes_pair": votes_pair.LAYOUT,
    "ultrafeedback": ultrafeedback.LAYOUT,
    "ultrafeedback_binarized": ultrafeedback_binarized.LAYOUT,
    "argilla_ultrafeedback": argilla_ultrafeedback.LAYOUT,
    "helpsteer2": helpsteer2.LAYOUT,
    "helpsteer3": helpsteer3.LAYOUT,
    "ratings_long": ratings_long.LAYOUT,
    "ratings_pair": ratings_pair.LAYOUT,
    "judgments": judgments.LAYOUT,
    "pairs": pairs.LAYOUT,
    "pair_file": pair_file.LAYOUT,
    "hh": hh.LAYOUT,
    "responses": responses.LAYOUT,
}
