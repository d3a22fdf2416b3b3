"""Which layout is chosen from the columns, and what is said when none fits."""

import pyarrow as pa
import pytest

from margintool.layouts import LAYOUTS, detect, require
from margintool.readers import readers_of
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
    "prompt answer_1 answer_2 score_1 score_2 model_1 model_2": "judgments",
    "prompt response_1 response_2 score_1 score_2": "ratings_pair",
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


@pytest.mark.parametrize("names", ["prompt chosen rejected", "id chosen rejected"])
@pytest.mark.parametrize("source", ["shp", "ratings"])
def test_error_names_a_source_that_needs_no_scores(names, source):
    layout = "pairs" if "prompt" in names else "hh"
    with pytest.raises(InputError) as error:
        detect(columns(names), source, readers=readers_of)
    fit = [line for line in str(error.value).splitlines() if line.startswith("They fit")]
    assert fit == [f"They fit layout {layout}, read with --source gpt4."]


WITHOUT_SCORES = {
    "prompt chosen rejected": "pairs",
    "instruction input chosen_response rejected_response": "pairs",
    "chosen rejected": "hh",
    "question responses": "responses",
    "prompt response model": "ratings_long",
    "instruction input output": "ratings_long",
    "question response_1 response_2": "ratings_pair",
    "instruction response1 response2": "ratings_pair",
    "prompt answer_1 answer_2 judge": "judgments",
    "prompt answer_1 answer_2 score_1 score_2": "judgments",
    "history human_ref_A human_ref_B": "shp",
    "context response1 response2": "helpsteer3",
    **HUB,
}


@pytest.mark.parametrize(("names", "layout"), WITHOUT_SCORES.items())
def test_a_source_that_needs_no_scores_takes_the_layout_that_tells_most(names, layout):
    """All columns of scores, some, or none: what is there counts."""
    assert detect(columns(names), "any", needs_scores=False).name == layout


def test_error_of_a_source_that_needs_no_scores_does_not_ask_for_them():
    with pytest.raises(InputError) as error:
        detect(columns("promt answer"), "any", needs_scores=False)
    lines = str(error.value).splitlines()
    assert "the columns fit no layout of source any. Found: promt, answer." in lines
    assert "  ratings_long misses 'prompt'" in lines
    assert "  shp misses 'history', 'human_ref_A', 'human_ref_B'" in lines
    assert "--map prompt=COLUMN;" in lines[-1]
    assert "did you mean column 'promt'?" in lines[-1]


def test_require_of_a_source_that_needs_no_scores():
    require(LAYOUTS["ratings_long"], columns("prompt response"), scores=False)
    with pytest.raises(InputError, match=r"misses 'response'.*--map response=COLUMN"):
        require(LAYOUTS["ratings_long"], columns("prompt"), scores=False)
    with pytest.raises(InputError, match="misses 'votes_a' and 'votes_b' or 2 of 'annotator"):
        require(LAYOUTS["votes_pair"], columns("prompt response_a response_b"), scores=False)


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
