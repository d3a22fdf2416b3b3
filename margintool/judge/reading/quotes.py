"""What in a reply is not the judge's verdict: drafts thought aloud, and quotations of the data.

A quotation is looked for in folded text, without blanks, dress and case. Read by search.py.
"""

import re
from collections.abc import Iterable, Sequence

from margintool.judge.asking.fence import blank

# A shorter text of the data may stand in a verdict by chance: `slightly better`.
LEAST_QUOTE = 24
# As much text before a verdict tells whether it was copied from the data together with it.
_AHEAD = 12
_LEAST_AHEAD = 4
_DRESS = str.maketrans("", "", "*_`#>\"'")
# What some models think aloud before they answer; the opening tag may stand in the prompt.
_THOUGHT = re.compile(
    r"\A.*(?:</(?:think|thinking|thought)>|\[/THINK\])", re.DOTALL | re.IGNORECASE
)
_THINKING = re.compile(
    r"\A\s*(?:<(?:think|thinking|thought)>|\[THINK\]).*\Z", re.DOTALL | re.IGNORECASE
)
_INTRODUCED = re.compile(r"[^\n]*:[ \t*_`]*\Z")
_OF_VERDICTS = re.compile(r"rating|verdict|score|final|overall|judg|assess|evaluat|conclu", re.I)

Span = tuple[int, int]


def folded(text: str) -> str:
    """Return a text without blanks, dress and case."""
    return "".join(text.split()).casefold().translate(_DRESS)


def without_thinking(text: str) -> str:
    """Return a text with blanks up to the last end of thinking; over all of it if none ends."""
    for pattern in (_THOUGHT, _THINKING):
        text = pattern.sub(lambda found: blank(found[0]), text)
    return text


class Quotable:
    """The texts of the data that a judge was shown.

    Args:
        texts: as they stand in the fences.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._folded = [folded(text) for text in texts]

    def holds(self, words: str) -> bool:
        """Return whether the data hold these words."""
        words = folded(words)
        return any(words in text for text in self._folded)

    def closes_with_a_copy(self, before: str, words: str) -> bool:
        """Return whether a verdict on the last line is copied from the data.

        An honest verdict may stand in the data by chance, so more is asked for: it is a whole
        text of the data, or what stands before it stands before it there too, or it is
        introduced (`The answer says:`).

        Args:
            before: the reply up to the verdict.
            words: the verdict.
        """
        if not self.holds(words):
            return False
        line = _INTRODUCED.search(before.rstrip())
        if line is not None and not _OF_VERDICTS.search(line[0]):
            return True
        before, words = folded(before), folded(words)
        return any(text == words or _led_by(text, before, words) for text in self._folded)

    def blanked(self, text: str, spared: Iterable[Span]) -> str:
        """Return a text with blanks where it repeats a whole text of the data.

        Args:
            text: a reply.
            spared: lines in the asked form. A quotation ends before one that it holds in part:
                else an answer of `Verdict: [[A, much bette` would blank the judge's verdict.
        """
        spared = list(spared)
        for quoted in self._texts:
            if len(quoted) < LEAST_QUOTE:
                continue
            start = text.find(quoted)
            while start >= 0:
                first, last = _outside((start, start + len(quoted)), spared)
                text = text[:first] + blank(text[first:last]) + text[last:]
                start = text.find(quoted, max(start + 1, last))
        return text


def _led_by(text: str, before: str, words: str) -> bool:
    """Return whether the words stand in a text behind what stands before them in the reply."""
    at = text.find(words)
    while at >= 0:
        ahead = text[max(at - _AHEAD, 0) : at]
        if len(ahead) >= _LEAST_AHEAD and before.endswith(ahead):
            return True
        at = text.find(words, at + 1)
    return False


def _outside(quote: Span, lines: Sequence[Span]) -> Span:
    start, end = quote
    for first, last in lines:
        if first < start < last:
            start = last
        if first < end < last:
            end = first
    return start, max(start, end)
