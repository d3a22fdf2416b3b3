"""Help with options under headings, for commands with many. Read by margintool/cli/__init__.py."""

from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand


def grouped(command: Callable[..., None]) -> type[TyperCommand]:
    """Return the command class that shows a command's options under its `headings`, if any."""
    headings: dict[str, str] = getattr(command, "headings", {})
    order: list[str] = getattr(command, "sections", [])

    class Grouped(TyperCommand):
        def format_options(self, ctx: Any, formatter: Any) -> None:
            """Write arguments and options, those without a heading first."""
            sections: dict[str, list[tuple[str, str]]] = {
                name: [] for name in ("Arguments", "Options", *order)
            }
            for parameter in self.get_params(ctx):
                record = parameter.get_help_record(ctx)
                if record is not None:
                    heading = headings.get(parameter.name or "", "Options")
                    if parameter.param_type_name == "argument":
                        heading = "Arguments"
                    sections[heading].append(record)
            for heading, records in sections.items():
                if records:
                    with formatter.section(heading):
                        formatter.write_dl(records)

    return Grouped if headings else TyperCommand
