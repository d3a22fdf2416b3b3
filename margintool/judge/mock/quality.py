"""What the stand-in judge thinks of an answer: more distinct words, a higher rating.

Pure functions of the answer's text. Tests call them to know the right margin without the server.
"""

import math
import re
from hashlib import blake2b

from margintool.judge.task import STRENGTHS

# So many distinct words, or more, get the highest rating.
FULL_WORDS = 511

# The stand-in's models, by name.
MODELS: dict[str, str] = {
    "mock-judge": "the more distinct words, the better",
    "mock-judge-strict": "one point lower; in pair mode it wants twice the gap for each strength",
    "mock-judge-noisy": "up to one point off, by a hash of the answer",
}

# Pair mode: the least gap, as a share of the quality scale, for each strength. Below: a tie.
_GAPS = {"much better": 0.2, "better": 0.08, "slightly better": 0.02}
_JITTER = 0.05  # of the quality scale: draws of a pair differ by up to so much
_SPREAD = 0.7  # points: how far the token probabilities of a rating spread around it


def mock_share(answer: str) -> float:
    """Return the quality in [0, 1]: log2(1 + distinct words), 1 from 511 words on."""
    words = len(set(re.findall(r"\w+", answer.casefold())))
    return min(1.0, math.log2(1 + words) / math.log2(1 + FULL_WORDS))


def mock_exact(
    answer: str,
    scale: tuple[float, float] = (1.0, 10.0),
    *,
    model: str = "mock-judge",
    aspect: str | None = None,
    draw: int = 0,
) -> float:
    """Return the rating before it is rounded to a whole number, on the scale.

    Args:
        answer: the answer's text.
        scale: lowest and highest rating.
        model: one of MODELS.
        aspect: moves the rating by -1, 0 or 1, by a hash of the aspect and the answer.
        draw: draws after the first (0) move it by -1, 0 or 1 as well.
    """
    low, high = scale
    exact = low + mock_share(answer) * (high - low)
    if model == "mock-judge-strict":
        exact -= 1.0
    if model == "mock-judge-noisy":
        exact += 2.0 * _fraction("noise", answer) - 1.0
    if aspect is not None:
        exact += int(3 * _fraction("aspect", aspect, answer)) - 1
    if draw:
        exact += int(3 * _fraction("draw", str(draw), answer)) - 1
    return min(high, max(low, exact))


def mock_quality(
    answer: str,
    scale: tuple[float, float] = (1.0, 10.0),
    *,
    model: str = "mock-judge",
    aspect: str | None = None,
    draw: int = 0,
) -> float:
    """Return the rating that the stand-in gives: `mock_exact`, rounded half up."""
    return float(rounded(mock_exact(answer, scale, model=model, aspect=aspect, draw=draw)))


def rounded(exact: float) -> int:
    """Return the whole rating that is said for an exact one: half up."""
    return math.floor(exact + 0.5)


def rating_probabilities(exact: float, scale: tuple[float, float]) -> dict[int, float]:
    """Return rating -> probability for every whole rating on the scale, around `exact`."""
    ratings = range(math.ceil(scale[0]), math.floor(scale[1]) + 1)
    weights = {r: math.exp(-(((r - exact) / _SPREAD) ** 2)) for r in ratings}
    total = sum(weights.values())
    return {r: weight / total for r, weight in weights.items()}


def mock_gap(
    first: str,
    second: str,
    *,
    model: str = "mock-judge",
    position_bias: float = 0.0,
    draw: int = 0,
) -> float:
    """Return how much better the answer shown first is, as a share of the quality scale.

    Args:
        first: the answer shown first, A.
        second: the answer shown second, B.
        model: one of MODELS.
        position_bias: share of the quality scale that the first answer gains.
        draw: draws after the first (0) move the gap by up to 0.05 of the scale.
    """
    gap = mock_share(first) - mock_share(second) + position_bias
    if model == "mock-judge-strict":
        gap /= 2.0
    if model == "mock-judge-noisy":
        gap += _JITTER * 2.0 * (_fraction("noise", first) - _fraction("noise", second))
    if draw:
        gap += _JITTER * (2.0 * _fraction("draw", str(draw), first, second) - 1.0)
    return gap


def verdict_of(gap: float) -> tuple[str, str, float]:
    """Return the verdict on a gap: the winner, how much better it is, the signed strength.

    Returns:
        ("A" or "B" or "tie", a name in task.STRENGTHS or "equal", the strength: > 0 for A).
    """
    for strength, least in _GAPS.items():
        if abs(gap) >= least:
            value = STRENGTHS[strength]
            return ("A", strength, value) if gap > 0 else ("B", strength, -value)
    return "tie", "equal", 0.0


def mock_verdict(
    first: str,
    second: str,
    *,
    model: str = "mock-judge",
    position_bias: float = 0.0,
    draw: int = 0,
) -> tuple[str, str, float]:
    """Return the stand-in's verdict on two answers: `verdict_of` their `mock_gap`."""
    return verdict_of(mock_gap(first, second, model=model, position_bias=position_bias, draw=draw))


def winner_probabilities(gap: float) -> dict[str, float]:
    """Return A, B, tie -> probability; the likeliest is the winner in `verdict_of(gap)`."""
    edge = _GAPS["slightly better"]
    weights = {"A": gap, "B": -gap, "tie": edge}
    powers = {winner: math.exp(weight / _JITTER) for winner, weight in weights.items()}
    total = sum(powers.values())
    return {winner: power / total for winner, power in powers.items()}


def _fraction(*parts: str) -> float:
    """Return a number in [0, 1), fixed by the texts."""
    digest = blake2b("\x1f".join(parts).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
