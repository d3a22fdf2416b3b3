"""Which requests go wrong, and how: fixed by the question, the try and a seed, never by time.

Transport faults hit a request's first tries only, so retries cure them. Content faults belong to
the question: every try gets the same, so a run ends the same whatever interrupts it.
"""

from collections.abc import Mapping
from hashlib import blake2b

from mmpo_core.errors import InputError, lookup

TRANSPORT: dict[str, str] = {
    "rate-limit": "429 with Retry-After",
    "error": "500",
    "slow": "the reply comes later",
    "reset": "the connection is reset in mid-reply",
    "malformed": "200 with JSON that ends early",
}
CONTENT: dict[str, str] = {
    "refusal": "the judge refuses",
    "filtered": "an empty reply, finish_reason content_filter",
    "truncated": "the reply ends early, finish_reason length",
    "empty": "an empty reply",
    "no-verdict": "words without a verdict",
    "out-of-scale": "a rating of 97, or the winner D",
}
KINDS: dict[str, str] = TRANSPORT | CONTENT

# Tries of a request that a transport fault may hit.
FAULTY_TRIES = 2


class FaultPlan:
    """Draws the fault of a question and a try.

    Args:
        shares: kind -> share of requests, each in [0, 1].
        seed: another seed, other requests.
        error_share: share of a batch's requests that fail there.
    """

    def __init__(
        self, shares: Mapping[str, float], seed: int = 0, error_share: float = 0.0
    ) -> None:
        self._transport = {kind: shares.get(kind, 0.0) for kind in TRANSPORT}
        self._content = {kind: shares.get(kind, 0.0) for kind in CONTENT}
        self._batch = {"error": error_share / 2, "request_timeout": error_share / 2}
        self._seed = seed

    def transport(self, question: str, attempt: int) -> str | None:
        """Return the transport fault of a try (0, 1, ...), or None."""
        if attempt >= FAULTY_TRIES:
            return None
        return self._draw(self._transport, question, f"transport {attempt}")

    def content(self, question: str) -> str | None:
        """Return the content fault of a question, or None."""
        return self._draw(self._content, question, "content")

    def batch_error(self, question: str, attempt: int) -> str | None:
        """Return how a batch's request fails at a try: `error`, `request_timeout`, or None."""
        if attempt >= FAULTY_TRIES:
            return None
        return self._draw(self._batch, question, f"batch {attempt}")

    def _draw(self, shares: Mapping[str, float], question: str, what: str) -> str | None:
        text = f"{self._seed} {what} {question}"
        digest = blake2b(text.encode(), digest_size=8).digest()
        left = int.from_bytes(digest, "big") / 2**64
        for kind, share in shares.items():
            if left < share:
                return kind
            left -= share
        return None


def parse_faults(text: str | None) -> dict[str, float]:
    """Return kind -> share from `0.2` (over all kinds alike) or `error=0.1,empty=0.02`.

    Raises:
        InputError: if a kind is unknown, a share no number in [0, 1], or the shares of the
            transport faults or of the content faults add up to more than 1.
    """
    if text is None:
        return {}
    if "=" not in text:
        shares = dict.fromkeys(KINDS, _share(text) / len(KINDS))
    else:
        shares = {}
        for part in text.split(","):
            kind, _, share = part.partition("=")
            lookup("kind of fault", kind.strip(), KINDS)
            shares[kind.strip()] = _share(share)
    for kinds in (TRANSPORT, CONTENT):
        total = sum(shares.get(kind, 0.0) for kind in kinds)
        if total > 1.0:
            raise InputError(f"--faults: shares of {', '.join(kinds)} add up to {total:g}, over 1")
    return shares


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise InputError(
            f"--faults: {text.strip()!r} is no share from 0 to 1. Write a share over all kinds, "
            "as 0.2, or one for each kind, as rate-limit=0.05,refusal=0.01"
        )
    return share
