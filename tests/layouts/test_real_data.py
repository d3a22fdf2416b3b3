"""The layouts on rows that nobody here wrote. Expected counts were taken from the files by hand."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from margintool.layouts import LAYOUTS, apply_map, detect, parse_map
from margintool.numbers import to_numbers
from margintool.storage import open_input
from tests.layouts.qlora import joined_judgments

pytestmark = pytest.mark.real_data


def read(path: Path) -> pa.Table:
    tables = [batch.table for batch in open_input(path).batches()]
    return pa.concat_tables(tables, promote_options="permissive")


def converted(path: Path, source: str, mapping: str | None = None) -> tuple[str, pa.Table]:
    table = apply_map(read(path), parse_map(mapping))
    layout = detect(table.schema, source)
    return layout.name, layout.convert(table)


def reasons(table: pa.Table) -> dict[str, int]:
    return dict(Counter(r for r in table.column("reason").to_pylist() if r is not None))


def test_eli5_labels_agree_with_the_votes(real_data):
    name, pairs = converted(real_data / "votes/eli5_shp_layout.jsonl.gz", "shp")
    assert name == "shp"
    assert pairs.num_rows == 3200
    assert reasons(pairs) == {}
    gap = pc.subtract(pairs.column("score_a"), pairs.column("score_b"))
    assert pc.all(pc.equal(pc.sign(gap), pairs.column("preferred"))).as_py()
    assert set(pairs.column("preferred").to_pylist()) == {-1, 1}


def test_pandalm_is_detected_and_what_it_holds_besides_text_is_named(real_data):
    path = real_data / "votes/pandalm_3annotators.jsonl.gz"
    name, pairs = converted(path, "shp")
    assert name == "votes_pair"
    assert pairs.num_rows == 999
    # Six answers are the JSON value true, 54 are blank, and one instruction is a space.
    assert reasons(pairs) == {"not_text": 6, "empty_response": 54, "empty_prompt": 1}
    good = pairs.filter(pc.is_null(pairs.column("reason")))
    assert set(good.column("votes").to_pylist()) == {3.0}
    total = pc.add(good.column("score_a"), good.column("score_b"))
    assert pc.all(pc.equal(total, 3.0)).as_py()
    first = good.slice(0, 1).to_pylist()[0]
    assert (first["score_a"], first["score_b"]) == (0.0, 3.0)
    assert "unnecessary words.\n\nIf you have any questions" in first["prompt"]
    assert "response1 is true, not text" in pairs.column("detail").to_pylist()
    raw = read(path).select(["instruction", "input"]).to_pylist()
    expected = [
        row["instruction"] + (f"\n\n{row['input']}" if row["input"].strip() else "") for row in raw
    ]
    assert pairs.column("prompt").to_pylist() == expected


def test_arena_bench_long(real_data):
    name, responses = converted(real_data / "ratings/arena_bench_long.jsonl.gz", "ratings")
    assert name == "ratings_long"
    assert responses.num_rows == 3900
    assert responses.column("rating").null_count == 36
    assert reasons(responses) == {"empty_response": 1}
    assert len(set(responses.column("prompt").to_pylist())) == 300
    assert len(set(responses.column("model").to_pylist())) == 13


def test_arena_bench_in_the_nested_layout(real_data):
    path = real_data / "ratings/arena_bench_ultrafeedback_layout.jsonl.gz"
    name, responses = converted(path, "ratings")
    assert name == "ultrafeedback"
    assert Counter(responses.column("row").to_pylist()) == dict.fromkeys(range(300), 4)
    assert responses.column("rating").null_count == 11
    assert reasons(responses) == {"empty_response": 1}
    assert set(pc.struct_field(responses.column("aspects"), "honesty").to_pylist()) == {None}


def test_ultrafeedbacks_own_example(real_data):
    """Aspect ratings read off the README's record; it has no overall score."""
    path = real_data / "ratings/ultrafeedback_official_example.jsonl.gz"
    name, responses = converted(path, "ratings")
    assert name == "ultrafeedback"
    assert responses.column("model").to_pylist() == ["falcon-40b-instruct"]
    assert responses.column("aspects").to_pylist()[0] == {
        "instruction_following": "2", "honesty": "3", "truthfulness": "3", "helpfulness": "3"
    }  # fmt: skip
    assert responses.column("rating").null_count == 1
    assert reasons(responses) == {}


