"""`evaluate --suite mt-bench` from the questions to the table, interrupted and resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from margintool.judge.asking.fence import unfenced
from margintool.judge.journal.journal import Journal
from margintool.judge.mock.quality import mock_exact, rounded
from margintool.judge.mock.question import message_hash
from margintool.mt_bench.facts import TEMPERATURES
from mmpo_core.generation.local import LocalModel
from mmpo_core.run_record import fingerprint
from tests.conftest import CliResult
from tests.judge.conftest import MockJudge
from tests.mt_bench.conftest import CATEGORIES, QUESTIONS, answers, write

Run = Callable[..., CliResult]
PRICES = {"mock-judge": {"input": 1000.0, "output": 1000.0}}
FEW = {n: (f"word{n} two three", f"last{n}") for n in CATEGORIES}


def judged_by(judge: MockJudge) -> list[str]:
    return ["--judge-model", "mock-judge", "--base-url", judge.url]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def report_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "mt_bench.json").read_text())
    return found


def rows_in(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "mt_bench.parquet").to_pylist()
    return found


def interrupt_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model answer so many batches, and then be interrupted as by Ctrl-C."""
    left, batch = [batches], LocalModel._batch

    def interrupted(self: LocalModel, *args: Any) -> Any:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return batch(self, *args)

    monkeypatch.setattr(LocalModel, "_batch", interrupted)


def check_interrupted_twice(
    run: Run,
    judge: MockJudge,
    given: list[str],
    out: Path,
    prices: Path,
    *,
    batches: int,
    questions: int,
) -> None:
    """Stop in the generation after so many batches, then in judging; then go on to the end.

    Every answer is generated once and every answer judged once, counted at the server.
    """
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(batches, patch)
        assert run(*given, *judged_by(judge)).status == 130
    kept = lines(out / "generated.jsonl")
    assert 0 < len(kept) < 2 * questions
    assert judge.stats()["received"] == 0
    stopped = run(
        *given, *judged_by(judge), "--max-cost", 1 + questions / 2, "--prices", prices,
        "--concurrency", 1,
    )  # fmt: skip
    assert (stopped.status, "--max-cost" in stopped.err) == (1, True), stopped.err
    part = judge.stats()["answered"]
    assert 1 < part < 2 * questions
    assert not (out / "mt_bench.json").exists()
    assert lines(out / "generated.jsonl")[: len(kept)] == kept
    done = run(*given, *judged_by(judge))
    assert done.status == 0, done.err
    whole = lines(out / "generated.jsonl")
    assert len({row["key"] for row in whole}) == len(whole) == 2 * questions
    with Journal.open(out / "judge.journal.sqlite", write=False) as journal:
        assert journal.counts().answered == 2 * questions
    # beside the answers, one question on how the server wants to be asked
    counted = judge.stats()["messages"]
    assert (set(counted.values()), len(counted)) == ({1}, 2 * questions + 1)


def test_interrupted_in_both_halves_nothing_is_done_twice(
    run: Run, mock_judge: MockJudge, files: list[str], tmp_path: Path, micro_model: Path
) -> None:
    """Batches of one: three of eight answers are there when the generation is stopped."""
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps(PRICES))
    out, alone = tmp_path / "out", tmp_path / "alone"
    how = ["--max-new-tokens", "5", "--batch-size", "1"]
    given = [str(micro_model), *files, *how]
    check_interrupted_twice(
        run, mock_judge, given, out, prices, batches=3, questions=len(QUESTIONS)
    )
    in_one_go = run(*given, "--out", alone, *judged_by(mock_judge))
    assert in_one_go.status == 0, in_one_go.err
    assert rows_in(out) == rows_in(alone)
    facts = report_in(out)["answers"]
    assert facts == report_in(alone)["answers"]
    ended = sum(row["finish"] == "length" for row in lines(out / "generated.jsonl"))
    assert (facts["number"], facts["ended_by_max_new_tokens"]) == (8, ended)
    assert f"{ended} answers were ended by --max-new-tokens" in in_one_go.out
    before = mock_judge.stats()["received"]
    assert run(*given, *judged_by(mock_judge)).status == 0
    assert mock_judge.stats()["received"] == before


