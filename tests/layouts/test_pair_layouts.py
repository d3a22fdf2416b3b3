"""The layouts of pairs on rows written by hand; expected values stand beside them."""

import pyarrow as pa
import pytest

from margintool.layouts import LAYOUTS


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def shp_row(**changed):
    return {
        "history": "h", "human_ref_A": "a", "human_ref_B": "b", "score_A": 5, "score_B": 2,
        **changed,
    }  # fmt: skip


def test_shp_passes_votes_through(convert):
    first, second = convert("shp", [shp_row(labels=1), shp_row(score_A=1, labels=0)])
    assert first == {
        "prompt": "h", "history": [], "response_a": "a", "response_b": "b", "score_a": 5,
        "score_b": 2, "gap": None, "preferred": 1, "votes": None, "reason": None, "detail": None,
    }  # fmt: skip
    assert second["preferred"] == -1


@pytest.mark.parametrize(
    ("label", "preferred", "reason"),
    [
        (1, 1, None), (0, -1, None), ("1", 1, None), (0.0, -1, None), (True, 1, None),
        (False, -1, None), (None, None, None), (2, None, "bad_label"), ("A", None, "bad_label"),
        (float("nan"), None, "bad_label"),
    ],
)  # fmt: skip
def test_shp_labels(convert, label, preferred, reason):
    row = convert("shp", [shp_row(labels=label)])[0]
    assert (row["preferred"], row["reason"]) == (preferred, reason)
    if reason:
        assert "expected 0 or 1" in row["detail"]


def test_shp_needs_no_labels_and_keeps_scores_as_found(convert):
    row = convert("shp", [shp_row(score_A="7", score_B=None)])[0]
    assert (row["preferred"], row["score_a"], row["score_b"]) == (None, "7", None)


def test_shp_copies_no_text():
    """A million rows go through here: the answers must be the input's own buffers."""
    table = pa.Table.from_pylist([shp_row()] * 3)
    converted = LAYOUTS["shp"].convert(table)
    for raw, canonical in (("human_ref_A", "response_a"), ("history", "prompt")):
        buffers = [
            t.column(c).chunk(0).buffers()[2] for t, c in ((table, raw), (converted, canonical))
        ]
        assert buffers[0].address == buffers[1].address


def binarized(before, chosen, rejected, before_rejected=None):
    return {
        "prompt": "column",
        "chosen": [*before, assistant(chosen)],
        "rejected": [
            *(before if before_rejected is None else before_rejected),
            assistant(rejected),
        ],
        "score_chosen": 8.0,
        "score_rejected": 6.5,
    }


def test_binarized_takes_the_conversation_apart(convert):
    turns = [user("one"), assistant("two"), user("three")]
    row = convert("ultrafeedback_binarized", [binarized(turns, "c", "r")])[0]
    assert (row["prompt"], row["history"]) == ("three", turns[:2])
    assert (row["response_a"], row["response_b"], row["preferred"]) == ("c", "r", 1)
    assert (row["score_a"], row["score_b"], row["reason"]) == (8.0, 6.5, None)


def test_binarized_sides_must_agree_before_the_answer(convert):
    rows = [
        binarized([user("p")], "c", "r", [user("q")]),
        binarized([user("p")], "c", "r", [user("p"), assistant("x"), user("p")]),
        binarized([user("p")], "c", "r", [assistant("p")]),
        binarized([user("p")], "c", "r"),
    ]
    converted = convert("ultrafeedback_binarized", rows)
    assert [r["reason"] for r in converted] == ["bad_conversation"] * 3 + [None]
    assert "differ between chosen and rejected" in converted[0]["detail"]


def test_binarized_reads_the_prompt_column_where_there_is_no_conversation(convert):
    """Row by row: answers alone (TRL's form), whole conversations, and an empty prompt column."""
    rows = [binarized([], "c", "r"), binarized([user("p")], "c", "r"), binarized([], "c", "r")]
    rows[2]["prompt"] = " "
    converted = convert("ultrafeedback_binarized", rows)
    assert [r["prompt"] for r in converted] == ["column", "p", " "]
    assert [r["reason"] for r in converted] == [None, None, "empty_prompt"]


def test_binarized_conversations_are_not_doubled_by_a_prompt_of_messages(convert):
    turns = [user("one"), assistant("two"), user("three")]
    rows = [binarized(turns, "c", "r"), binarized([], "c", "r")]
    for row in rows:
        row["prompt"] = turns
    for row in convert("ultrafeedback_binarized", rows):
        assert (row["prompt"], row["history"], row["reason"]) == ("three", turns[:2], None)


def test_binarized_last_message_must_be_the_assistants(convert):
    row = {**binarized([user("p")], "c", "r"), "chosen": [user("p"), user("c")]}
    only = convert("ultrafeedback_binarized", [row])[0]
    assert only["reason"] == "bad_conversation"
    assert only["detail"] == "the last message of chosen has role 'user', not 'assistant'"


def test_binarized_question_must_be_the_users(convert):
    only = convert("ultrafeedback_binarized", [binarized([assistant("p")], "c", "r")])[0]
    assert (
        only["detail"]
        == "the last message of chosen before the answer has role 'assistant', not 'user'"
    )


