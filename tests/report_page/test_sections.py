"""What sections say of runs, pair files and evaluations, against numbers worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from margintool.page.commands import commands_section
from margintool.page.curves import HELD_OUT, pictures, points
from margintool.page.examples import example_blocks, largest_disagreements
from margintool.page.folders import read_folders
from margintool.page.held_out import comparability, held_out_part
from margintool.page.pair_files import find_pair_files
from margintool.page.reward_bench import reward_bench_section
from margintool.page.runs import overfitting_section, runs_section
from margintool.page.views import Code, Example, Gallery, Paragraph, Part, Section, Table
from mmpo_core.errors import InputError
from mmpo_core.evaluate.rewardbench.published import published
from tests.report_page.made import (
    HISTORY,
    HOSTILE,
    predictions,
    write_evaluation,
    write_pair_file,
    write_run,
)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_pair_file(tmp_path / "pairs.parquet")


def _tables(blocks: Any) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def _parts(section: Section | None) -> list[Part]:
    assert section is not None
    return [block for block in section.blocks if isinstance(block, Part)]


def test_the_table_of_runs(tmp_path: Path, pairs: Path) -> None:
    """75 seconds are 1 min 15 s; a run without a gamma has the file's own targets."""
    write_run(tmp_path / "a", pairs, arguments={"gamma": 1.5})
    write_run(tmp_path / "b", pairs, arguments={"objective": "reward"})
    write_run(tmp_path / "c", pairs, arguments={"loss": "dpo"})
    found = read_folders([tmp_path / name for name in "abc"])
    [table] = _tables(runs_section(found.runs).blocks)
    titles = [title.removeprefix(">") for title in table.grid.titles]
    first, second, third = (dict(zip(titles, row, strict=True)) for row in table.grid.rows)
    assert first["gamma"] == "1.5"
    assert (second["gamma"], third["gamma"]) == ("-", "-")
    assert (first["kind"], second["kind"]) == ("policy", "reward model")
    assert (first["steps"], first["time"]) == ("30", "1 min 15 s")


def test_overfitting_says_where_the_nll_was_least(tmp_path: Path, pairs: Path) -> None:
    """NLL 0.6, 0.5, 0.7 at steps 10, 20, 30; margins 1, 2, 3."""
    found = read_folders([write_run(tmp_path / "a", pairs)])
    [part] = _parts(overfitting_section(found.runs))
    [table] = _tables(part.blocks)
    assert [list(row) for row in table.grid.rows] == [
        ["a", "0.500", "20", "0.700", "2.000", "3.000"]
    ]
    gallery = part.blocks[0]
    assert isinstance(gallery, Gallery)
    assert gallery.pictures[0].alt == (
        "held-out NLL in nats over steps: a from 0.6 at step 10 to 0.7 at step 30."
    )


def test_one_evaluation_is_no_course(tmp_path: Path, pairs: Path) -> None:
    found = read_folders([write_run(tmp_path / "a", pairs, HISTORY[:2])])
    assert overfitting_section(found.runs) is None


def test_a_value_that_was_not_finite_leaves_a_gap(tmp_path: Path, pairs: Path) -> None:
    history = [{"step": 1, "eval_nll": 0.5}, {"step": 2, "eval_nll": None}, {"step": 3}]
    found = read_folders([write_run(tmp_path / "a", pairs, history)])
    (first, second) = points(found.runs[0], "eval_nll")
    assert first == (1, 0.5)
    assert second[0] == 2
    assert second[1] != second[1]
    [picture] = pictures(found.runs, HELD_OUT)
    assert "to nan at step 2" in picture.alt


