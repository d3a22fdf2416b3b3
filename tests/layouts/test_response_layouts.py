"""The layouts of single rated responses on rows written by hand."""

import pytest


def aspect(rating, **more):
    return {"Rating": rating, "Rationale": "so", **more}


def completion(**changed):
    return {"model": "m", "response": "r", "annotations": {}, "overall_score": 7.0, **changed}


def one(convert, **changed):
    rows = [{"instruction": "Tell", "completions": [completion(**changed)]}]
    return convert("ultrafeedback", rows)[0]


def four(rating):
    return {
        n: aspect(rating)
        for n in ("instruction_following", "honesty", "truthfulness", "helpfulness")
    }


def test_ultrafeedback_completions_become_rows(convert):
    rows = [
        {"instruction": "one", "completions": [completion(response="a"), completion(response="b")]},
        {"instruction": "two", "completions": [completion(response="c", overall_score=2.0)]},
    ]
    converted = convert("ultrafeedback", rows)
    assert [(r["row"], r["prompt"], r["response"], r["rating"]) for r in converted] == [
        (0, "one", "a", 7.0),
        (0, "one", "b", 7.0),
        (1, "two", "c", 2.0),
    ]
    assert converted[0]["model"] == "m"
    assert converted[0]["history"] == []


def test_ultrafeedback_aspects_are_text_or_null(convert):
    """Aspects differ in their further fields, may be numbers, and may be absent."""
    annotations = {
        "honesty": aspect("N/A"),
        "truthfulness": aspect("3", Type=["1", "2"]),
        "helpfulness": aspect(None),
        "instruction_following": None,
        "style": aspect("5"),
    }
    row = one(convert, annotations=annotations)
    assert row["aspects"] == {
        "instruction_following": None, "honesty": "N/A", "truthfulness": "3", "helpfulness": None
    }  # fmt: skip
    assert one(convert, annotations={"honesty": aspect(4)})["aspects"]["honesty"] == "4"
    assert one(convert, annotations={"honesty": "4"})["aspects"]["honesty"] == "4"
    assert one(convert, annotations={"honesty": ["4"]})["aspects"]["honesty"] is None
    assert set(one(convert, annotations=None)["aspects"].values()) == {None}


def test_ultrafeedback_completion_without_scores(convert):
    rows = [{"instruction": "i", "completions": [{"response": "r"}]}]
    only = convert("ultrafeedback", rows)[0]
    assert (only["rating"], only["model"], only["reason"]) == (None, None, None)


@pytest.mark.parametrize("completions", [[], None])
def test_ultrafeedback_row_without_completions_is_not_lost(convert, completions):
    rows = [
        {"instruction": "i", "completions": completions},
        {"instruction": "j", "completions": [completion()]},
        {"instruction": "k", "completions": completions},
    ]
    converted = convert("ultrafeedback", rows)
    assert [(r["row"], r["reason"]) for r in converted] == [
        (0, "no_completions"),
        (1, None),
        (2, "no_completions"),
    ]
    assert converted[1]["response"] == "r"


def test_ultrafeedback_response_that_storage_marked_is_not_text(convert):
    row = one(convert, response="5", response__not_text=True)
    assert (row["reason"], row["detail"]) == ("not_text", "response is 5, not text")


def test_ultrafeedback_bad_instruction_marks_each_response(convert):
    rows = [{"instruction": " ", "completions": [completion(), completion(response=None)]}]
    assert [r["reason"] for r in convert("ultrafeedback", rows)] == ["empty_prompt"] * 2


@pytest.mark.parametrize(
    ("overall", "changed", "conflict"),
    [
        (10.0, {"annotations": four("2")}, True),
        (10.0, {"annotations": four("3")}, False),
        (10, {"annotations": four("1")}, True),
        ("10", {"annotations": four("1")}, True),
        (9.0, {"annotations": four("1")}, False),
        (10.0, {"fine-grained_score": 1.5}, True),
        (10.0, {"fine-grained_score": 4.5}, False),
        (10.0, {"annotations": four("5"), "fine-grained_score": 1.0}, False),
        (10.0, {"annotations": {"honesty": aspect("N/A"), "helpfulness": aspect("1")}}, True),
        (10.0, {"annotations": {"honesty": aspect("N/A")}}, False),
        (None, {"annotations": four("1")}, False),
    ],
)
def test_ultrafeedback_critique_of_1_stored_as_10(convert, overall, changed, conflict):
    """OpenBMB/UltraFeedback issue 8; the authors' rule: a 10 whose aspects average <= 2 is a 1."""
    row = one(convert, overall_score=overall, **changed)
    assert row["reason"] == ("score_conflict" if conflict else None)


def test_ultrafeedback_an_empty_answer_with_a_conflict_is_rejected_as_empty(convert):
    """A source that needs no scores passes over the conflict, and must not pass over the text."""
    row = one(convert, response="", overall_score=10.0, annotations=four("1"))
    assert row["reason"] == "empty_response"


