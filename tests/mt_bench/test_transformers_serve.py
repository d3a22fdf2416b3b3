"""Best of n and MT-bench, asked of a server that is not this project's: `transformers serve`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CliResult
from tests.judge.transformers_server import make_tiny_model, transformers_serve
from tests.mt_bench.conftest import QUESTIONS, write

pytestmark = pytest.mark.slow

TOKENS = 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"), draws=True)


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with transformers_serve(model) as url:
        yield url


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")


def answers_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_best_of_n(
    url: str, model: Path, micro_model: Path, cli: Callable[..., CliResult], tmp_path: Path
) -> None:
    """It heeds the temperature, the seed of each answer and the limit."""
    prompts = write(tmp_path / "prompts.jsonl", [{"prompt": text} for text in ("What?", "Who?")])

    def texts(out: Path) -> dict[tuple[str, int], str]:
        done = cli(
            "best-of-n", "--prompts", prompts, "--policy", model, "--server-url", url, "-n", 3,
            "--concurrency", 1, "--max-new-tokens", TOKENS, "--reward", micro_model,
            "--reference", model, "--device", "cpu", "--bootstrap", 20, "--out", out,
        )  # fmt: skip
        assert done.status == 0, done.err
        assert "all the same" not in done.err
        found = answers_in(out / "generated.jsonl")
        assert {one["finish"] for one in found} <= {"stop", "length"}
        assert max(one["tokens"] for one in found) == TOKENS
        return {(one["messages"][0]["content"], one["sample"]): one["text"] for one in found}

    first = texts(tmp_path / "one")
    assert len(first) == 6
    assert texts(tmp_path / "two") == first


def test_mt_bench(url: str, model: Path, cli: Callable[..., CliResult], tmp_path: Path) -> None:
    questions = write(tmp_path / "question.jsonl", [QUESTIONS[0], QUESTIONS[3]])
    out = tmp_path / "out"
    done = cli(
        "evaluate", model, "--suite", "mt-bench", "--data", questions, "--server-url", url,
        "--max-new-tokens", TOKENS, "--bootstrap", 20, "--out", out,
    )  # fmt: skip
    assert done.status == 0, done.err
    turns = [one["choices"][0]["turns"] for one in answers_in(out / "model_answer.jsonl")]
    assert [len(one) for one in turns] == [2, 2]
    kept = answers_in(next(out.glob("generated*.jsonl")))
    assert max(one["tokens"] for one in kept) == TOKENS
    asked = {len(one["messages"]) for one in kept}
    assert asked == {1, 3}, "the second turn is asked after the model's own first answer"
