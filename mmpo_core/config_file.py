"""Options from several places: defaults < preset < configuration file < command line.

A configuration file is YAML with the fields of an options dataclass as keys. Unknown keys and
wrong types are errors that name the line. Read by margintool/cli/train.py.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from mmpo_core.errors import InputError, nearest
from mmpo_core.other_names import names_here
from mmpo_core.typed_values import typed

Options = TypeVar("Options")


def options_from(
    options_class: type[Options],
    given: Mapping[str, Any],
    *,
    config: Path | None = None,
    preset: Mapping[str, Any] | None = None,
    positional: Sequence[str] = (),
) -> Options:
    """Build an options dataclass from what was given; later sources win: preset, config, given.

    Args:
        options_class: the dataclass.
        given: field -> value, as typed.
        config: YAML file of options.
        preset: field -> value of a recipe.
        positional: fields that the command takes as arguments, for what is said of a missing one.

    Raises:
        InputError: for an unknown key, a wrong type, or a required field that nobody gave.
    """
    from_file = read_config(config, options_class) if config is not None else {}
    values = {**(preset or {}), **from_file, **given}
    missing = [
        field.name
        for field in dataclasses.fields(options_class)  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.name not in values
    ]
    if missing:
        flags = " and ".join(
            name.upper() if name in positional else f"--{name}" for name in missing
        )
        raise InputError(
            f"nothing says {' or '.join(missing)}: give {flags} on the command line, or the key "
            f"in a configuration file"
        )
    return options_class(**values)


def read_config(path: Path, options_class: type) -> dict[str, Any]:
    """Read a YAML file of options: field -> value of the field's type.

    Raises:
        InputError: naming file, line and key, for anything that does not fit.
    """
    import yaml

    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text file ({error})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{path}: expected lines of `key: value`, found something else")
    hints = get_type_hints(options_class)
    values: dict[str, Any] = {}
    for key_node, value_node in root.value:
        key, where = str(key_node.value), f"{path}, line {key_node.start_mark.line + 1}"
        if key not in hints:
            here = " or ".join(map(repr, names_here(key, hints)))
            meant = f" It is called {here} here" if here else nearest(key, hints)
            raise InputError(f"{where}: unknown key {key!r}.{meant}")
        if key in values:
            raise InputError(f"{where}: key {key!r} stands twice")
        value = _plain(value_node, where)
        values[key] = typed(value, hints[key], f"{where}: {key}")
    return values


def _plain(node: Any, where: str) -> Any:
    """Return a YAML node as plain Python values."""
    import yaml

    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()