@pytest.mark.parametrize("model", ["micro", pytest.param("tiny", marks=pytest.mark.slow)])
def test_the_real_questions(
    run: Run,
    mock_judge: MockJudge,
    tmp_path: Path,
    micro_model: Path,
    real_data: Path,
    model: str,
) -> None:
    """80 questions, 160 answers; interrupted as above."""
    folder, prices, out = real_data / "mtbench", tmp_path / "prices.json", tmp_path / "out"
    prices.write_text(json.dumps(PRICES))
    name = str(micro_model) if model == "micro" else model
    given = [
        name, "--data", str(folder / "question.jsonl.gz"), "--references",
        str(folder / "reference_answer_gpt-4.jsonl.gz"), "--out", str(out),
        "--max-new-tokens", "4", "--bootstrap", "20",
    ]  # fmt: skip
    check_interrupted_twice(run, mock_judge, given, out, prices, batches=4, questions=80)
    temperatures = {
        row["messages"][0]["content"]: row["sampling"]["temperature"]
        for row in lines(out / "generated.jsonl")
    }
    assert sorted(temperatures.values()) == [0.0] * 40 + [0.1] * 20 + [0.7] * 20
    table = report_in(out)["ratings"]
    assert {
        name: line["both"]["rated"] for name, line in table["by_category"].items()
    } == dict.fromkeys(TEMPERATURES, 20)


def test_each_turn_is_asked_as_mt_bench_does(
    run: Run, files: list[str], tmp_path: Path, micro_model: Path
) -> None:
    """Without a judge the answers are made and no more."""
    done = run(micro_model, *files, "--max-new-tokens", 3, "--seed", 7)
    assert (done.status, "Name a judge with --judge-model" in done.out) == (0, True), done.err
    asked = lines(tmp_path / "out" / "generated.jsonl")
    heat = {81: 0.7, 101: 0.0, 111: 0.0, 150: 0.1}
    first = {row["messages"][0]["content"]: row for row in asked if len(row["messages"]) == 1}
    second = {row["messages"][0]["content"]: row for row in asked if len(row["messages"]) == 3}
    assert len(asked) == 8
    for n, temperature in heat.items():
        one, two = first[f"First {n}?"], second[f"First {n}?"]
        for row in (one, two):
            assert row["sampling"] == {
                "temperature": temperature,
                "top_p": 1.0,
                "max_new_tokens": 3,
                "seed": 7,
            }
        assert two["messages"][1:] == [
            {"role": "assistant", "content": one["text"]},
            {"role": "user", "content": f"Second {n}!"},
        ]
    given = lines(tmp_path / "out" / "model_answer.jsonl")
    assert [row["question_id"] for row in given] == list(CATEGORIES)
    assert given[0]["choices"][0]["turns"] == [
        first["First 81?"]["text"],
        second["First 81?"]["text"],
    ]


