"""The criteria that judges go by unless a user brings their own, and the files users bring.

Read by prompts.py.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from margintool.judge.task import Mode
from mmpo_core.errors import InputError, lookup

_GOOD_ANSWER = """\
- Does it do what was asked, all of it, in the form that was asked for?
- Is it right: facts, reasoning, results, code?
- Is it useful: does it give what this person needs, at the depth that they need?
- Is it honest about what it does not know, and free of harm?
- Is it clear, well ordered and no longer than it has to be?"""

RUBRICS: dict[Mode, str] = {"single": _GOOD_ANSWER, "pair": _GOOD_ANSWER, "aspects": ""}

# UltraFeedback's aspects (arXiv 2310.01377), defined in other words than its own.
DEFINITIONS: dict[str, str] = {
    "instruction_following": (
        "Does the answer do what was asked: the goal behind the request, and every stated limit "
        "of form, length, style or content?"
    ),
    "truthfulness": (
        "Is what it states true, and consistent with itself, with the request and with what is "
        "generally known? Invented facts, sources or results weigh most."
    ),
    "honesty": (
        "Does it show how sure it is: firm where it has grounds, open about doubt where it has "
        "none, and never sure of what is wrong? Saying that something is unknown is honest."
    ),
    "helpfulness": (
        "Does it bring the person further: relevant, complete enough, clear, and of real use for "
        "what they want to do?"
    ),
}

# Names stand in JSON keys and at the start of reply lines.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def read_rubric(path: Path) -> str:
    """Return the criteria in a text file.

    Raises:
        InputError: for a file that cannot be read or is empty.
    """
    text = _read(path).strip()
    if not text:
        raise InputError(f"{path}: the rubric is empty")
    return text


def read_definitions(path: Path) -> dict[str, str]:
    """Return aspect -> definition from a YAML file, in the file's order.

    Raises:
        InputError: naming file and line, for anything but a mapping of names to texts.
    """
    import yaml

    try:
        root = yaml.compose(_read(path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(root, yaml.MappingNode) or not root.value:
        raise InputError(f"{path}: expected lines of `aspect: definition`")
    found: dict[str, str] = {}
    for key, value in root.value:
        where = f"{path}, line {key.start_mark.line + 1}"
        name, text = _text(key, where), _text(value, where).strip()
        if not _NAME.fullmatch(name):
            raise InputError(f"{where}: {name!r} is no name: letters, digits, _ and -, up to 64")
        if name.casefold() in {known.casefold() for known in found}:
            raise InputError(f"{where}: aspect {name!r} stands twice")
        if not text:
            raise InputError(f"{where}: aspect {name!r} has no definition")
        found[name] = text
    return found


def chosen_aspects(definitions: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the named aspects' definitions, or all if no name is given.

    Raises:
        InputError: for a name without a definition, or one given twice.
    """
    if len(set(names)) < len(names):
        raise InputError(f"an aspect is named twice: {', '.join(names)}")
    return {name: lookup("aspect", name, definitions) for name in names} or definitions


def _text(node: Any, where: str) -> str:
    value = getattr(node, "value", None)
    if not isinstance(value, str):
        raise InputError(f"{where}: expected `aspect: definition`, two texts")
    return value


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text file ({error})") from error
