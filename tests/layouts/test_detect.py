"""Which layout is chosen from the columns, and what is said when none fits."""

import pyarrow as pa
import pytest

from margintool.layouts import LAYOUTS, detect, require
from mmpo_core.errors import InputError


def columns(names: str, **types: pa.DataType) -> pa.Schema:
    return pa.schema([(name, types.get(name, pa.string())) for name in names.split()])


HUB = {
    "post_id history human_ref_A human_ref_B score_A score_B labels": "shp",
    "prompt response_a response_b votes_a votes_b": "votes_pair",
    "idx instruction input response1 response2 annotator1 annotator2": "votes_pair",
    "prompt response helpfulness correctness coherence complexity verbosity": "helpsteer2",
    "domain language context response1 response2 overall_preference": "helpsteer3",
    "prompt response rating model": "ratings_long",
    "instruction output score": "ratings_long",
    "prompt response_a response_b rating_a rating_b": "ratings_pair",
    "prompt chosen rejected score_chosen score_rejected messages": "ultrafeedback_binarized",
    "source prompt chosen chosen-rating rejected rejected-rating": "argilla_ultrafeedback",
    "source instruction chosen_response rejected_response chosen_avg_rating rejected_avg_rating": (
        "argilla_ultrafeedback"
    ),
}


@pytest.mark.parametrize(("names", "layout"), HUB.items())
def test_layouts_as_on_the_hub(names, layout):
    source = LAYOUTS[layout].sources[0]
    assert detect(columns(names), source).name == layout


def test_the_more_specific_layout_wins():
    both = "prompt response rating helpfulness correctness coherence complexity verbosity"
    assert detect(columns(both), "ratings").name == "helpsteer2"


def test_two_layouts_that_fit_equally_well_are_an_error():
    names = "prompt chosen rejected score_chosen score_rejected chosen-rating rejected-rating"
    with pytest.raises(InputError, match="ultrafeedback_binarized and argilla_ultrafeedback"):
        detect(columns(names), "ratings")


def test_own_names_beat_aliases():
    """Fits ratings_long by alias (output) and ratings_pair under its own names."""
    names = "prompt output rating response_a response_b rating_a rating_b"
    assert detect(columns(names), "ratings").name == "ratings_pair"


@pytest.mark.parametrize("rated", ["rating", "score", "aspects", "aspects.help"])
def test_own_ratings_may_be_of_aspects_only(rated):
    assert detect(columns(f"prompt response {rated}"), "ratings").name == "ratings_long"


def test_one_annotator_is_not_enough():
    names = "instruction response1 response2 annotator1"
    with pytest.raises(InputError, match=r"2 of 'annotator\*\[0-9\]'"):
        detect(columns(names), "shp")


def test_completions_must_be_structs():
    structs = pa.list_(pa.struct([("response", pa.string())]))
    good = columns("instruction completions", completions=structs)
    assert detect(good, "ratings").name == "ultrafeedback"
    bad = columns("instruction completions", completions=pa.list_(pa.string()))
    with pytest.raises(InputError, match="'completions' as a list of structs"):
        detect(bad, "ratings")


def test_error_lists_every_candidate_and_what_to_do():
    with pytest.raises(InputError) as error:
        detect(columns("promt response ratings prompt__not_text"), "ratings")
    text = str(error.value)
    for layout in LAYOUTS.values():
        assert (f"{layout.name} misses" in text) == ("ratings" in layout.sources)
    assert "ratings_long misses 'prompt', 'rating'" in text
    assert "For 'prompt', did you mean column 'promt'?" in text
    assert "For 'rating', did you mean column 'ratings'?" in text
    assert "--layout" in text
    assert "--map prompt=COLUMN,rating=COLUMN" in text
    assert "__not_text" not in text


def test_error_names_the_source_whose_layout_fits():
    with pytest.raises(InputError, match="They fit layout shp, read with --source shp"):
        detect(columns("history human_ref_A human_ref_B score_A score_B"), "ratings")


def test_require_checks_a_layout_given_by_name():
    require(LAYOUTS["ratings_long"], columns("prompt response score"))
    with pytest.raises(
        InputError, match=r"ratings_long misses 'response'.*did you mean.*'respons'"
    ):
        require(LAYOUTS["ratings_long"], columns("prompt respons score"))


@pytest.mark.parametrize(
    ("name", "words"), [("a;b", "semicolons"), ("a\tb", "tabs"), ("a,b", "commas")]
)
def test_a_wrong_separator_is_recognised(name, words):
    with pytest.raises(InputError, match=f"one column with {words} in its name: values are sep"):
        detect(pa.schema([(name, pa.string())]), "shp")
    with pytest.raises(InputError) as error:
        detect(pa.schema([(name, pa.string()), ("b", pa.string())]), "shp")
    assert "in its name" not in str(error.value)


def test_no_columns_at_all():
    with pytest.raises(InputError, match="Found no columns"):
        detect(pa.schema([]), "shp")
