"""One model of the demo: trained, asked for its predictions, and kept with them.

A run is finished when predictions.json stands in its folder with the run's own key: the
training options, the content of both data files, and the versions. Read by workers.py, which
does several at a time.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from margintool.demo.heldout import Floats, predict, read_heldout
from mmpo_core.pair_file import whole_file

PREDICTIONS_FILE = "predictions.json"


@dataclass(frozen=True)
class ModelRun:
    """What one model is made from.

    Args:
        title: what it is called in messages.
        folder: where it goes.
        pairs: pair file it is trained on.
        heldout: rows it is evaluated on, as margintool.simulate writes them.
        training: keywords of mmpo_core.train.train.
    """

    title: str
    folder: str
    pairs: str
    heldout: str
    training: dict[str, Any]

    @property
    def predictions(self) -> Path:
        """The file that a finished run leaves."""
        return Path(self.folder) / PREDICTIONS_FILE

    def key(self) -> dict[str, Any]:
        """Return all that the predictions depend on, as JSON holds it."""
        from mmpo_core.run_record import fingerprint, versions

        training = {n: str(v) if v == float("inf") else v for n, v in self.training.items()}
        return plain(
            {
                "training": training,
                "pairs": fingerprint(Path(self.pairs)),
                "heldout": fingerprint(Path(self.heldout)),
                "versions": versions(),
            }
        )


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as they come back from JSON: a tuple as a list, keys as text."""
    back: dict[str, Any] = json.loads(json.dumps(values))
    return back


def is_finished(run: ModelRun) -> bool:
    """Whether the run has left predictions, and with the same key as it would now."""
    if not run.predictions.is_file():
        return False
    kept = json.loads(run.predictions.read_text(encoding="utf-8"))
    return bool(kept["key"] == run.key())


def log_odds(run: ModelRun) -> Floats:
    """Return the (N,) log-odds that a finished run predicted."""
    return np.array(json.loads(run.predictions.read_text(encoding="utf-8"))["log_odds"])


def train_and_predict(run: ModelRun) -> None:
    """Train the model from the start, and keep the (N,) log-odds that it predicts."""
    from mmpo_core.train import train

    train(pairs=Path(run.pairs), out=Path(run.folder), overwrite=True, **run.training)
    gaps = predict(Path(run.folder), read_heldout(Path(run.heldout)))
    with whole_file(run.predictions) as temporary:
        kept = {"key": run.key(), "log_odds": gaps.tolist()}
        temporary.write_text(json.dumps(kept), encoding="utf-8")
