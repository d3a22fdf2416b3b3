"""`margintool presets`: the published recipes of `train`, from mmpo_core.presets."""

import typer


def presets_command() -> None:
    """List the published recipes that `margintool train --preset` knows, with their options.

    Example: margintool presets
    """
    from mmpo_core.presets import PRESETS

    for name, preset in PRESETS.items():
        options = ", ".join(f"{key} {value}" for key, value in preset.options.items())
        typer.echo(f"{name}\n  {preset.about}\n  {options}\n")
