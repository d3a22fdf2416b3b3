"""How a finished demo looks in the terminal. Reads results.json's content, computes nothing new."""

from typing import Any

from margintool.demo.outcome import MEASURES
from margintool.demo.results import Results
from mmpo_core.interval_words import interval


def print_results(results: Results) -> None:
    """Print the table of both arms, their differences, the conclusion and the commands."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print()
    console.print(_table(results))
    console.print(_majority_note(results), style="dim")
    console.print(_gamma_note(results), style="dim")
    console.print()
    console.print(results["conclusion"], style="bold")
    console.print(
        '"Better" and "worse" are said only where two 95% intervals of the difference leave out 0: '
        "over training seeds (t) and over held-out prompts (bootstrap). Seeds change the models' "
        "first weights and the order of pairs; the votes are the same. --seed N simulates others.",
        style="dim",
    )
    console.print("\nThe same by hand:")
    for command in results["commands"]:
        console.print(f"  {command}", soft_wrap=True, markup=False)


def _table(results: Results) -> Any:
    from rich.table import Table

    seeds = len(results["settings"]["training_seeds"])
    table = Table(
        title=f"Simulated votes: {results['training_pairs']} training pairs, "
        f"{results['heldout_pairs']} held out, "
        + (f"mean ± sd of {seeds} seeds" if seeds > 1 else "one seed"),
        title_justify="left",
    )
    table.add_column("")
    for measure in MEASURES.values():
        arrow = "↑" if measure.higher_is_better else "↓"
        table.add_column(f"{measure.label} {arrow}", justify="right")
    for arm in results["arms"].values():
        table.add_row(arm["label"], *(_mean_sd(arm, name) for name in MEASURES))
    table.add_row(
        "always 0.5", *(f"{results['always_one_half'][name]:.3f}" for name in MEASURES), style="dim"
    )
    table.add_section()
    found = results["differences"]
    table.add_row("difference", *(f"{found[name]['mean']:+.3f}" for name in MEASURES))
    for label, key in (("seeds", "interval_over_seeds"), ("prompts", "interval_over_prompts")):
        cells = (_interval(found[name][key]) for name in MEASURES)
        table.add_row(f"  95%, {label}", *cells, style="dim")
    table.add_row("verdict on MMPO", *(found[name]["verdict"] for name in MEASURES))
    return table


def _mean_sd(arm: dict[str, Any], name: str) -> str:
    sd = arm["sd"][name]
    return f"{arm['mean'][name]:.3f}" + ("" if sd is None else f" ± {sd:.3f}")


def _interval(bounds: list[float] | None) -> str:
    low, high = bounds or (None, None)
    return interval(low, high, "{:+.3f}".format)


def _gamma_note(results: Results) -> str:
    """Say how the demo's targets differ from those of the defaults."""
    return (
        "MMPO targets here are the shares of the votes (gamma 1 on the log ratio), "
        f"{results['mean_target']:.3f} on average. The defaults of `margintool score` aim at 0.75: "
        f"gamma {results['gamma_of_the_defaults']:.2f} on the same margins."
    )


def _majority_note(results: Results) -> str:
    """Say what hard labels aim at, with the numbers: not one voter's choice but the majority's."""
    against = ", ".join(
        f"{arm['label']} {arm['mean']['majority_ece']:.3f}" for arm in results["arms"].values()
    )
    return (
        "Truth here is the probability that one voter prefers an answer. Hard labels aim at the "
        f"majority's verdict instead; ECE against held-out majorities: {against}."
    )
