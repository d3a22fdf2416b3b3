"""Builds a Typer command from a documented options dataclass, so that nothing is said twice.

Types and defaults come from the dataclass's fields, help texts from the `Args:` part of its
docstring. Only what the user typed reaches `run`: a config file can then rank below it.
Used by score.py and train.py.
"""

import dataclasses
import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

Given = dict[str, Any]


def command_from(
    options_class: type,
    run: Callable[[Given], None],
    *,
    help: str,  # noqa: A002 - Typer's own word
    positional: Sequence[str] = (),
    optional: Sequence[str] = (),
    without: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
    headings: Mapping[type, str] | None = None,
) -> Callable[..., None]:
    """Return a function whose signature Typer turns into a command.

    Args:
        options_class: dataclass with an `Args:` section in its docstring.
        run: called with the fields (and extras) that were given on the command line.
        help: the command's help, with an example.
        positional: fields that are arguments rather than options.
        optional: fields without a default that may still be left out (a config file has them).
        without: fields that are no options of the command.
        extra: further options: name -> Annotated[type, typer.Option(...)]; None when not given.
        headings: base class -> heading under which help shows its options, in the order in which
            help shows them; an option of several is under the first (see grouped_help.py).
    """
    texts = argument_help(options_class)
    hints = get_type_hints(options_class)
    parameters = []
    fields = [one for one in dataclasses.fields(options_class) if one.name not in without]
    musts = {
        field.name: field.default is dataclasses.MISSING and field.name not in optional
        for field in fields
    }
    for field in sorted(fields, key=lambda one: not musts[one.name]):
        must = musts[field.name]
        info = _parameter_info(field, texts[field.name], hints[field.name], positional)
        kind = _cli_type(hints[field.name], required=must)
        annotation = Annotated[kind, info]  # type: ignore[valid-type]
        parameters.append(_parameter(field.name, annotation, required=must))
    parameters += [_parameter(name, kind, required=False) for name, kind in (extra or {}).items()]

    def command(**values: Any) -> None:
        run({k: _from_cli(hints.get(k), v) for k, v in values.items() if v not in (None, [], ())})

    command.__doc__ = help
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.headings = {  # type: ignore[attr-defined]
        name: heading
        for base, heading in reversed(list((headings or {}).items()))
        for name in _own_argument_help(base)
    }
    command.sections = list((headings or {}).values())  # type: ignore[attr-defined]
    return command


def options_of(options_class: type, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return a dataclass's fields as command_from's `extra` takes them, for options of a suite.

    What is typed reaches `run` as Typer parses it: a list where an option repeats.

    Args:
        options_class: dataclass with an `Args:` section in its docstring.
        without: fields that are left out.
    """
    texts, hints = argument_help(options_class), get_type_hints(options_class)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(options_class):
        if field.name not in without:
            hint = hints[field.name]
            info = _parameter_info(field, texts[field.name], hint, ())
            kind = _cli_type(hint, required=False)
            found[field.name] = Annotated[kind, info]
    return found


def argument_help(options_class: type) -> dict[str, str]:
    """Return field -> help text from the `Args:` sections of a dataclass and its bases.

    Raises:
        LookupError: if a field has no text, or a text no field: the docs must be whole.
    """
    classes = [kind for kind in options_class.__mro__ if dataclasses.is_dataclass(kind)]
    # From the bases on: a class may say anew what a field means there.
    return {
        name: text for kind in reversed(classes) for name, text in _own_argument_help(kind).items()
    }


def _own_argument_help(options_class: type) -> dict[str, str]:
    """Return field -> help text of the fields that a dataclass itself declares."""
    doc = (options_class.__doc__ and inspect.cleandoc(options_class.__doc__)) or ""
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)+)", doc, re.MULTILINE)
    entries = re.findall(
        r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section.group(1) if section else "", re.MULTILINE
    )
    texts = {name: " ".join(text.split()) for name, text in entries}
    fields = set(inspect.get_annotations(options_class))
    if fields ^ texts.keys():
        raise LookupError(
            f"{options_class.__name__}: docstring and fields differ: {fields ^ texts.keys()}"
        )
    return texts


def _parameter(name: str, annotation: Any, *, required: bool) -> inspect.Parameter:
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _parameter_info(
    field: "dataclasses.Field[Any]", text: str, hint: Any, positional: Sequence[str]
) -> Any:
    text = text + _default_note(field)
    if field.name in positional:
        return typer.Argument(help=text, show_default=False)
    metavar = "<str>" if _repeats(hint) else None
    if _is_number_or_word(hint):
        metavar = f"<float|{'|'.join(_words(hint))}>"
    return typer.Option(help=text, show_default=False, metavar=metavar)


def _default_note(field: "dataclasses.Field[Any]") -> str:
    default = field.default
    if default is dataclasses.MISSING or default is None or default == ():
        return ""
    shown = ("yes" if default else "no") if isinstance(default, bool) else default
    return f" [default: {shown}]"


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        return rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007
    return hint


def _is_number_or_word(hint: Any) -> bool:
    """Whether the type is a number or one of some words, as in `float | Literal["auto"]`."""
    kinds = get_args(_without_none(hint))
    return any(kind is float for kind in kinds) and any(get_origin(k) is Literal for k in kinds)


def _cli_type(hint: Any, *, required: bool) -> Any:
    """Return the type Typer parses: tuples repeat an option, number-or-word is read as text."""
    kind = _without_none(hint)
    if _repeats(hint):
        kind = list[str]
    elif get_origin(kind) in (Union, types.UnionType):
        kind = str
    return kind if required else kind | None


def _repeats(hint: Any) -> bool:
    """Whether the option may be given several times: its type is, or may be, a tuple[X, ...]."""
    kind = _without_none(hint)
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    return any(get_origin(k) is tuple and get_args(k)[-1] is Ellipsis for k in kinds)


def _from_cli(hint: Any, value: Any) -> Any:
    """Return the value as the dataclass wants it."""
    if hint is None:
        return value
    if _is_number_or_word(hint):
        return _number_or_word(value, hint)
    return tuple(value) if _repeats(hint) else value


def _words(hint: Any) -> list[str]:
    return [w for kind in get_args(hint) if get_origin(kind) is Literal for w in get_args(kind)]


def _number_or_word(text: str, hint: Any) -> Any:
    words = _words(hint)
    if text in words:
        return text
    try:
        return float(text)
    except ValueError:
        choices = " or ".join(repr(word) for word in words)
        raise typer.BadParameter(f"{text!r} is neither a number nor {choices}") from None
