"""A judge served by code that is not this project's: `transformers serve` with the tiny model.

The model is untrained, so its replies are noise: each is stored, and read as null with a reason.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from openai import OpenAI

from margintool.judge.item import REASONS
from tests.conftest import CliResult
from tests.judge.transformers_server import make_tiny_model, transformers_serve

SCHEMA = {"type": "object", "properties": {"rating": {"type": "number"}}}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"), draws=False)


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with transformers_serve(model) as url:
        yield url


def test_it_ignores_what_it_does_not_know(url: str, model: Path) -> None:
    """The reason why the probe looks at replies: a 200 says nothing about schema or logprobs."""
    with OpenAI(base_url=url, api_key="none", max_retries=0, timeout=60.0) as client:
        reply = client.chat.completions.create(
            model=str(model),
            messages=[{"role": "user", "content": "Rate this."}],
            max_completion_tokens=8,
            temperature=0.0,
            logprobs=True,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "rating", "schema": SCHEMA},
            },
        )
    assert reply.choices[0].logprobs is None
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 8
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(reply.choices[0].message.content or "")


def test_score_stores_every_reply_and_reads_none(
    url: str,
    model: Path,
    tmp_path: Path,
    cli: Callable[..., CliResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "out.parquet"
    rows = [{"prompt": f"{i}?", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(3)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asking = ["--judge-model", model, "--base-url", url, "--max-tokens", 16]

    def replies() -> list[dict[str, Any]]:
        scored = cli("score", "--source", "gpt4", "--input", pairs, "--out", out, *asking)
        assert (scored.status, "no usable pair in 3 rows" in scored.err) == (2, True), scored
        table = tmp_path / "replies.parquet"
        exported = cli("judge", "export", tmp_path / "out.journal.sqlite", "--out", table, "--full")
        assert exported.status == 0, exported
        found: list[dict[str, Any]] = pq.read_table(table).to_pylist()
        table.unlink()
        return found

    first = replies()
    assert sorted(reply["answers"] for reply in first) == sorted(
        [row[side]] for row in rows for side in ("chosen", "rejected")
    )
    for reply in first:
        assert json.loads(reply["raw"])["choices"][0]["finish_reason"] == reply["finish_reason"]
        assert reply["value"] is None
        assert reply["reason"] in REASONS
        assert reply["messages"][-1]["content"].endswith("Rating: [[N]]"), "asked in text"
    rejects = pq.read_table(tmp_path / "out.rejects.parquet").to_pylist()
    assert {row["reason"] for row in rejects} <= REASONS.keys()
    assert len(rejects) == 3
    assert replies() == first, "nothing is asked twice"