def test_ultrafeedback_conflict_shows_the_values(convert):
    annotations = {"honesty": aspect("1"), "helpfulness": aspect("2"), "truthfulness": aspect("2")}
    row = one(convert, overall_score=10.0, annotations=annotations)
    assert row["detail"] == (
        "overall_score is 10, but the mean of the aspect ratings is 1.67: "
        "a critique score of 1 may have been stored as 10"
    )
    assert row["rating"] == 10.0


HELPSTEER2 = {"helpfulness": 3, "correctness": 4, "coherence": 4, "complexity": 2, "verbosity": 1}


def helpsteer2(prompt, **changed):
    return {"prompt": prompt, "response": "r", **HELPSTEER2, **changed}


def test_helpsteer2_rating_is_helpfulness(convert):
    row = convert("helpsteer2", [helpsteer2("c#")])[0]
    assert (row["rating"], row["prompt"], row["history"], row["reason"]) == (3, "c#", [], None)
    assert row["aspects"] == {name: str(value) for name, value in HELPSTEER2.items()}


def test_helpsteer2_unfolds_conversations(convert):
    """The form that the dataset card prints; a turn may span several lines."""
    text = (
        "u1\nmore\n<extra_id_1>Assistant\na1\n\nend\n<extra_id_1>User\nu2"
        "\n<extra_id_1>Assistant\na2\n<extra_id_1>User\nu3"
    )
    first, second = convert("helpsteer2", [helpsteer2(text), helpsteer2("single")])
    assert first["prompt"] == "u3"
    assert first["history"] == [
        {"role": "user", "content": "u1\nmore"},
        {"role": "assistant", "content": "a1\n\nend"},
        {"role": "user", "content": "u2"},
        {"role": "assistant", "content": "a2"},
    ]
    assert (second["prompt"], second["history"]) == ("single", [])
    assert (first["reason"], second["reason"]) == (None, None)


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("u\n<extra_id_1>Assistant\na", "bad_conversation"),
        ("u\n<extra_id_1>Assistant", "bad_conversation"),
        ("u\n<extra_id_1>Assistant\na\n<extra_id_1>User\n", "empty_prompt"),
        ("u\n<extra_id_1>Robot\na\n<extra_id_1>User\nv", "bad_conversation"),
        ("what is <extra_id_1>?", None),
        ("", "empty_prompt"),
    ],
)
def test_helpsteer2_broken_conversations(convert, prompt, reason):
    assert convert("helpsteer2", [helpsteer2(prompt)])[0]["reason"] == reason


def test_ratings_long_keeps_ratings_as_found(convert):
    rows = [
        {"prompt": "p", "response": "a", "rating": "8", "model": "m"},
        {
            "prompt": [{"role": "user", "content": "q"}],
            "response": "b",
            "rating": None,
            "model": None,
        },
    ]
    first = convert("ratings_long", rows[:1])[0]
    assert first == {
        "row": 0, "prompt": "p", "history": [], "response": "a", "model": "m", "rating": "8",
        "aspects": {}, "reason": None, "detail": None,
    }  # fmt: skip
    second = convert("ratings_long", rows[1:])[0]
    assert (second["prompt"], second["rating"], second["model"]) == ("q", None, None)


def test_ratings_long_aspects_are_those_of_the_data(convert):
    """Fields of the struct, columns of their own, and a column in place of a field."""
    row = {"prompt": "p", "response": "a", "aspects": {"x": "5", "y": 2}}
    assert convert("ratings_long", [row])[0]["aspects"] == {"x": "5", "y": "2"}
    more = {**row, "aspects.z": 3, "aspects.x": "4"}
    assert convert("ratings_long", [more])[0]["aspects"] == {"x": "4", "y": "2", "z": "3"}
    only = convert("ratings_long", [{**row, "aspects": "good"}])[0]
    assert (only["aspects"], only["rating"], only["reason"]) == ({}, None, None)


def test_ratings_long_leaves_out_what_storage_marked(convert):
    row = {
        "prompt": "p", "response": "a", "aspects": {"x": "true", "x__not_text": True},
        "aspects.y": "1", "aspects.y__not_text": True,
    }  # fmt: skip
    assert convert("ratings_long", [row])[0]["aspects"] == {"x": "true", "y": "1"}


@pytest.mark.parametrize("layout", ["ratings_long", "ratings_pair", "votes_pair"])
def test_input_goes_below_an_instruction_in_text_or_messages(layout, convert):
    answers = {"response": "a", "response_a": "a", "response_b": "b"}
    rows = [
        {**answers, "instruction": "Do", "input": "it"},
        {**answers, "instruction": "Do", "input": " "},
        {**answers, "instruction": " ", "input": "it"},
    ]
    converted = convert(layout, rows)
    assert [r["prompt"] for r in converted[:2]] == ["Do\n\nit", "Do"]
    assert converted[2]["detail"] == "instruction is empty or only white space"
    turns = [{"role": "user", "content": "Do"}]
    only = convert(layout, [{**answers, "instruction": turns, "input": "it"}])[0]
    assert (only["prompt"], only["history"]) == ("Do\n\nit", [])
    assert convert(layout, [{**answers, "question": "Do", "input": "it"}])[0]["prompt"] == "Do"
