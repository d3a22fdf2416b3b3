"""What `score` makes of inputs whose files, or rows, are not all alike."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from margintool import score
from mmpo_core.errors import InputError
from tests.score.conftest import Row, long_row, shp_row

TURNS = [{"role": "user", "content": "Before?"}, {"role": "assistant", "content": "Yes."}]
MB = 1 << 20


def write(path: Path, rows: list[Row]) -> Path:
    """Write rows in the form that the suffix names."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def scored(tmp_path: Path) -> Callable[..., tuple[list[Row], list[Row]]]:
    """scored(*paths, ...): the pairs and the rejects of an input of several files."""

    def call(*paths: Path, **options: Any) -> tuple[list[Row], list[Row]]:
        fields = {"source": "ratings", "gamma": 1.0, "overwrite": True, **options}
        summary = score(input=list(paths), out=tmp_path / "out" / "pairs.parquet", **fields)
        rejects = pq.read_table(summary.rejects).to_pylist() if summary.rejects else []
        return pq.read_table(summary.out).to_pylist(), rejects

    return call


def rated(number: int, **more: Any) -> list[Row]:
    """Two responses to one prompt: ratings 9 and 4."""
    prompt = more.pop("prompt", f"Prompt {number}?")
    return [
        long_row(prompt, f"Good {number}", 9, **more),
        long_row(prompt, f"Bad {number}", 4, **more),
    ]


def names(rows: list[Row]) -> list[str]:
    return [Path(row["origin"]).name for row in rows]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("first", ["with", "without"])
def test_an_optional_column_may_be_in_one_file_only(
    scored: Any, tmp_path: Path, suffix: str, first: str
) -> None:
    paths = [
        write(tmp_path / f"with{suffix}", rated(0, history=TURNS, model="m")),
        write(tmp_path / f"without{suffix}", rated(1)),
    ]
    pairs, _ = scored(*(paths if first == "with" else paths[::-1]))
    assert {p["prompt"]: p["history"] for p in pairs} == {"Prompt 0?": TURNS, "Prompt 1?": []}


