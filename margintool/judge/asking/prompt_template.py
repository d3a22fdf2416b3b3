"""Jinja templates of judge prompts: compiled once, rendered fast, errors with file and line.

A template has a block `user` and, if it wants a system message, a block `system`; a template
without blocks is the user's message. It runs in Jinja's sandbox and knows only the variables
that prompts.py gives it. Read by prompts.py alone.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, meta, nodes
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from mmpo_core.errors import InputError, nearest

VARIABLES = (
    "prompt",
    "history",
    "conversation",
    "answer",
    "answer_a",
    "answer_b",
    "reference",
    "rubric",
    "aspects",
    "scale",
    "low",
    "high",
    "structured",
    "fence",
    "fenced",
    "data_notice",
    "reply_format",
)

_ENVIRONMENT = SandboxedEnvironment(
    autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)

Block = Callable[[Context], Iterator[str]]


@dataclass(frozen=True)
class PromptTemplate:
    """A compiled template.

    Args:
        name: the file, for messages.
        compiled: Jinja's template.
        blocks: what renders each message's text, by role, in order.
        uses: the variables that it mentions.
    """

    name: str
    compiled: Template
    blocks: Mapping[str, Block]
    uses: frozenset[str]

    def render(self, variables: Mapping[str, Any]) -> dict[str, str]:
        """Return the text of each message, role -> text.

        Raises:
            InputError: with file and line, for whatever goes wrong in the template.
        """
        context = self.compiled.new_context(dict(variables))
        try:
            return {role: "".join(block(context)).strip() for role, block in self.blocks.items()}
        except Exception as error:  # a template may raise anything, from its filters to 1 / 0
            raise InputError(f"{self._where(error)}: {error}") from error

    def _where(self, error: Exception) -> str:
        steps = traceback.walk_tb(error.__traceback__)
        lines = [
            line for frame, line in steps if frame.f_code.co_filename == self.compiled.filename
        ]
        if not lines:
            return self.name
        return f"{self.name}, line {self.compiled.get_corresponding_lineno(lines[-1])}"


@lru_cache(maxsize=16)
def compile_template(source: str, name: str) -> PromptTemplate:
    """Compile a template's text.

    Args:
        source: the template.
        name: its file, for messages.

    Raises:
        InputError: with file and line, for a syntax error, an unknown variable or block, or a
            tag that would read another file.
    """
    try:
        tree = _ENVIRONMENT.parse(source)
        code = _ENVIRONMENT.compile(tree, name, name)
    except TemplateSyntaxError as error:
        raise InputError(f"{name}, line {error.lineno}: {error.message}") from error
    _refuse_other_files(tree, name)
    uses = frozenset(meta.find_undeclared_variables(tree))
    for unknown in sorted(uses.difference(VARIABLES)):
        line = next(n.lineno for n in tree.find_all(nodes.Name) if n.name == unknown)
        raise InputError(
            f"{name}, line {line}: unknown variable {unknown!r}."
            f"{nearest(unknown, VARIABLES)} Known: {', '.join(VARIABLES)}"
        )
    compiled = Template.from_code(_ENVIRONMENT, code, _ENVIRONMENT.globals)
    return PromptTemplate(name, compiled, _blocks(compiled, name), uses)


def _refuse_other_files(tree: nodes.Template, name: str) -> None:
    for tag in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        kind = type(tag).__name__.lower()
        raise InputError(f"{name}, line {tag.lineno}: a template is one file, without {kind}")


def _blocks(compiled: Template, name: str) -> dict[str, Block]:
    """Return what renders each role's text."""
    if not compiled.blocks:
        return {"user": compiled.root_render_func}
    roles = [role for role in ("system", "user") if role in compiled.blocks]
    unknown = sorted(set(compiled.blocks).difference(roles))
    if unknown or "user" not in roles:
        raise InputError(
            f"{name}: a template has a block 'user' and, if it wants one, a block 'system'; "
            f"this one has {', '.join(sorted(compiled.blocks))}"
        )
    return {role: compiled.blocks[role] for role in roles}
