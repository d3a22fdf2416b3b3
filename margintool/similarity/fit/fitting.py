"""fit(): a pair file with known margins to a similarity model. READ THIS FIRST.

    from margintool.similarity.fit.fitting import fit
    fit(pairs="scored.parquet", out="similarity-model")

`margintool similarity fit` is the same from the command line. The model is trained so that its
distance predicts the margin: on some prompts, its best checkpoint chosen on others, and measured
before and after on yet others, as `score --source similarity` would use it.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from margintool.progress import Progress, no_progress
from margintool.similarity.fit.data import (
    TEST,
    TRAIN,
    VALIDATION,
    FitData,
    Floats,
    Pairs,
    load_fit_data,
)
from margintool.similarity.fit.early_end import says_how_to_go_on, says_what_memory_needs
from margintool.similarity.fit.folder import FIT_FILE, FitFolder, write_record
from margintool.similarity.fit.kinds import COSINE, Base, Kind, kind_of
from margintool.similarity.fit.measuring import figures, spearman
from margintool.similarity.fit.options import FitOptions, checked_fit_options
from margintool.similarity.fit.record import check_same, start_record, write_predictions
from margintool.similarity.fit.targets import largest_margin, similarities
from margintool.similarity.fit.words import AFTER, BEFORE, EMBEDDER, LENGTH, notes, verdict
from margintool.similarity.likeness import Likeness, open_likeness
from margintool.similarity.locate import SENTENCE
from margintool.similarity.options import SimilarityOptions
from margintool.similarity.texts import reads_prompt
from mmpo_core.options import takes_options

if TYPE_CHECKING:
    from margintool.similarity.fit.training import Trained


@dataclass(frozen=True)
class FitResult:
    """What a fit came to.

    Attributes:
        folder: the fitted model, for --similarity-model; also fit.json, fit-predictions.parquet.
        record: the content of fit.json.
    """

    folder: Path
    record: dict[str, Any]


def run_fit(options: FitOptions, progress: Progress = no_progress) -> FitResult:
    """Fit a similarity model to the margins of a pair file.

    Raises:
        InputError: for options, pairs, models and folders that cannot be used.
    """
    options = checked_fit_options(options)
    folder = FitFolder(options)
    folder.check()
    data = load_fit_data(options)
    with folder.held(), says_how_to_go_on(folder), says_what_memory_needs(folder):
        with _quiet_libraries():
            record = _Run(options, folder, data, progress).run()
        folder.publish()
    return FitResult(options.out, record)


fit = takes_options(FitOptions)(run_fit)


class _Run:
    """One fit, from a loaded base model to a model that waits to be put in its place."""

    def __init__(
        self, options: FitOptions, folder: FitFolder, data: FitData, progress: Progress
    ) -> None:
        self._options, self._folder, self._data = options, folder, data
        self._progress = progress
        self._started = time.monotonic()
        self._kind: Kind = kind_of(options)

    def run(self) -> dict[str, Any]:
        """Fit, measure and save; return fit.json's content."""
        kind, data = self._kind, self._data
        base = kind.load()
        largest = largest_margin(data.parts[TRAIN].margin)
        record = start_record(self._options, kind.name, base, data, largest)
        if self._options.resume:
            check_same(self._folder, record)
            checkpoint = self._folder.checkpoint()
        else:
            checkpoint = None
            self._folder.begin(record)
        record["resumed_from"] = checkpoint and checkpoint.name
        measured = self._measure_base(base)
        cut = kind.cut(base.model, data.parts[TRAIN])
        record["cut_in_training"] = cut.as_dict()
        trained = self._train(base, largest, checkpoint)
        self._save(trained)
        measured[AFTER] = self._distances_of(
            str(self._folder.model), kind.metric, with_prompt=self._options.with_prompt
        )
        self._finish(record, base, trained, measured)
        return record

    def _measure_base(self, base: Base) -> dict[str, Floats]:
        """Return what the fitted model is compared with on the test pairs; prepare the model."""
        test = self._data.parts[TEST]
        if base.fresh_head:  # nobody uses it as it is: it is measured as it will be trained
            self._kind.prepare(base.model, self._data.parts[TRAIN])
        measured = {BEFORE: self._distances(base.model, test, self._progress)}
        if not base.fresh_head:
            self._kind.prepare(base.model, self._data.parts[TRAIN])
        if base.fresh_head and base.what == SENTENCE:
            measured[EMBEDDER] = self._distances_of(
                base.name, COSINE, with_prompt=bool(reads_prompt(base.name))
            )
        measured[LENGTH] = _length_difference(test)
        return measured

    def _train(self, base: Base, largest: float, checkpoint: Path | None) -> "Trained":
        from margintool.similarity.fit.training import Examples, train

        pairs, held_out = self._data.parts[TRAIN], self._data.parts[VALIDATION]
        first, second = self._kind.texts(pairs)

        def measure(model: Any) -> float:
            distances = self._distances(model, held_out, no_progress)
            known = np.isfinite(distances)
            return spearman(held_out.margin[known], distances[known])

        return train(
            self._kind.name,
            base.model,
            Examples(first, second, similarities(pairs.margin, largest)),
            measure,
            self._options,
            folder=self._folder.checkpoints,
            checkpoint=checkpoint,
            progress=self._progress,
        )

    def _save(self, trained: "Trained") -> None:
        """Write the best checkpoint's model, without what training alone needs."""
        from margintool.similarity.fit.training import load_checkpoint

        self._kind.save(load_checkpoint(self._kind.name, trained.best), self._folder.model)

    def _finish(
        self, record: dict[str, Any], base: Base, trained: "Trained", measured: dict[str, Floats]
    ) -> None:
        """Complete the record, and write it and the predictions beside the model."""
        test = self._data.parts[TEST]
        known = np.all([np.isfinite(distances) for distances in measured.values()], axis=0)
        found = figures(
            test.margin[known],
            test.prompts[known],
            {name: distances[known] for name, distances in measured.items()},
            of=AFTER,
            seed=self._options.seed,
            progress=self._progress,
        )
        record |= {
            "status": "finished",
            "device": str(base.model.device),
            "seconds": round(time.monotonic() - self._started, 1),
            "steps": trained.steps,
            "best_step": trained.best_step,
            "validation": trained.validation,
            "figures": found,
            "verdict": verdict(found, fresh_head=base.fresh_head),
            "notes": notes(
                record["split"],
                left_out=int((~known).sum()),
                fresh_head=base.fresh_head,
                unbounded=base.unbounded,
                cut=record["cut_in_training"],
            ),
        }
        model = self._folder.model
        write_predictions(model, self._data, measured[BEFORE], measured[AFTER])
        record["files"] = sorted({path.name for path in model.iterdir()} | {FIT_FILE})
        write_record(model, record)

    def _distances(self, model: Any, pairs: Pairs, progress: Progress) -> Floats:
        """Return the (N,) distances of a loaded model."""
        with TemporaryDirectory(dir=self._folder.work) as scratch:
            return _measured(self._kind.likeness(model, Path(scratch)), pairs, progress)

    def _distances_of(self, name: str, metric: str, *, with_prompt: bool) -> Floats:
        """Return the (N,) distances of test pairs as `score` gives them with a model's name."""
        settings = SimilarityOptions(
            similarity_model=name,
            metric=metric,  # type: ignore[arg-type]
            with_prompt=with_prompt,
            device=self._options.device,
        )
        with TemporaryDirectory(dir=self._folder.work) as scratch:
            likeness = open_likeness(settings, Path(scratch))
            return _measured(likeness, self._data.parts[TEST], self._progress)


def _measured(likeness: Likeness, pairs: Pairs, progress: Progress) -> Floats:
    likeness.fill([pairs.table], progress)
    return likeness.margins(pairs.table)


def _length_difference(pairs: Pairs) -> Floats:
    """Return the (N,) differences in characters: what a model must beat to be worth its time."""
    a, b = (pc.utf8_length(pairs.table.column(f"response_{side}")).to_numpy() for side in "ab")
    return np.asarray(np.abs(a.astype(np.float64) - b))


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Let the libraries print errors only: that a new head is made, the notes of a fit say."""
    from mmpo_core.train_progress import quiet_transformers

    library = logging.getLogger("sentence_transformers")
    level = library.level
    library.setLevel(logging.ERROR)
    try:
        with quiet_transformers():
            yield
    finally:
        library.setLevel(level)