def test_many_runs_are_told_by_their_range(tmp_path: Path, pairs: Path) -> None:
    folders = []
    for n in range(7):
        history = [{"step": 1, "loss": 1.0}, {"step": 2, "loss": n / 10}]
        folders.append(write_run(tmp_path / f"run{n}", pairs, history))
    runs = read_folders(folders).runs
    [picture] = pictures(runs, {"loss": "loss"})
    assert picture.alt == "loss over steps, 7 runs; they end between 0 and 0.6."
    [of_two] = pictures(runs[:2], {"loss": "loss"})
    # five lines more of the legend, of 0.19 inches; they must not take the curves' room
    assert picture.height - of_two.height == pytest.approx(5 * 0.19 * 96, abs=1)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ({"seed": 1}, {"seed": 2}, ["The runs did not hold out the same pairs."]),
        ({"seed": 1, "split_seed": 5}, {"seed": 2, "split_seed": 5}, []),
        ({"gamma": 1.0}, {"loss": "dpo"}, ["different targets"]),
        ({"gamma": 1.0, "eval_gamma": "file"}, {"loss": "dpo", "eval_gamma": "file"}, []),
    ],
)
def test_what_may_be_compared(
    tmp_path: Path, pairs: Path, one: dict[str, Any], other: dict[str, Any], told: list[str]
) -> None:
    write_run(tmp_path / "a", pairs, arguments=one)
    write_run(tmp_path / "b", pairs, arguments=other)
    lines = comparability(read_folders([tmp_path / "a", tmp_path / "b"]).runs)
    assert len(lines) == len(told)
    assert all(words in line for words, line in zip(told, lines, strict=True))


def test_prompts_that_were_trained_on_are_told(tmp_path: Path, pairs: Path) -> None:
    write_run(tmp_path / "a", pairs, eval_prompts_also_trained_on=3)
    section = runs_section(read_folders([tmp_path / "a"]).runs)
    _, remark = [block for block in section.blocks if isinstance(block, Paragraph)]
    assert remark.text.startswith("a: 3 prompts of its held-out data were trained on too")


def test_an_unfinished_run_is_read_to_its_last_checkpoint(tmp_path: Path, pairs: Path) -> None:
    """Checkpoint 30 is later than 9, though its name sorts before it."""
    folder = write_run(tmp_path / "a", pairs, status="unfinished", metrics=None)
    (folder / "log_history.jsonl").unlink()
    for step in (9, 30):
        at = folder / f"checkpoint-{step}"
        at.mkdir()
        state = {"log_history": [{"step": step, "loss": 0.5}]}
        (at / "trainer_state.json").write_text(json.dumps(state))
    [run] = read_folders([folder]).runs
    assert points(run, "loss") == [(30, 0.5)]
    assert held_out_part([run]) == []


def test_a_sweeps_runs_of_a_setting_look_alike(tmp_path: Path, pairs: Path) -> None:
    """Names of settings have the loss, and what differs; runs that have not begun are left out."""
    setting = {"loss": "mmpo", "gamma": 1.0, "beta": 0.1, "lr": 1e-3}
    other = setting | {"gamma": 2.0}
    rows = [setting | {"run": "a"}, setting | {"run": "b"}, other | {"run": "c"}]
    for name in "ab":
        write_run(tmp_path / "s" / "runs" / name, pairs)
    (tmp_path / "s" / "sweep.json").write_text(json.dumps({"runs": rows, "settings": []}))
    found = read_folders([tmp_path / "s"])
    assert [run.name for run in found.runs] == ["s: a", "s: b"]
    assert {run.group for run in found.runs} == {"s: loss mmpo, gamma 1"}


def test_a_changed_pair_file_is_not_shown(tmp_path: Path, pairs: Path) -> None:
    found = read_folders([write_run(tmp_path / "a", pairs)])
    [file] = find_pair_files(found, [])[0]
    assert (file.path, file.uses) == (pairs, ["training of a"])
    write_pair_file(pairs, pairs=10)
    assert find_pair_files(found, []) == (
        [],
        [f"{pairs} (training of a) has changed since it was read"],
    )
    pairs.unlink()
    assert find_pair_files(found, []) == (
        [],
        [f"{pairs} (training of a) is not there; --pairs names its place"],
    )


def test_a_moved_pair_file_is_known_by_its_content(tmp_path: Path, pairs: Path) -> None:
    found = read_folders([write_run(tmp_path / "a", pairs)])
    moved = pairs.rename(tmp_path / "moved.parquet")
    files, missing = find_pair_files(found, [moved])
    assert ([file.path for file in files], missing) == ([moved], [])
    other = write_pair_file(tmp_path / "other.parquet", pairs=10)
    with pytest.raises(InputError, match=r"other\.parquet: none of the folders tells"):
        find_pair_files(found, [moved, other])