def test_given_answers_are_judged_and_the_averages_are_right(
    run: Run, mock_judge: MockJudge, files: list[str], tmp_path: Path
) -> None:
    """Ratings are the stand-in's of the answers' texts, averages taken here."""
    path = write(tmp_path / "answers.jsonl", answers(FEW))
    done = run("unused", *files, "--answers", path, *judged_by(mock_judge), "--json")
    assert done.status == 0, done.err
    rating = {n: [rounded(mock_exact(text)) for text in turns] for n, turns in FEW.items()}
    out = tmp_path / "out"
    report = report_in(out)
    assert json.loads(done.out) == report
    assert report["model"] == "mine"
    assert report["answers"] == {"path": str(path), "fingerprint": fingerprint(path)}
    assert report["questions"]["fingerprint"] == fingerprint(tmp_path / "question.jsonl")
    every = [value for both in rating.values() for value in both]
    overall = report["ratings"]["overall"]
    assert overall["both"]["mean"] == pytest.approx(sum(every) / 8)
    assert overall["turn_1"]["mean"] == pytest.approx(sum(r[0] for r in rating.values()) / 4)
    assert overall["turn_2"]["mean"] == pytest.approx(sum(r[1] for r in rating.values()) / 4)
    math = report["ratings"]["by_category"]["math"]
    assert math["both"]["mean"] == pytest.approx(sum(rating[111]) / 2)
    rows = rows_in(out)
    assert [(row["question_id"], row["turn"], row["answer"], row["rating"]) for row in rows] == [
        (str(n), turn, FEW[n][turn - 1], rating[n][turn - 1]) for n in FEW for turn in (1, 2)
    ]
    assert not (out / "generated.jsonl").exists()
    check_prompts(out)


def check_prompts(out: Path) -> None:
    """What was sent: a reference for reasoning and math alone, both turns for the second."""
    with Journal.open(out / "judge.journal.sqlite", write=False) as journal:
        sent = [row.request.body["messages"] for row in journal.all_rows()]
    blocks = [dict(unfenced("\n".join(m["content"] for m in one))) for one in sent]
    assert len(blocks) == 8
    for block in blocks:
        number = int("".join(filter(str.isdigit, block["PROMPT"])))
        assert ("REFERENCE" in block) == (CATEGORIES[number] in ("math", "reasoning"))
        second = block["PROMPT"] == f"Second {number}!"
        assert ("CONVERSATION" in block) == second
        if second:
            before = f"user: First {number}?\n\nassistant: {FEW[number][0]}"
            assert block["CONVERSATION"] == before


def test_a_reply_without_a_rating_is_null_and_counted(
    run: Run, start_mock: Callable[..., MockJudge], files: list[str], tmp_path: Path
) -> None:
    """Half of the replies name no verdict or one out of the scale: in no mean, never -1."""
    judge = start_mock(faults="no-verdict=0.3,out-of-scale=0.3", seed=4)
    path = write(tmp_path / "answers.jsonl", answers(FEW))
    done = run("unused", *files, "--answers", path, *judged_by(judge))
    assert done.status == 0, done.err
    rows = rows_in(tmp_path / "out")
    there = [row["rating"] for row in rows if row["rating"] is not None]
    missing = [row for row in rows if row["rating"] is None]
    assert 0 < len(missing) < 8
    assert all(row["reason"] and row["detail"] for row in missing)
    assert all(row["reason"] is None for row in rows if row["rating"] is not None)
    report = report_in(tmp_path / "out")
    both = report["ratings"]["overall"]["both"]
    assert both["mean"] == pytest.approx(sum(there) / len(there))
    assert (both["rated"], both["unrated"]) == (len(there), len(missing))
    assert sum(report["without_verdict"].values()) == len(missing)
    assert f"{len(there)} answers rated, {len(missing)} without a rating" in done.out


def test_several_judges_are_averaged(
    run: Run, mock_judge: MockJudge, files: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path / "answers.jsonl", answers(FEW))
    more = ["--judge-model", "mock-judge-strict"]
    done = run("unused", *files, "--answers", path, *judged_by(mock_judge), *more)
    assert done.status == 0, done.err
    for row in rows_in(tmp_path / "out"):
        both = row["rating_mock-judge"], row["rating_mock-judge-strict"]
        assert both[0] > both[1] or both == (1.0, 1.0)
        assert row["rating"] == pytest.approx(sum(both) / 2)
    assert "arXiv 2410.03145" in done.out
    assert "7.58" in done.out


def test_a_dry_run_counts_and_writes_nothing(run: Run, files: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "answers.jsonl", answers(FEW))
    done = run("m", *files, "--answers", path, "--judge-model", "gpt-4o", "--dry-run")
    assert (done.status, "8 requests to send of 8" in done.out) == (0, True), done.err
    assert not (tmp_path / "out").exists()


