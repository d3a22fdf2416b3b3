"""READ THIS FIRST. From raw feedback to a pair file: what `margintool score` does.

    [ask judges, or embed answers]                    what a source looks up: preparing.py
    read -> layout -> source -> orient -> spill       first pass, batch by batch of the input
    select, fit the normaliser, solve gamma           on numbers only
    spill -> margin, p_chosen -> pair file            second pass, no second parse

The text is never held in memory, only about 40 bytes of numbers per pair. Each step is a file
of its own, in the order of the calls below.
"""

from collections import deque

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from margintool.canonical_stream import canonical_pairs
from margintool.first_pass import first_pass
from margintool.fitting import Fitted, fit_margins
from margintool.plan import Plan, make_plan
from margintool.preparing import prepared
from margintool.progress import Progress, no_progress
from margintool.rejects import Rejects
from margintool.score_options import ScoreOptions
from margintool.second_pass import kept_pairs
from margintool.select import KEPT, select
from margintool.storage import Spill, workspace
from margintool.summary import (
    Counts,
    ScoreSummary,
    count,
    metadata,
    no_gamma,
    nothing_left,
    summarize,
)
from mmpo_core.errors import InputError, UnfinishedError
from mmpo_core.options import takes_options
from mmpo_core.pair_file import PairWriter, publish


def run_score(options: ScoreOptions, progress: Progress = no_progress) -> ScoreSummary:
    """Score raw feedback into a pair file; see ScoreOptions for every choice.

    Returns:
        The counts and statistics that the command prints.

    Raises:
        InputError: if an option or the input is wrong, or no usable pair is left. The output is
            then as it was before; rejects are written if there are any.
    """
    with (
        prepared(make_plan(options), progress) as plan,
        workspace(plan.out) as folder,
        Rejects(folder) as rejects,
        Spill(folder) as spill,
    ):
        found = first_pass(plan, canonical_pairs(plan, folder, rejects, progress), spill, rejects)
        verdicts = select(found, options, plan.max_pairs_per_prompt)
        counts = count(found, verdicts, rejects.counts)
        pairs = kept_pairs(spill, verdicts, rejects, progress)
        margins = found.margin_raw[verdicts == KEPT]
        try:
            fitted = _fitted(plan, counts, margins)
        except (InputError, UnfinishedError):
            deque(pairs, maxlen=0)  # nothing to write, but every drop goes to the rejects
            rejects.move_to(plan.rejects)
            raise
        made, source = folder / "pairs.parquet", plan.source.name
        about = metadata(plan, counts, fitted)
        with PairWriter(made, about, name=plan.out, further=found.further) as writer:
            for table in pairs:
                named = table.append_column("source", pa.repeat(source, table.num_rows))
                writer.write(fitted.complete(named))
        rejects.move_to(plan.rejects)
        publish(made, plan.out)
    return summarize(plan, counts, fitted, margins)


def _fitted(plan: Plan, counts: Counts, margins: npt.NDArray[np.float64]) -> Fitted:
    """Fit the normaliser and gamma to (N,) kept margins, or say why there are none that fit."""
    if not counts.kept:
        raise nothing_left(plan, counts)
    options = plan.options
    try:
        return fit_margins(
            margins,
            name=options.normalize,
            widest=plan.widest_gap,
            gamma=options.gamma,
            agreement=options.agreement,
        )
    except InputError as error:
        raise no_gamma(plan, counts, error) from None


score = takes_options(ScoreOptions)(run_score)