def test_just_eval_by_mapping(real_data):
    path = real_data / "ratings/just_eval_aspects.jsonl.gz"
    mapping = "prompt=input,response=output,rating=aspect_scores.helpfulness"
    name, responses = converted(path, "ratings", mapping)
    assert name == "ratings_long"
    numbers, why = to_numbers(responses.column("rating"))
    assert why.null_count == 800
    assert Counter(numbers) == {5.0: 586, 4.0: 155, 3.0: 30, 2.0: 16, 1.0: 13}


def test_just_eval_has_43_ratings_that_are_not_numbers(real_data):
    scores = read(real_data / "ratings/just_eval_aspects.jsonl.gz").column("aspect_scores")
    found = [to_numbers(pc.struct_field(scores, f.name))[1] for f in scores.type]
    assert Counter(r for why in found for r in why.to_pylist() if r) == {"not_a_number": 43}


def test_hh_pairs_with_prompts_of_messages(real_data):
    """13 rows have equal answers. Prompts hold 3057 user and 1919 assistant turns."""
    path = real_data / "pairs/hh_helpful_clean.jsonl.gz"
    table = read(path)
    layout = detect(table.schema, "any", needs_scores=False)
    assert layout.name == "pairs"
    pairs = layout.convert(table)
    assert pairs.num_rows == 1137
    assert reasons(pairs) == {"identical_responses": 13}
    equal = pc.sum(pc.equal(table.column("chosen"), table.column("rejected"))).as_py()
    assert equal == 13
    assert pc.sum(pc.list_value_length(pairs.column("history"))).as_py() == 3057 + 1919 - 1137
    assert set(pairs.column("preferred").to_pylist()) == {1}
    assert pairs.column("response_a").to_pylist() == table.column("chosen").to_pylist()


def test_hh_pairs_written_as_transcripts_are_read_alike(real_data):
    """The file's own rows, put back into the form in which hh-rlhf has them."""
    rows = read(real_data / "pairs/hh_helpful_clean.jsonl.gz").to_pylist()
    names = {"user": "Human", "assistant": "Assistant"}

    def transcript(row: dict, answer: str) -> str:
        turns = [*row["prompt"], {"role": "assistant", "content": row[answer]}]
        return "".join(f"\n\n{names[turn['role']]}: {turn['content']}" for turn in turns)

    table = pa.table({side: [transcript(r, side) for r in rows] for side in ("chosen", "rejected")})
    found = LAYOUTS["hh"].convert(table)
    assert reasons(found) == {"identical_responses": 13}
    trimmed = [[turn["content"].strip() for turn in row["prompt"]] for row in rows]
    assert found.column("prompt").to_pylist() == [turns[-1] for turns in trimmed]
    history = found.column("history").to_pylist()
    assert [[turn["content"] for turn in turns] for turns in history] == [t[:-1] for t in trimmed]
    assert found.column("response_b").to_pylist() == [row["rejected"].strip() for row in rows]


def test_qlora_verdicts_in_both_orders(real_data):
    """160 verdicts are on a model whose answers are not there; 60 scores are -1, a failure."""
    table = pa.Table.from_pylist(joined_judgments(real_data))
    layout = detect(table.schema, "ratings")
    assert (layout.name, layout.both_orders) == ("judgments", True)
    pairs = layout.convert(table)
    assert pairs.num_rows == 5760
    assert reasons(pairs) == {"empty_response": 160}
    assert Counter(pairs.column("score_a").to_pylist())[-1.0] == 60
    good = pairs.filter(pc.is_null(pairs.column("reason"))).to_pylist()
    seen = {(p["prompt"], p["response_a"], p["response_b"]) for p in good}
    assert all((prompt, second, first) in seen for prompt, first, second in seen)


def test_arena_answers_are_read_without_their_ratings(real_data):
    table = read(real_data / "ratings/arena_bench_long.jsonl.gz").drop_columns(["rating"])
    layout = detect(table.schema, "any", needs_scores=False)
    assert layout.name == "ratings_long"
    responses = layout.convert(table)
    assert responses.column("rating").null_count == 3900
    assert reasons(responses) == {"empty_response": 1}


def test_arena_answers_in_a_list_are_the_same_rows(real_data):
    """The nested file's completions as lists of texts and models."""
    nested = read(real_data / "ratings/arena_bench_ultrafeedback_layout.jsonl.gz")
    rows = [
        {
            "prompt": row["instruction"],
            "responses": [one["response"] for one in row["completions"]],
            "models": [one["model"] for one in row["completions"]],
        }
        for row in nested.to_pylist()
    ]
    columns = ["row", "prompt", "history", "response", "model", "reason"]
    found = LAYOUTS["responses"].convert(pa.Table.from_pylist(rows)).select(columns)
    assert found == LAYOUTS["ultrafeedback"].convert(nested).select(columns)
