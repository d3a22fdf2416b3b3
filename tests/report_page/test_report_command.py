"""`margintool report` and `inspect --html` from the command line, and what they refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.report_page.made import HOSTILE, write_evaluation, write_pair_file, write_run
from tests.report_page.outline import Outline


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_pair_file(tmp_path / "pairs.parquet")


def test_a_run_alone_and_what_it_lacks(
    cli: Callable[..., Any], tmp_path: Path, pairs: Path
) -> None:
    run = write_run(tmp_path / "run", pairs, history=[])
    out = tmp_path / "report.html"
    done = cli("report", run, "--out", out, "--title", HOSTILE)
    assert done.status == 0, done.err
    outline = Outline(out.read_text(encoding="utf-8"))
    for line in (
        "Reliability diagrams: no folder of margintool evaluate was given",
        "Overfitting: no run was evaluated more than once on its way (--eval-steps)",
        "Training curves: no run has logged a step",
        "Examples: no folder of margintool evaluate was given",
    ):
        assert line in outline.text
        assert line[:30] in " ".join(done.out.split())
    assert HOSTILE in outline.text
    assert [a["id"] for a in outline.named("section")] == (
        "runs held-out by-margin data targets commands left-out".split()
    )


def test_a_page_does_not_depend_on_when_it_is_written(
    cli: Callable[..., Any], tmp_path: Path, pairs: Path
) -> None:
    run = write_run(tmp_path / "run", pairs)
    for name in ("a.html", "b.html"):
        assert cli("report", run, "--out", tmp_path / name).status == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_missing_predictions_are_told(cli: Callable[..., Any], tmp_path: Path, pairs: Path) -> None:
    folder = write_evaluation(tmp_path / "e", pairs, model=[0.0] * 12)
    (folder / "predictions.parquet").unlink()
    done = cli("report", folder, "--out", tmp_path / "report.html")
    assert done.status == 0
    assert "predictions.parquet of model is not there" in " ".join(done.out.split())


def _damaged(folder: Path, pairs: Path) -> None:
    write_run(folder, pairs)
    (folder / "run.json").write_text("{")


def _other_json(folder: Path, pairs: Path) -> None:
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({"models": [1]}))


def _bad_history(folder: Path, pairs: Path) -> None:
    write_run(folder, pairs)
    (folder / "log_history.jsonl").write_text('{"step": 1}\n[]\n')


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder, pairs: None, "no such folder"),
        (
            lambda folder, pairs: folder.mkdir(),
            "rewardbench.json, mt_bench.json or best_of_n.json",
        ),
        (lambda folder, pairs: folder.write_text("x"), "is a file; a folder is wanted"),
        (_damaged, "run.json: cannot be read"),
        (_other_json, "evaluation.json: is not written by margintool: no models"),
        (_bad_history, "log_history.jsonl: line 2 is no log entry"),
    ],
)
def test_bad_folders_leave_the_old_page(
    cli: Callable[..., Any],
    tmp_path: Path,
    pairs: Path,
    make: Callable[[Path, Path], Any],
    words: str,
) -> None:
    make(tmp_path / "run", pairs)
    out = tmp_path / "report.html"
    out.write_text("old")
    done = cli("report", tmp_path / "run", "--out", out)
    assert done.status == 2
    assert words in done.err
    assert out.read_text() == "old"


def test_a_folder_twice_and_a_name_that_is_no_page(
    cli: Callable[..., Any], tmp_path: Path, pairs: Path
) -> None:
    run = write_run(tmp_path / "run", pairs)
    done = cli("report", run, tmp_path / "." / "run", "--out", tmp_path / "report.html")
    assert (done.status, "is given twice" in done.err) == (2, True)
    done = cli("report", run, "--out", tmp_path / "report.pdf")
    assert (done.status, "give a name that ends in .html" in done.err) == (2, True)


def test_inspect_writes_a_page(cli: Callable[..., Any], tmp_path: Path, pairs: Path) -> None:
    out = tmp_path / "data.html"
    done = cli("inspect", pairs, "--html", out, "--sample", 2, "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["pairs"] == 12
    outline = Outline(out.read_text(encoding="utf-8"))
    assert [a["id"] for a in outline.named("section")] == "data targets longest pairs".split()
    assert len(outline.named("img")) == 4
    assert not outline.named("script")
    assert sum("example" in (a.get("class") or "") for a in outline.named("details")) == 2


def test_inspect_shows_a_file_that_breaks_the_contract(
    cli: Callable[..., Any], tmp_path: Path, pairs: Path
) -> None:
    broken = tmp_path / "broken.parquet"
    pq.write_table(pq.read_table(pairs).drop_columns(["margin"]), broken)
    done = cli("inspect", broken, "--html", tmp_path / "data.html")
    assert done.status == 2
    text = Outline((tmp_path / "data.html").read_text(encoding="utf-8")).text
    assert "The contract of pair files is broken in" in text
    assert "Margins and targets: broken.parquet has no finite margin" in text
