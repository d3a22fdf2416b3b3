"""READ THIS FIRST. From raw feedback to a pair file: what `margintool score` does.

    read -> layout -> source -> orient -> spill       first pass, row by row of the input
    select, fit the normaliser, solve gamma           on numbers only
    spill -> margin, p_chosen -> pair file            second pass, no second parse

The text is never held in memory, only about 40 bytes of numbers per pair. The steps are in
plan.py, canonical_stream.py, first_pass.py, select.py and, for the file, mmpo_core.pair_file.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from margintool import normalize
from margintool.canonical_stream import canonical_pairs
from margintool.first_pass import FirstPass, first_pass
from margintool.plan import Plan, make_plan
from margintool.progress import Progress, no_progress
from margintool.rejects import Rejects
from margintool.score_options import ScoreOptions
from margintool.select import KEPT, VERDICTS, select
from margintool.storage import Spill, prefetch, workspace
from margintool.summary import ScoreSummary, quantiles
from mmpo_core.bradley_terry import probability, solve_gamma
from mmpo_core.errors import InputError
from mmpo_core.options import takes_options
from mmpo_core.pair_file import PairWriter, publish
from mmpo_core.schema import SCHEMA_VERSION


def run_score(options: ScoreOptions, progress: Progress = no_progress) -> ScoreSummary:
    """Score raw feedback into a pair file; see ScoreOptions for every choice.

    Returns:
        The counts and statistics that the command prints.

    Raises:
        InputError: if an option or the input is wrong, or no usable pair is left. The output is
            then as it was before; rejects are written if there are any.
    """
    plan = make_plan(options)
    with workspace(plan.out) as folder, Rejects(folder) as rejects, Spill(folder) as spill:
        pairs = canonical_pairs(plan, folder, rejects, progress)
        found = first_pass(plan, pairs, spill, rejects)
        verdicts = select(found, options, plan.max_pairs_per_prompt)
        margins = found.margin_raw[verdicts == KEPT]
        if not margins.size:
            raise _nothing_left(plan, found, rejects, verdicts)
        normalizer = normalize.fit(options.normalize, margins, plan.widest_gap)
        gamma = _gamma(options, normalize.apply(normalizer, margins))
        targets = probability(normalize.apply(normalizer, margins), gamma)
        counts = _counts(found, verdicts, rejects)
        fitted = {"normalizer": asdict(normalizer), **_gamma_facts(options, gamma, targets)}
        metadata, made = _metadata(plan, counts, fitted), folder / "pairs.parquet"
        with PairWriter(made, metadata, name=plan.out) as writer:
            second_pass(spill, verdicts, normalizer, gamma, plan, rejects, writer.write, progress)
        rejects.move_to(plan.rejects)
        publish(made, plan.out)
    return ScoreSummary(
        out=plan.out,
        rejects=plan.rejects if counts["rejected"] else None,
        source=plan.source.name,
        layout=plan.layout.name,
        margin=plan.settings.margin,
        normalizer=normalizer.name,
        margin_quantiles=quantiles(margins),
        gamma=gamma,
        mean_target=float(targets.mean()),
        **counts,
    )


score = takes_options(ScoreOptions)(run_score)


def second_pass(
    spill: Spill,
    verdicts: np.ndarray[Any, np.dtype[np.uint8]],
    normalizer: normalize.Normalizer,
    gamma: float,
    plan: Plan,
    rejects: Rejects,
    write: Callable[[pa.Table], None],
    progress: Progress,
) -> None:
    """Read the spilled pairs again, write those kept with margin and p_chosen, reject the rest."""
    progress.start("writing", len(verdicts))
    row = 0
    for table in prefetch(spill.batches()):
        verdict = verdicts[row : row + table.num_rows]
        row += table.num_rows
        for code in np.unique(verdict[verdict != KEPT]).tolist():
            rejects.add(table.filter(pa.array(verdict == code)), VERDICTS[code])
        kept = table if (verdict == KEPT).all() else table.filter(pa.array(verdict == KEPT))
        margin = normalize.apply(normalizer, kept.column("margin_raw").to_numpy())
        kept = kept.append_column("margin", pa.array(margin))
        kept = kept.append_column("p_chosen", pa.array(probability(margin, gamma)))
        write(kept.append_column("source", pa.repeat(plan.source.name, kept.num_rows)))
        progress.advance(table.num_rows)


def _gamma(options: ScoreOptions, margins: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return solve_gamma(margins, options.agreement) if options.gamma == "auto" else options.gamma


def _gamma_facts(
    options: ScoreOptions, gamma: float, targets: np.ndarray[Any, np.dtype[np.float64]]
) -> dict[str, Any]:
    """Return gamma as JSON can hold it, how it was chosen, and the mean target it gives."""
    return {
        "gamma": gamma if np.isfinite(gamma) else "inf",
        "gamma_from": f"agreement {options.agreement}" if options.gamma == "auto" else "given",
        "mean_target": float(targets.mean()),
    }


def _counts(
    found: FirstPass, verdicts: np.ndarray[Any, np.dtype[np.uint8]], rejects: Rejects
) -> dict[str, Any]:
    kept = verdicts == KEPT
    dropped = {
        VERDICTS[code]: int(count)
        for code, count in enumerate(np.bincount(verdicts, minlength=len(VERDICTS)))
        if code != KEPT and count
    }
    return {
        "read": found.rows_read,
        "kept": int(kept.sum()),
        "ties": int((found.margin_raw[kept] == 0).sum()),
        "flipped": int(found.flipped[kept].sum()),
        "rejected": dict(sorted({**rejects.counts, **dropped}.items())),
    }


def _metadata(plan: Plan, counts: dict[str, Any], fitted: dict[str, Any]) -> dict[str, Any]:
    from margintool import __version__

    options = json.loads(json.dumps(asdict(plan.options), default=str))
    if options["gamma"] == float("inf"):
        options["gamma"] = "inf"
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "source": plan.source.name,
        "layout": plan.layout.name,
        "margin": plan.settings.margin,
        "unit": plan.source.unit[plan.settings.margin],
        "options": options,
        "input": {"description": plan.input.description, "fingerprint": plan.input.fingerprint()},
        "counts": counts,
        **fitted,
    }


def _nothing_left(
    plan: Plan, found: FirstPass, rejects: Rejects, verdicts: np.ndarray[Any, np.dtype[np.uint8]]
) -> InputError:
    """Return the error for an input without a usable pair, after keeping its rejects."""
    if not found.rows_read:
        return InputError(f"{plan.input.description}: no rows")
    rejected = _counts(found, verdicts, rejects)["rejected"]
    rejects.move_to(plan.rejects)
    reasons = ", ".join(f"{reason} {count}" for reason, count in rejected.items())
    return InputError(
        f"{plan.input.description}: no usable pair in {found.rows_read} rows ({reasons}). "
        f"Rows that could not be read are listed in {plan.rejects}"
    )