def test_files_of_several_formats_are_one_input(scored: Any, tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{number}{suffix}", rated(number, **more))
        for number, (suffix, more) in enumerate(
            [
                (".csv", {"model": "m"}),
                (".jsonl", {"history": TURNS}),
                (".parquet", {}),
                (".csv", {}),
            ]
        )
    ]
    pairs, rejects = scored(*paths)
    assert [p["prompt"] for p in pairs] == [f"Prompt {number}?" for number in range(4)]
    assert rejects == []


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_a_column_that_appears_after_megabytes_is_read(
    scored: Any, tmp_path: Path, suffix: str
) -> None:
    """A pad that nobody reads puts the history 20 MB into the file: beyond sample and batch."""
    rows = [row for number in range(21) for row in rated(number, pad="x" * (MB // 2))]
    path = write(tmp_path / f"late{suffix}", rows + rated(99, history=TURNS))
    pairs, _ = scored(path)
    assert [p["history"] for p in pairs] == [[]] * 21 + [TURNS]


def test_late_labels_are_compared_with_the_votes(scored: Any, tmp_path: Path) -> None:
    """The first file has no labels; the label of the second says the answer with fewer votes."""
    unlabelled = shp_row(9, 2)
    del unlabelled["labels"]
    paths = [
        write(tmp_path / "a.jsonl", [unlabelled]),
        write(tmp_path / "b.jsonl", [shp_row(9, 2, 3, labels=0)]),
    ]
    pairs, rejects = scored(*paths, source="shp", on_conflict="reject")
    assert names(pairs) == ["a.jsonl:1"]
    assert names(rejects) == ["b.jsonl:1"]


def test_a_late_annotator_votes(scored: Any, tmp_path: Path) -> None:
    """1 and 2 are a tie of 1 vote each; with a third annotator's 1 it is 2 to 1."""
    row = {"instruction": "Do", "response1": "a", "response2": "b", "annotator1": 1}
    paths = [
        write(tmp_path / "a.jsonl", [{**row, "annotator2": 2}]),
        write(tmp_path / "b.jsonl", [{**row, "annotator2": 2, "response1": "c", "annotator3": 1}]),
    ]
    pairs, _ = scored(*paths, source="shp")
    assert [(p["score_chosen"], p["score_rejected"]) for p in pairs] == [(1, 1), (2, 1)]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet"])
def test_a_file_without_a_required_column_is_named(
    scored: Any, tmp_path: Path, suffix: str
) -> None:
    good = write(tmp_path / f"a{suffix}", rated(0))
    bad = write(tmp_path / f"b{suffix}", [{"prompt": "p", "respons": "r", "rating": 1}])
    with pytest.raises(InputError) as error:
        scored(good, bad)
    assert str(error.value).startswith(f"{bad}: layout ratings_long misses 'response'. Found: ")
    assert "did you mean column 'respons'?" in str(error.value)
    assert not (tmp_path / "out" / "pairs.parquet").exists()


def test_a_folder_of_several_layouts_is_refused(scored: Any, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    write(folder / "a.jsonl", rated(0))
    write(folder / "b.jsonl", [shp_row(9, 2)])
    with pytest.raises(InputError, match=r"b\.jsonl: layout ratings_long misses 'prompt'"):
        scored(folder)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet"])
def test_files_may_have_different_names_for_a_column(
    scored: Any, tmp_path: Path, suffix: str
) -> None:
    other = [
        {"question": row["prompt"], "answer": row["response"], "score": row["rating"]}
        for row in rated(1)
    ]
    paths = [write(tmp_path / f"a{suffix}", rated(0)), write(tmp_path / f"b{suffix}", other)]
    for order in (paths, paths[::-1]):
        pairs, rejects = scored(*order, layout="ratings_long")
        assert sorted(p["prompt"] for p in pairs) == ["Prompt 0?", "Prompt 1?"]
        assert rejects == []


def test_rows_of_one_file_may_have_different_names_for_a_column(
    scored: Any, tmp_path: Path
) -> None:
    """A row that has the layout's own name is read by it, even where its value is null."""
    rows = rated(0)
    rows += [{"question": "Q?", "answer": f"A{n}", "score": n} for n in (3, 1)]
    rows += [{**rows[0], "response": "Unrated", "rating": None, "score": 10}]
    pairs, rejects = scored(write(tmp_path / "a.jsonl", rows))
    assert [(p["prompt"], p["chosen"], p["score_chosen"]) for p in pairs] == [
        ("Prompt 0?", "Good 0", 9),
        ("Q?", "A3", 3),
    ]
    assert [(r["reason"], Path(r["origin"]).name) for r in rejects] == [
        ("rating_missing", "a.jsonl:5")
    ]


def test_a_mapped_column_that_a_file_lacks_is_named(scored: Any, tmp_path: Path) -> None:
    """A struct field too; an optional column may be missing."""
    rows = [{"p": "q", "response": f"r{n}", "scores": {"all": n}, "past": TURNS} for n in (1, 2)]
    first = write(tmp_path / "a.jsonl", rows)
    mapping = "prompt=p,rating=scores.all,history=past"
    lacking = [{**row, "p": "other"} for row in rows]
    for row in lacking:
        del row["past"]
    second = write(tmp_path / "b.jsonl", lacking)
    pairs, _ = scored(first, second, map=mapping)
    assert [p["history"] for p in pairs] == [TURNS, []]
    for missing, message in (("p", "no column 'p'"), ("scores", "no column 'scores.all'")):
        third = write(tmp_path / "c.jsonl", [{k: v for k, v in rows[0].items() if k != missing}])
        with pytest.raises(InputError, match=f"c.jsonl: --map: there is {message}"):
            scored(first, third, map=mapping)
    fourth = write(tmp_path / "d.jsonl", [{**rows[0], "scores": {"al": 1}}])
    with pytest.raises(InputError, match=r"d.jsonl: --map: 'scores.all' has no field 'all'"):
        scored(first, fourth, map=mapping)


def messages(text: str) -> list[Row]:
    return [{"role": "user", "content": text}]


def test_prompts_may_be_texts_and_messages_in_one_file(scored: Any, tmp_path: Path) -> None:
    """Rows of both kinds by turns: each is used, and the pairs come in the order of the input."""
    rows = [
        row
        for number in range(300)
        for row in rated(number, prompt=messages(f"P{number}") if number % 3 else f"P{number}")
    ]
    for suffix in (".jsonl", ".json"):
        pairs, rejects = scored(write(tmp_path / f"a{suffix}", rows))
        assert [p["prompt"] for p in pairs] == [f"P{number}" for number in range(300)]
        assert names(pairs)[150] == f"a{suffix}:302"  # the second of the two rows
        assert rejects == []


def test_limit_counts_rows_of_any_kind(scored: Any, tmp_path: Path) -> None:
    rows = [r for n in range(9) for r in rated(n, prompt=messages(f"P{n}") if n % 2 else f"P{n}")]
    path = write(tmp_path / "a.jsonl", rows)
    for limit in range(2, 10):
        pairs, rejects = scored(path, limit=limit)
        assert [p["prompt"] for p in pairs] == [f"P{n}" for n in range(limit // 2)]
        assert names(rejects) == ([f"a.jsonl:{limit}"] if limit % 2 else [])


def completion(text: Any, overall: Any) -> Row:
    return {"response": text, "overall_score": overall, "annotations": {}}


ODD = {
    "text": ("N/A", {"bad_completions": 1}, "completions is N/A, not a list of objects"),
    "object": (completion("c", 5), {"bad_completions": 1}, "not a list of objects"),
    "number": (7, {"bad_completions": 1}, "completions is 7, not a list of objects"),
    "list of texts": (["x", "y"], {"bad_completions": 1}, "not a list of objects"),
    "objects and texts": ([completion("c", 5), "y"], {"bad_completions": 1}, "not a list of obj"),
    "empty": ([], {"no_completions": 1}, "completions is empty"),
    "null": (None, {"no_completions": 1}, "completions is empty"),
    "objects and null": (
        [completion("c", 5), None],
        {"empty_response": 1, "single_response": 1},
        "the completion is null",
    ),
    "response is a list": (
        [completion(["c"], 5), completion("d", 3)],
        {"not_text": 1, "single_response": 1},
        "not text",
    ),
}


@pytest.mark.parametrize("where", [0, 1, 40])
@pytest.mark.parametrize("name", ODD)
def test_odd_completions_spoil_no_other_row(
    scored: Any, tmp_path: Path, name: str, where: int
) -> None:
    odd, reasons, detail = ODD[name]
    rows = [
        {"instruction": f"I{n}", "completions": [completion("a", 9), completion("b", 2)]}
        for n in range(40)
    ]
    rows.insert(where, {"instruction": "Odd", "completions": odd})
    pairs, rejects = scored(write(tmp_path / "a.jsonl", rows))
    assert [p["prompt"] for p in pairs] == [f"I{n}" for n in range(40)]
    assert {r["reason"]: 1 for r in rejects} == reasons
    assert {Path(r["origin"]).name for r in rejects} == {f"a.jsonl:{where + 1}"}
    assert any(detail in r["detail"] for r in rejects)
