"""What fit.json says: what was asked for, what was fitted to what, and what came of it.

Read by fitting.py; folder.py writes it. The first part is known before training and must be the
same where a fit is resumed.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from margintool.similarity.fit.data import TEST, FitData, Floats
from margintool.similarity.fit.folder import MADE_BY, PREDICTIONS, FitFolder, read_record
from margintool.similarity.fit.kinds import Base
from margintool.similarity.fit.options import FitOptions
from margintool.similarity.fit.targets import QUANTILE
from mmpo_core.errors import InputError

# Do not change what is learnt; pairs and base model are compared by what is in them.
_MAY_DIFFER = ("resume", "overwrite", "out", "device", "pairs", "base_model")


def start_record(
    options: FitOptions, kind: str, base: Base, data: FitData, largest: float
) -> dict[str, Any]:
    """Return fit.json's content as it is known before training."""
    from mmpo_core.run_record import fingerprint, versions

    return {
        "made_by": MADE_BY,
        "status": "unfinished",
        "kind": kind,
        "options": options.as_dict(),
        "base": {
            "model": base.name,
            "fingerprint": base.fingerprint,
            "new_head": base.fresh_head,
        },
        "pairs": {
            "path": str(options.pairs),
            "fingerprint": fingerprint(options.pairs),
            "rows": data.rows,
            "source": data.metadata.get("source"),
            "unit": data.metadata.get("unit"),
        },
        "split": {name: pairs.counts() for name, pairs in data.parts.items()},
        "target": {
            "distance": "min(margin_raw / largest, 1)",
            "largest": largest,
            "quantile": QUANTILE,
        },
        "versions": versions() | {"sentence-transformers": version("sentence-transformers")},
    }


def check_same(folder: FitFolder, record: dict[str, Any]) -> None:
    """Refuse to go on with a fit of other options, pairs or another base model.

    Raises:
        InputError: naming what differs.
    """
    earlier = read_record(folder.work)
    assert earlier is not None  # the folder was checked
    before, now = earlier["options"], record["options"]
    changed = [
        f"--{name.replace('_', '-')} ({before.get(name)} -> {now[name]})"
        for name in now
        if name not in _MAY_DIFFER and before.get(name) != now[name]
    ]
    for part, what in (("pairs", "the content of the pair file"), ("base", "the base model")):
        if earlier[part]["fingerprint"] != record[part]["fingerprint"]:
            changed.append(what)
    if changed:
        raise InputError(
            f"{folder.out}: cannot go on with other options: {', '.join(changed)}. Give those of "
            "the fit, or start again with --overwrite instead of --resume"
        )


def write_predictions(folder: Path, data: FitData, before: Floats, after: Floats) -> None:
    """Write the distances of the test pairs beside the model."""
    test = data.parts[TEST]
    columns = {
        "pair_id": test.table.column("pair_id"),
        "margin_raw": pa.array(test.margin),
        "distance_before": _nullable(before),
        "distance_after": _nullable(after),
    }
    pq.write_table(pa.table(columns), folder / PREDICTIONS, compression="zstd")


def _nullable(distances: Floats) -> pa.Array:
    return pa.array(distances, mask=~np.isfinite(distances))
