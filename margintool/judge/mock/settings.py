"""The options of `margintool judge mock-server`: name, default and help text, once."""

from dataclasses import dataclass
from typing import Literal

Fate = Literal["completed", "expired", "cancelled", "failed"]


@dataclass(frozen=True, kw_only=True)
class MockOptions:
    """How the stand-in judge behaves.

    Args:
        port: Port on this machine; 0 takes a free one.
        api_key: Key that clients must send; any key will do if not given.
        latency: Seconds before each reply.
        faults: Share of requests that go wrong, over all kinds (0.2), or a share for each kind:
            rate-limit, error, slow, reset, malformed (gone after two tries), refusal, filtered,
            truncated, empty, no-verdict, out-of-scale (always the same for a question), as
            rate-limit=0.05,refusal=0.01.
        seed: Which requests go wrong.
        retry_after: Seconds that a rate-limit fault asks to wait.
        slow_seconds: Seconds that a slow fault adds.
        position_bias: Share of the quality scale that the answer shown first gains in pair mode.
        quota: Answers until the quota is used up; no limit if not given.
        structured: Take response_format with a JSON schema.
        logprobs: Take logprobs.
        temperature: Take a temperature other than 1.
        max_completion_tokens: Take max_completion_tokens; else only max_tokens.
        batch_seconds: Seconds that a batch takes; if not given it moves on with each look at it.
        batch_error_share: Share of a batch's requests that end in its error file, the first two
            times that they are sent.
        batch_fate: How the first batch ends; later ones are completed.
        batch_max_requests: Most requests in a batch.
        batch_max_bytes: Most bytes in an uploaded file.
    """

    port: int = 8000
    api_key: str | None = None
    latency: float = 0.0
    faults: str | None = None
    seed: int = 0
    retry_after: float = 0.1
    slow_seconds: float = 2.0
    position_bias: float = 0.0
    quota: int | None = None
    structured: bool = True
    logprobs: bool = True
    temperature: bool = True
    max_completion_tokens: bool = True
    batch_seconds: float | None = None
    batch_error_share: float = 0.0
    batch_fate: Fate = "completed"
    batch_max_requests: int = 50_000
    batch_max_bytes: int = 200_000_000
