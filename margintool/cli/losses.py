"""`margintool losses`: the losses of `train`, from mmpo_core.losses."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmpo_core.losses import Loss

_HEADINGS = {
    "policy": "Policies: h = beta * [s(chosen) - s(rejected)], s = log pi - log ref",
    "reward": "Reward models (--objective reward): h = r(chosen) - r(rejected)",
}
_NOTES = (
    "m is the pair's margin, p = sigma(gamma m) its target.",
    "--sft-weight W adds W times the chosen answer's mean negative log-prob per token to a "
    "policy's loss.",
    "--center-rewards C adds C times the square of r(chosen) + r(rejected) to a reward model's.",
)
_READS = {None: "margin not read", "target": "reads p", "target_gap": "reads gamma m"}


def losses_command() -> None:
    """List the losses of `margintool train`: equation, what they read, options, and source.

    Example: margintool losses
    """
    from rich.console import Console
    from rich.table import Table

    from mmpo_core.losses import OBJECTIVES

    console = Console(highlight=False, markup=False)
    for objective, losses in OBJECTIVES.items():
        console.print(_HEADINGS[objective], style="bold")
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, loss in losses.items():
            facts = "; ".join(_facts(objective, loss))
            table.add_row(name, f"{loss.equation}\n{facts}\n{loss.source}")
        console.print(table)
        console.print()
    console.print("\n".join(_NOTES))


def _facts(objective: str, loss: "Loss") -> Iterator[str]:
    yield _READS[loss.reads]
    if objective == "policy":
        yield "no reference (s = log pi)" if loss.reference_free else "needs a reference"
        yield "mean over tokens" if loss.length_normalised else "sum over tokens"
        yield f"--beta={loss.beta:g}"
    for name, value in loss.options.items():
        yield f"--{name.replace('_', '-')}={value:g}"
