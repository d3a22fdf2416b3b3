"""Fences: the lines around texts in a judge's prompt that say where data starts and ends.

    <<<ANSWER 3f2a9c0d51e7b846
    the text
    ANSWER 3f2a9c0d51e7b846>>>

The 16 hex digits are secret and differ from request to request, so no text can close its own
fence. Read by templates, by parse.py and by the mock server, which finds the answers with it.
"""

import re
from hashlib import blake2b

LABEL = r"[A-Z][A-Z0-9_]*(?: [A-Z0-9_]+)*"
# A fence is half in front and half behind of dashes where a text itself holds it: see `fenced`.
_HALF = 8
_OPENING = re.compile(rf"<<<({LABEL}) ([0-9a-f]{{16}})\n")


def fence_of(key: str, salt: str) -> str:
    """Return the fence of a request: 16 hex digits that nobody without the salt can foretell.

    Args:
        key: the request's key.
        salt: the journal's secret, any text.
    """
    secret = blake2b(salt.encode(), digest_size=64).digest()
    return blake2b(key.encode(), key=secret, digest_size=8).hexdigest()


def fenced(label: str, text: str, fence: str) -> str:
    """Return `text` between an opening and a closing line.

    A text that holds the fence itself (which only a text made for the purpose does) gets a dash
    into it, and one more where it has dashes there already: it cannot close the fence, and
    `unfenced` takes the dash out again.

    Args:
        label: what the text is, in capitals: PROMPT, CONVERSATION, ANSWER, ANSWER A, ANSWER B,
            REFERENCE, or a template's own.
        text: any text.
        fence: 16 hex digits.

    Raises:
        ValueError: for a label that is not in capitals.
    """
    if not re.fullmatch(LABEL, label):
        raise ValueError(f"a label is words in capitals, as 'ANSWER A', not {label!r}")
    head, tail = fence[:_HALF], fence[_HALF:]
    if head in text:
        text = re.sub(rf"{head}(-*){tail}", rf"{head}-\g<1>{tail}", text)
    return f"<<<{label} {fence}\n{text}\n{label} {fence}>>>"


def unfenced(text: str, fence: str | None = None) -> list[tuple[str, str]]:
    """Return (label, content) of each fenced segment, in order.

    Args:
        text: a message that `fenced` segments were written into.
        fence: only segments with this fence; any fence if None.
    """
    found, at = [], 0
    while opening := _OPENING.search(text, at):
        (label, own), at = opening.groups(), opening.end()
        closing = f"\n{label} {own}>>>"
        end = text.find(closing, at)
        if end < 0:
            continue
        if fence is None or own == fence:
            found.append((label, _undashed(text[at:end], own)))
        at = end + len(closing)
    return found


def _undashed(content: str, fence: str) -> str:
    head, tail = fence[:_HALF], fence[_HALF:]
    if head not in content:
        return content
    return re.sub(rf"{head}-(-*){tail}", rf"{head}\g<1>{tail}", content)


def strip_fenced(reply: str, fence: str) -> str:
    """Return a reply with blanks where it repeats fenced text, every position kept.

    A segment that the reply opens and does not close runs to the reply's end.

    Args:
        reply: what a judge wrote.
        fence: the fence of its request.
    """
    if not fence or fence not in reply:
        return reply
    segment = rf"<<<({LABEL}) {re.escape(fence)}\b.*?(?:\1 {re.escape(fence)}>>>|\Z)"
    return re.sub(segment, lambda found: blank(found[0]), reply, flags=re.DOTALL)


def blank(text: str) -> str:
    """Return blanks in the shape of `text`: as long, with the same line ends."""
    return "\n".join(" " * len(line) for line in text.split("\n"))