def test_examples_are_those_furthest_from_their_target(tmp_path: Path, pairs: Path) -> None:
    """h = 0 says 1/2; targets grow with the margin, so the last pairs are the furthest away."""
    assert largest_disagreements(predictions([0.0] * 12), 3) == [11, 10, 9]
    folder = write_evaluation(tmp_path / "e", pairs, model=[0.0] * 12)
    [evaluation] = read_folders([folder]).evaluations
    [part], missing = example_blocks(evaluation, pairs, 2)
    assert missing == []
    assert isinstance(part, Part)
    first, second = part.blocks
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    # margin 2.75, gamma 2: sigma(5.5) = 0.99593
    assert first.title == f"Model 0.500, target 0.996: {HOSTILE} 5"
    assert [said.text for said in first.said][:2] == [f"{HOSTILE} 5", f"{HOSTILE} chosen 11"]
    assert ("pair_id", "pair-10") in second.facts


def test_long_texts_are_cut_and_counted(tmp_path: Path) -> None:
    """Prompts are 5,000 letters, a space and a digit: 1,002 more than 4,000."""
    pairs = write_pair_file(tmp_path / "long.parquet", prompt="x" * 5000)
    folder = write_evaluation(tmp_path / "e", pairs, model=[0.0] * 12)
    [part], _ = example_blocks(read_folders([folder]).evaluations[0], pairs, 1)
    assert isinstance(part, Part)
    [pair] = part.blocks
    assert isinstance(pair, Example)
    assert (len(pair.said[0].text), pair.said[0].rest) == (4000, 1002)


def test_commands_are_those_that_were_run(tmp_path: Path, pairs: Path) -> None:
    options = {"loss": "dpo", "beta": 0.2, "lr": 3e-4, "eval_split": 0.25}
    run = write_run(tmp_path / "a b", pairs, arguments=options)
    evaluation = write_evaluation(tmp_path / "e", pairs, model=[0.0] * 12)
    [_, code] = commands_section(read_folders([run, evaluation]), {}).blocks
    assert isinstance(code, Code)
    assert list(code.lines) == [
        f"margintool score --source shp --input votes.jsonl --out {pairs}",
        f"margintool train {pairs} --model tiny --out '{run}' --lr 0.0003 --eval-split 0.25 "
        "--loss dpo --beta 0.2",
        f"margintool evaluate model --data {pairs} --out {evaluation}",
    ]


def test_rewardbench_has_sections_and_published_scores(tmp_path: Path) -> None:
    """0.75 is 75.0 percent; sections that are absent are a dash, in every column's place."""
    half = {"value": 0.75, "low": 0.5, "high": 1.0}
    content = {
        "suite": "rewardbench",
        "arguments": {"models": ["runs/a"], "data": "rb.parquet", "out": "rb"},
        "models": {"a": {"average": half, "sections": {"Chat": half}, "ties": 1}},
        "published": published(),
    }
    (tmp_path / "rb").mkdir()
    (tmp_path / "rb" / "rewardbench.json").write_text(json.dumps(content))
    found = read_folders([tmp_path / "rb"])
    section = reward_bench_section(found.reward_benches[0], 1)
    [table] = _tables(section.blocks)
    rows = {row[0]: list(row[1:]) for row in table.grid.rows}
    assert rows["Chat"] == ["75.0 (50.0 to 100.0)", "95.0", "96.1", "96.6", "97.5"]
    assert rows["Safety"][0] == "-"
    assert rows["average"][1:] == ["59.4", "62.3", "73.0", "75.6"]
    assert len(table.grid.titles) == 6
    [remark] = [block for block in section.blocks if isinstance(block, Paragraph)]
    assert remark.text == "a: 1 tie, counted as misses, as RewardBench does."
    [_, code] = commands_section(found, {}).blocks
    assert isinstance(code, Code)
    [line] = code.lines
    assert line.startswith("margintool evaluate runs/a --suite rewardbench ")
    assert "--data rb.parquet" in line