def test_argilla_reads_both_versions(convert):
    cleaned = {
        "prompt": "p", "chosen": [user("p"), assistant("c")], "chosen-rating": 4.75,
        "rejected": [user("p"), assistant("r")], "rejected-rating": 2.5,
    }  # fmt: skip
    first_version = {
        "instruction": "p", "chosen_response": "c", "rejected_response": "r",
        "chosen_avg_rating": 4.75, "rejected_avg_rating": 2.5, "chosen_model": "m",
    }  # fmt: skip
    assert convert("argilla_ultrafeedback", [cleaned]) == convert(
        "argilla_ultrafeedback", [first_version]
    )
    only = convert("argilla_ultrafeedback", [first_version])[0]
    assert (only["prompt"], only["response_a"], only["score_a"], only["score_b"]) == (
        "p",
        "c",
        4.75,
        2.5,
    )
    assert only["preferred"] == 1


def helpsteer3(preference):
    return {
        "context": [user("p")],
        "response1": "a",
        "response2": "b",
        "overall_preference": preference,
    }


@pytest.mark.parametrize(
    ("preference", "gap", "preferred", "reason"),
    [
        (-3, 3.0, 1, None), (2, -2.0, -1, None), (0, 0.0, 0, None), ("-1", 1.0, 1, None),
        (0.5, -0.5, -1, None), (None, None, None, "rating_missing"),
        ("N/A", None, None, "rating_not_a_number"),
        (float("inf"), None, None, "rating_not_finite"),
    ],
)  # fmt: skip
def test_helpsteer3_negative_means_the_first_is_better(convert, preference, gap, preferred, reason):
    row = convert("helpsteer3", [helpsteer3(preference)])[0]
    assert (row["gap"], row["preferred"], row["reason"]) == (gap, preferred, reason)
    assert (row["score_a"], row["score_b"]) == (None, None)


def test_helpsteer3_names_the_bad_preference(convert):
    assert convert("helpsteer3", [helpsteer3("N/A")])[0]["detail"] == "overall_preference is 'N/A'"


def verdicts(*values, **changed):
    row = {"instruction": "Do", "input": "", "response1": "a", "response2": "b"}
    return {**row, **{f"annotator{i}": v for i, v in enumerate(values, 1)}, **changed}


@pytest.mark.parametrize(
    ("values", "scores", "votes"),
    [
        ((1, 1, 2), (2.0, 1.0), 3.0),
        ((2, 2, 2), (0.0, 3.0), 3.0),
        ((0, 1, 2), (1.5, 1.5), 3.0),
        ((0, 0, 1), (2.0, 1.0), 3.0),
        ((1, None, 0), (1.5, 0.5), 2.0),
        (("1", "2"), (1.0, 1.0), 2.0),
    ],
)
def test_annotators_vote_and_a_tie_is_half_a_vote_for_each(convert, values, scores, votes):
    row = convert("votes_pair", [verdicts(*values)])[0]
    assert (row["score_a"], row["score_b"], row["votes"], row["reason"]) == (*scores, votes, None)
    assert row["preferred"] is None


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ((1, 3), "annotator2 is 3, expected 0 (tie), 1 (first) or 2 (second)"),
        ((-1, 3), "annotator1 is -1, expected 0 (tie), 1 (first) or 2 (second)"),
        ((1.5, 1), "annotator1 is 1.5, expected 0 (tie), 1 (first) or 2 (second)"),
        (("A", "1"), "annotator1 is 'A', expected 0 (tie), 1 (first) or 2 (second)"),
        ((True, False), "annotator1 is True, expected 0 (tie), 1 (first) or 2 (second)"),
        ((None, None), "no annotator gave a verdict"),
    ],
)
def test_other_verdicts_are_bad_annotations(convert, values, detail):
    row = convert("votes_pair", [verdicts(*values)])[0]
    assert (row["reason"], row["detail"]) == ("bad_annotation", detail)


def test_votes_columns_pass_through(convert):
    row = {"prompt": "p", "response_a": "a", "response_b": "b", "votes_a": 3, "votes_b": "4"}
    only = convert("votes_pair", [row])[0]
    assert (only["score_a"], only["score_b"], only["votes"]) == (3, "4", None)


@pytest.mark.parametrize(
    ("further", "prompt"),
    [("more", "Do\n\nmore"), ("", "Do"), (" \n", "Do"), (None, "Do")],
)
def test_instruction_and_input_are_joined_by_a_blank_line(convert, further, prompt):
    assert convert("votes_pair", [verdicts(1, 1, input=further)])[0]["prompt"] == prompt


def test_input_beside_a_prompt_column_is_not_joined(convert):
    assert (
        convert("votes_pair", [verdicts(1, 1, prompt="whole", input="x")])[0]["prompt"] == "whole"
    )


def test_input_that_is_no_text_and_instructions_that_are_blank(convert):
    assert convert("votes_pair", [verdicts(1, 1, input=5)])[0]["detail"] == "input is 5, not text"
    blank = convert("votes_pair", [verdicts(1, 1, instruction=" ", input="x")])[0]
    assert (blank["reason"], blank["detail"]) == (
        "empty_prompt",
        "instruction is empty or only white space",
    )


def test_ratings_pair_passes_ratings_through(convert):
    row = {"prompt": "p", "response_a": "a", "response_b": "b", "rating_a": "N/A", "rating_b": "3"}
    only = convert("ratings_pair", [row])[0]
    assert (only["score_a"], only["score_b"], only["gap"], only["preferred"]) == (
        "N/A",
        "3",
        None,
        None,
    )
