"""The expected rating over the probabilities of the rating's tokens, instead of the one drawn.

A judge that says 8 with probability 0.6 and 9 with 0.4 means 8.4. G-Eval (arXiv 2303.16634,
equation 1) weights ratings by their probabilities, alpaca_eval's weighted annotators do it with
the winner's token. Read by parse.py.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from margintool.judge.reading.found import Found, Reading
from margintool.judge.task import Task

# Below this much probability on ratings, the tokens say something else: the reply is read as is.
LEAST_MASS = 0.5
# From this much probability on a sign on, the number behind it matters, which is not known.
SIGN_MASS = 0.01
_AROUND = " \t\r\n[]{}()*_`\"':,"
_MINUS = ("-", "−", "–")
# How a tie begins, as one token or as its first.
_TIE = ("tie", "Tie", "TIE", "ti", "Ti", "t", "T", "C")


@dataclass(frozen=True)
class Token:
    """One token of a reply.

    Args:
        start, end: its place in the reply's UTF-8.
        entry: what the server says of it.
    """

    start: int
    end: int
    entry: Mapping[str, Any]

    @property
    def core(self) -> str:
        """Its text without what surrounds a rating."""
        return str(self.entry["token"]).strip(_AROUND)

    def chances(self) -> dict[str, float]:
        """Return core -> probability of the likeliest tokens in its place; empty if not given."""
        others = self.entry.get("top_logprobs")
        if not isinstance(others, list) or not others:
            return {}
        by_token: dict[str, float] = {}
        for other in (*filter(_is_token, others), self.entry):
            logprob = other.get("logprob")
            # Above 0 by rounding at most; far below is a server's way to say never.
            if isinstance(logprob, int | float) and -1e4 < logprob <= 0.01:
                by_token.setdefault(other["token"], min(math.exp(logprob), 1.0))
        chances: dict[str, float] = {}
        for token, chance in by_token.items():
            core = token.strip(_AROUND)
            chances[core] = chances.get(core, 0.0) + chance
        return chances


def expected_values(
    found: Found, task: Task, content: str, logprobs: Any
) -> dict[str, float] | None:
    """Return each reading's expected value, or None where log-probabilities do not give them all.

    Args:
        found: the verdict as read in `content`.
        task: what was asked for.
        content: the reply's text.
        logprobs: the choice's `logprobs`, any JSON.
    """
    tokens = _tokens(content, logprobs)
    values: dict[str, float] = {}
    for name, reading in found.readings.items():
        value = None if not tokens else _expected(reading, task, content, tokens)
        if value is None:
            return None
        values[name] = value
    return values


def _expected(reading: Reading, task: Task, content: str, tokens: Sequence[Token]) -> float | None:
    if reading.span is None:
        return None
    start, end = (len(_utf8(content[:place])) for place in reading.span)
    at = next((i for i, token in enumerate(tokens) if token.start <= start < token.end), None)
    if at is None:
        return None
    if task.mode == "pair":
        return _expected_winner(reading, tokens[at])
    written = content[slice(*reading.span)]
    covered = "".join(token.core for token in tokens[at:] if token.start < end)
    if not re.fullmatch("[0-9]+", written) or covered != written:
        return None  # 7.5, or a token that goes on beyond the number
    if task.scale[0] < 0 and _sign_chance(tokens[max(at - 1, 0) : at + 1]) >= SIGN_MASS:
        return None
    return _mean(_ratings(task, tokens[at : at + 2]))


def _sign_chance(tokens: Sequence[Token]) -> float:
    """Return how likely the rating would have begun with a minus, in its token or the one before.

    That one may hold the brackets, and `[[-` in place of `[[` is a sign too.
    """
    chances = [token.chances() for token in tokens]
    return max(sum(p for core, p in each.items() if core[:1] in _MINUS) for each in chances)


def _expected_winner(reading: Reading, token: Token) -> float | None:
    """(P(A) - P(B)) times the stated strength, 1 for a tie."""
    chances = token.chances()
    first, second = chances.get("A", 0.0), chances.get("B", 0.0)
    mass = first + second + sum(chances.get(word, 0.0) for word in _TIE)
    if token.core not in ("A", "B", *_TIE) or mass < LEAST_MASS:
        return None
    return (first - second) / mass * (abs(reading.value) or 1.0)


def _mean(chances: Mapping[int, float]) -> float | None:
    mass = sum(chances.values())
    if mass < LEAST_MASS:
        return None
    return sum(rating * chance for rating, chance in chances.items()) / mass


def _ratings(task: Task, tokens: Sequence[Token]) -> dict[int, float]:
    """Return rating -> probability, for the whole numbers on the scale.

    Where ratings of two digits are one token, each token is a rating. Where digits are tokens of
    their own, the first may be the start of a longer rating: P(10) = P("1") P("0" after "1") and
    P(1) = P("1") (1 - P(a digit after "1")), known only for the first digit that was drawn. That
    of another such digit is left out.
    """
    first, following = tokens[0], tokens[1:]
    likely = first.chances()
    low, high = math.ceil(max(task.scale[0], 0)), math.floor(task.scale[1])
    valid = {str(n): n for n in range(low, min(high, 1000) + 1)}
    whole = any(len(core) > 1 and core in valid for core in likely)
    chances = dict.fromkeys(valid.values(), 0.0)
    for core, chance in likely.items():
        if not re.fullmatch("[0-9]+", core):
            continue
        longer = [text for text in valid if text != core and text.startswith(core)]
        if whole or not longer:
            if core in valid:
                chances[valid[core]] += chance
        elif core == first.core and following:
            _add_continued(chances, chance, core, following[0].chances(), valid)
    return chances


def _add_continued(
    chances: dict[int, float],
    chance: float,
    core: str,
    following: Mapping[str, float],
    valid: Mapping[str, int],
) -> None:
    digits = {text: p for text, p in following.items() if re.fullmatch("[0-9]+", text)}
    for text, p in digits.items():
        if core + text in valid:
            chances[valid[core + text]] += chance * p
    if core in valid:
        chances[valid[core]] += chance * max(1.0 - sum(digits.values()), 0.0)


def _tokens(content: str, logprobs: Any) -> list[Token]:
    """Return the reply's tokens with their places; none where they do not spell the reply."""
    entries = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(entries, list) or not all(map(_is_token, entries)):
        return []
    pieces = [_piece(entry) for entry in entries]
    # Servers trim the text, or keep the closing token among the log-probabilities.
    shift = b"".join(pieces).find(_utf8(content))
    if shift < 0:
        return []
    tokens, at = [], -shift
    for entry, piece in zip(entries, pieces, strict=True):
        tokens.append(Token(at, at + len(piece), entry))
        at += len(piece)
    return tokens


def _is_token(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("token"), str)


def _piece(entry: Mapping[str, Any]) -> bytes:
    raw = entry.get("bytes")
    if isinstance(raw, list) and all(type(b) is int and 0 <= b < 256 for b in raw):
        return bytes(raw)
    return _utf8(entry["token"])


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
