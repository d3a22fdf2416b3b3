"""The options of every command that asks a judge: name, default and help text, once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ReplyFormat = Literal["auto", "json", "text"]

# What a judge's answer depends on; the rest says how, where and how fast it is asked.
ASKED = (
    "judge_model",
    "mode",
    "reference",
    "rubric",
    "template",
    "samples",
    "temperature",
    "max_tokens",
    "logprobs",
    "reply_format",
)


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Whom to ask: for every command that talks to a server.

    Args:
        base_url: Any OpenAI-compatible server, as http://localhost:8000/v1; OPENAI_BASE_URL or
            OpenAI's own if not given.
        api_key_file: File that holds the API key; OPENAI_API_KEY if not given.
        retries: Tries after the first for a request that fails (429, 5xx, time-out, reset).
    """

    base_url: str | None = None
    api_key_file: str | Path | None = None
    retries: int = 5


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(ServerOptions):
    """What judges are asked and how, for --source gpt4 and `margintool judge`.

    Args:
        judge_model: Model that judges, as the server names it; repeat it for several judges.
        mode: What a judge is asked: single rates each answer by itself, pair compares two in both
            orders, aspects rates each answer by UltraFeedback's four aspects.
        reference: Column with a reference answer that the judge is shown.
        rubric: File with your own criteria: text; for --mode aspects YAML, name: definition.
        template: Your own prompt, a Jinja file (see docs/judge.md).
        samples: Draws per question, averaged.
        temperature: Sampling temperature; if not given 0 for one draw and 1 for several.
        max_tokens: Limit of a reply's tokens.
        logprobs: Expected rating over the rating tokens' log-probabilities, where the server
            gives them.
        reply_format: Ask for JSON under a schema or for a strict text; auto finds out once per
            server and model which it takes.
        concurrency: Requests in flight.
        rpm: Most requests a minute; no limit if not given.
        tpm: Most tokens a minute, prompt and reply; no limit if not given.
        timeout: Seconds to wait for a reply.
        max_cost: Stop before more than so many US dollars are spent in this run.
        prices: JSON file with prices of models, over the built-in ones (see docs/judge.md).
        journal: File that keeps every request and reply (SQLite); beside the output, as
            NAME.journal.sqlite, if not given.
        dry_run: Count requests, tokens and cost; send and write nothing.
    """

    judge_model: str | tuple[str, ...] = ()
    mode: Literal["single", "pair", "aspects"] = "single"
    reference: str | None = None
    rubric: str | Path | None = None
    template: str | Path | None = None
    samples: int = 1
    temperature: float | None = None
    max_tokens: int = 1024
    logprobs: bool = False
    reply_format: ReplyFormat = "auto"
    concurrency: int = 16
    rpm: int | None = None
    tpm: int | None = None
    timeout: float = 120.0
    max_cost: float | None = None
    prices: str | Path | None = None
    journal: str | Path | None = None
    dry_run: bool = False
