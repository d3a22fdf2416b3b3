"""How a judge is told to answer: the words at the end of a prompt, and the JSON schema's twin.

Read by prompts.py; what comes back is read by parse.py, and schemas.py says the same in JSON.
"""

from margintool.judge.task import STRENGTHS, Task


def reply_format(task: Task, structured: bool) -> str:
    """Return the paragraph that says how to answer.

    Args:
        task: what is asked for.
        structured: whether JSON is asked for, else text with the verdict on its last lines.
    """
    return (_JSON if structured else _TEXT)[task.mode](task)


def bounds(task: Task) -> str:
    """Return the scale in words: `1 to 10`."""
    low, high = task.scale
    return f"{low:g} to {high:g}"


def _single_json(task: Task) -> str:
    return (
        "Reply with one JSON object and nothing else: first `rationale`, your reasons in a few "
        f"sentences, then `rating`, a number from {bounds(task)}:\n"
        '{"rationale": "...", "rating": N}'
    )


def _single_text(task: Task) -> str:
    return (
        "Give your reasons in a few sentences. Then end your reply with one line in exactly this "
        f"form, with a number from {bounds(task)} in place of N:\n"
        "Rating: [[N]]"
    )


def _pair_json(_: Task) -> str:
    strengths = ", ".join(f'"{name}"' for name in STRENGTHS)
    return (
        "Reply with one JSON object and nothing else: first `rationale`, your reasons in a few "
        'sentences, then `winner`, which is "A", "B" or "tie", then `strength`, how much better '
        f'the winner is: {strengths}, or "equal" for a tie:\n'
        '{"rationale": "...", "winner": "...", "strength": "..."}'
    )


def _pair_text(_: Task) -> str:
    verdicts = [f"[[{winner}, {name}]]" for name in STRENGTHS for winner in "AB"]
    lines = "\n".join(f"Verdict: {verdict}" for verdict in (*verdicts, "[[tie]]"))
    return (
        "Give your reasons in a few sentences. Then end your reply with one line, exactly one of "
        f"these:\n{lines}"
    )


def _aspects_json(task: Task) -> str:
    members = ", ".join(f'"{name}": {{"rationale": "...", "rating": N}}' for name in task.aspects)
    return (
        "Reply with one JSON object and nothing else. For each aspect it holds first `rationale`, "
        f"your reasons in a sentence or two, then `rating`, a number from {bounds(task)}:\n"
        f"{{{members}}}"
    )


def _aspects_text(task: Task) -> str:
    lines = "\n".join(f"{name}: [[N]]" for name in task.aspects)
    return (
        "Give your reasons for each aspect in a sentence or two. Then end your reply with these "
        f"lines in exactly this form, with a number from {bounds(task)} in place of each N:\n"
        f"{lines}"
    )


_JSON = {"single": _single_json, "pair": _pair_json, "aspects": _aspects_json}
_TEXT = {"single": _single_text, "pair": _pair_text, "aspects": _aspects_text}