BAD: list[tuple[list[str], str]] = [
    (["--answers", "a.jsonl"], "name a judge with --judge-model"),
    (["--answers", "a.jsonl", "--judge-model", "j", "--batch-size", "3"], "--batch-size has no"),
    (["--answers", "a.jsonl", "--judge-model", "j", "--device", "cpu"], "--device has no effect"),
    (["--answers", "a.jsonl", "--judge-model", "j", "--revision", "v1"], "--revision has no eff"),
    (["--server-url", "http://localhost:1/v1", "--revision", "v1"], "--revision has no effect"),
    (["--dry-run"], "--dry-run says what judging costs"),
    (["--server-url", "http://localhost:1/v1", "--batch-size", "3"], "--batch-size has no effect"),
    (["--server-key-file", "key"], "--server-key-file has no effect"),
    (["--max-new-tokens", "0"], "--max-new-tokens must be >= 1"),
    (["--bootstrap", "-1"], "--bootstrap must be >= 0"),
    (["--judge-model", "j", "--samples", "0"], "--samples must be >= 1"),
    (["--beta", "1"], "suite mt-bench does not take --beta"),
    (["another"], "takes one model, got 2. Give the command once for each"),
    (["--references", "none.jsonl", "--judge-model", "j"], "none.jsonl: no such file"),
]


@pytest.mark.parametrize(("more", "said"), BAD)
def test_bad_usage(run: Run, files: list[str], more: list[str], said: str, tmp_path: Path) -> None:
    """Before a model is loaded or a server is asked."""
    done = run("tiny", *files, *more)
    assert (done.status, said in done.err) == (2, True), done.err
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file(run: Run, files: list[str], tmp_path: Path) -> None:
    """Said before a model is loaded."""
    (tmp_path / "out").write_text("mine")
    done = run("./nowhere", *files)
    assert (done.status, "is a file; out must be a folder" in done.err) == (2, True), done.err
    assert (tmp_path / "out").read_text() == "mine"


def test_a_category_of_ones_own(
    run: Run, tmp_path: Path, micro_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Asked at FastChat's temperature for others, which is said."""
    rows = [{**QUESTIONS[0], "category": "cooking"}]
    path, out = write(tmp_path / "question.jsonl", rows), tmp_path / "out"
    done = run(micro_model, "--data", path, "--out", out, "--max-new-tokens", 2)
    assert done.status == 0, done.err
    assert "answered at temperature 0.7: cooking" in caplog.text
    assert {row["sampling"]["temperature"] for row in lines(out / "generated.jsonl")} == {0.7}


def test_a_request_that_fails_is_counted_and_sent_again(
    run: Run, start_mock: Callable[..., MockJudge], files: list[str], tmp_path: Path
) -> None:
    """Without retries some requests meet a server's error; the next run sends those alone."""
    judge = start_mock(faults="error=0.5", seed=1)
    path = write(tmp_path / "answers.jsonl", answers(FEW))
    given = ["unused", *files, "--answers", path, *judged_by(judge)]
    first = run(*given, "--retries", 0)
    failed = [row for row in rows_in(tmp_path / "out") if row["rating"] is None]
    assert 0 < len(failed) < 8
    assert (first.status, f"{len(failed)} requests failed" in first.err) == (1, True), first.err
    assert {row["reason"] for row in failed} == {"judge_failed"}
    second = run(*given, "--retries", 3)
    assert second.status == 0, second.err
    assert report_in(tmp_path / "out")["ratings"]["overall"]["both"]["rated"] == 8
    with Journal.open(tmp_path / "out" / "judge.journal.sqlite", write=False) as journal:
        mine = {message_hash(row.request.body) for row in journal.all_rows()}
    # what finds out how the server wants to be asked may be repeated
    assert {n for message, n in judge.stats()["messages"].items() if message in mine} == {1}
