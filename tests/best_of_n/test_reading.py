"""What best-of-n reads, and what it refuses before a model is loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from margintool.best_of_n.calibration import temperatures_of
from margintool.best_of_n.options import BestOfNOptions
from margintool.best_of_n.reading import Prompts, read_candidates, read_prompts
from margintool.progress import no_bars
from mmpo_core.errors import InputError
from mmpo_core.evaluate.models import EvaluatedModel
from mmpo_core.evaluate.predictions import REWARD
from tests.best_of_n.conftest import write
from tests.conftest import CliResult

Run = Callable[..., CliResult]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def prompts_in(path: Path, **more: Any) -> Prompts:
    options = BestOfNOptions(prompts=str(path), policy="p", reward=("r",), **more)
    return read_prompts(options, no_bars)


def candidates_in(path: Path, **more: Any) -> Prompts:
    options = BestOfNOptions(candidates=str(path), reward=("r",), **more)
    return read_candidates(options, no_bars)


def texts(found: Prompts) -> list[list[str]]:
    return [[one.text for one in answers] for answers in found.answers]


def test_a_prompt_that_repeats_is_taken_once(tmp_path: Path) -> None:
    """But not the same last message after another history."""
    earlier = [user("Hm."), {"role": "assistant", "content": "Yes?"}]
    rows = [
        {"prompt": "a", "history": []},
        {"prompt": "b", "history": []},
        {"prompt": "a", "history": []},
        {"prompt": "a", "history": earlier},
    ]
    path = write(tmp_path / "p.jsonl", rows)
    found = prompts_in(path)
    assert found.conversations == [(user("a"),), (user("b"),), (*earlier, user("a"))]
    assert (found.rows, found.answers) == (4, [[], [], []])
    assert prompts_in(path, limit=2).conversations == [(user("a"),), (user("b"),)]


@pytest.mark.parametrize("column", ["prompt", "messages"])
def test_messages_end_with_the_user(tmp_path: Path, column: str) -> None:
    turns = [{"role": "system", "content": "Be brief."}, user("a")]
    assert prompts_in(write(tmp_path / "p.jsonl", [{column: turns}])).conversations == [
        tuple(turns)
    ]
    bad = [{column: turns}, {column: [*turns, {"role": "assistant", "content": "x"}]}]
    with pytest.raises(InputError, match=rf"p\.jsonl:2: the last message of {column} has role"):
        prompts_in(write(tmp_path / "p.jsonl", bad))


def test_rows_of_one_prompt_need_not_be_together(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "response": "1"},
        {"prompt": "b", "response": "2"},
        {"prompt": "a", "response": "3"},
        {"prompt": "b", "response": ""},
    ]
    path = write(tmp_path / "c.jsonl", rows)
    assert texts(candidates_in(path)) == [["1", "3"], ["2", ""]]
    assert texts(candidates_in(path, limit=1)) == [["1", "3"]]


@pytest.mark.parametrize("name", ["responses", "completions", "candidates"])
def test_a_list_of_answers_a_row(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"prompt": ["a", "b"], name: [["1", "2"], ["3", "1", "1"]]}), path)
    assert texts(candidates_in(path)) == [["1", "2"], ["3", "1", "1"]]


def test_the_prompt_with_the_fewest_answers_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "a", "responses": ["1", "2", "3"]},
        {"prompt": "b", "responses": ["1"]},
    ]
    candidates_in(write(tmp_path / "c.jsonl", rows))
    assert "prompts have 1 to 3 answers: the table goes up to the 1 of 'b'" in caplog.text


def test_other_names_by_map(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", [{"q": "a", "r": "1"}, {"q": "a", "r": "2"}])
    assert texts(candidates_in(path, map="prompt=q,response=r")) == [["1", "2"]]


BAD_CANDIDATES: list[tuple[list[dict[str, Any]], str]] = [
    ([{"question": "a", "response": "1"}], "no column prompt or messages"),
    ([{"prompt": "a", "reply": "1"}], "there are no answers"),
    ([{"prompt": "a", "response": "1"}, {"prompt": "b", "response": "2"}], "nothing to pick"),
    ([{"prompt": "a", "response": "1"}, {"prompt": "a", "response": None}], ":2: response is null"),
    ([{"prompt": "a", "response": "1"}, {"prompt": "a", "response": 5}], ":2: response is 5"),
    ([{"prompt": " ", "response": "1"}], ":1: prompt is empty"),
    ([{"prompt": "a", "responses": ["1", None]}], "null or not text"),
    ([{"prompt": "a", "responses": ["1", 2]}], "null or not text"),
    ([{"prompt": "a", "responses": ["1", "2"]}, {"prompt": "b", "responses": []}], ":2: .* empty"),
    ([{"prompt": "a", "responses": [{"text": "1"}]}], "expected a list of texts"),
    ([{"prompt": "a", "responses": "1"}], "expected a list of texts"),
]


@pytest.mark.parametrize(("rows", "said"), BAD_CANDIDATES)
def test_candidates_that_cannot_be_used(
    tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        candidates_in(write(tmp_path / "c.jsonl", rows))


BAD: list[tuple[list[str], str]] = [
    ([], "give --prompts FILE and --policy MODEL"),
    (["--prompts", "p.jsonl"], "give --prompts FILE and --policy MODEL"),
    (["--candidates", "c.jsonl", "--policy", "tiny"], "--policy has no effect"),
    (["--candidates", "c.jsonl", "-n", "4"], "-n has no effect"),
    (["--prompts", "p", "--policy", "tiny", "-n", "1"], "n must be a whole number >= 2"),
    (["--prompts", "p", "--policy", "tiny", "--temperature", "0"], "temperature must be"),
    (["--prompts", "p", "--policy", "tiny", "--concurrency", "2"], "without --server-url"),
    (["--prompts", "p", "--policy", "tiny", "--timeout", "9"], "--timeout has no effect without"),
    (["--prompts", "p", "--policy", "x", "--server-url", "u", "--timeout", "0"], "timeout must"),
    (["--prompts", "p", "--policy", "x", "--server-url", "u", "--batch-size", "2"], "with --serv"),
    (["--prompts", "p", "--policy", "tiny", "--policy-revision", "v1"], "on the hub"),
    (["--candidates", "c.jsonl", "--revision", "v1"], "revision is for hub models"),
    (["--candidates", "none.jsonl"], "none.jsonl"),
    (["--candidates", "here/candidates.parquet", "--out", "here"], "choose another --out"),
    (["--candidates", "c.jsonl", "--calibration", "none.json"], "none.json: cannot be read"),
    (["--candidates", "c.jsonl", "--beta", "2"], "beta is for policies"),
    (["--candidates", "c.jsonl", "--map", "rating=r"], "'rating' is not read"),
]


@pytest.mark.parametrize(("more", "said"), BAD)
def test_bad_usage(
    best_of_n: Run,
    scorers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("c.jsonl"), [{"prompt": "a", "responses": ["1", "2"]}])
    done = best_of_n("--reward", scorers / "reward", *more)
    assert (done.status, said in done.err) == (2, True), done.err
    assert not Path("best-of-n").exists()


def model(name: str) -> EvaluatedModel:
    return EvaluatedModel(name, name, REWARD)


def evaluation(path: Path, name: str, temperature: dict[str, Any], **about: Any) -> str:
    computed = {**model(name).about(), **about}
    found = {"models": {"m": {"temperature": temperature}}, "computed": {"m": computed}}
    path.write_text(json.dumps(found))
    return str(path)


def test_temperatures_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are found by their folder, however it is written; 1 without a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    a = evaluation(tmp_path / "a.json", "./runs/", {"temperature": {"value": 2.5}})
    b = evaluation(tmp_path / "b.json", "org/hub", {"temperature": {"value": 0.5}})
    both = [model("org/hub"), model(str(tmp_path / "runs"))]
    assert temperatures_of(both, [a, b]) == [0.5, 2.5]
    assert temperatures_of(both, []) == [1.0, 1.0]
    with pytest.raises(InputError, match="other is not evaluated there"):
        temperatures_of([model("other")], [a])
    none = evaluation(tmp_path / "c.json", "x", {"temperature": None, "reason": "too few prompts"})
    with pytest.raises(InputError, match="no temperature: too few prompts"):
        temperatures_of([model("x")], [none])
    other = evaluation(tmp_path / "e.json", "x", {"temperature": {"value": 2.5}}, beta=0.5)
    with pytest.raises(InputError, match=r"evaluated with beta 0\.5, .* with None here"):
        temperatures_of([model("x")], [other])
    (tmp_path / "d.json").write_text("[1]")
    with pytest.raises(InputError, match=r"d\.json: is not an evaluation"):
        temperatures_of([model("x")], [str(tmp_path / "d.json")])
