"""sweep.json, sweep.csv and sweep.png: a sweep's results on disk. Read by sweeping.py."""

import csv
from typing import TYPE_CHECKING, Any

from mmpo_core.pair_file import whole_file
from mmpo_core.run_folder import write_json
from mmpo_core.run_record import versions
from mmpo_core.sweep.options import lists_of
from mmpo_core.sweep.plot import plot_sweep
from mmpo_core.sweep.results import Best, total_tokens

if TYPE_CHECKING:
    from mmpo_core.sweep.sweeping import SweepResult

SWEEP_FILE = "sweep.json"


def write_results(result: "SweepResult", *, drawn: bool = True) -> None:
    """Write a sweep's files, each whole or not at all.

    Args:
        result: all runs, done or not.
        drawn: whether the plot is wanted too.
    """
    write_json(result.folder / SWEEP_FILE, _content(result))
    with whole_file(result.folder / "sweep.csv") as temporary, temporary.open("w", newline="") as f:
        writer = csv.DictWriter(f, list(result.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(result.rows)
    if drawn:
        plot_sweep(result, result.folder / "sweep.png")


def _content(result: "SweepResult") -> dict[str, Any]:
    plan = result.plan
    options = plan.options
    return {
        "arguments": options.to_dict() | lists_of(options),
        "pairs": plan.pairs,
        "held_out_prompts": plan.held_out_prompts,
        "targets_of_held_out_pairs": options.to_dict()["eval_gamma"],
        "file_gamma": "inf" if plan.file_gamma == float("inf") else plan.file_gamma,
        "forward_tokens": total_tokens(result.rows),
        "best_by_nll": _best(result.best),
        "settings": [one.to_dict() for one in result.settings],
        "runs": result.rows,
        "versions": versions(),
    }


def _best(best: Best | None) -> dict[str, Any] | None:
    if best is None:
        return None
    close = None if best.close is None else [vars(one) for one in best.close]
    return {"setting": vars(best.setting), "within_seeds_spread": close}
