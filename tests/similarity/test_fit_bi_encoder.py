"""A bi-encoder fitted to margins: it learns, it is what `score` loads, and it can be told again."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from margintool.similarity.embedder import load_embedder
from margintool.similarity.fingerprint import fingerprint
from margintool.similarity.fit.data import TEST, load_fit_data
from margintool.similarity.fit.fitting import FitResult, run_fit
from margintool.similarity.fit.options import FitOptions
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_table
from tests.similarity.fit_pairs import cat_pairs
from tests.similarity.small_models import save_plain


@dataclass
class Heard:
    """A Progress that remembers what it was told."""

    def __post_init__(self) -> None:
        self.done: dict[str, int] = {}
        self.totals: dict[str, int | None] = {}
        self.notes: list[str] = []

    def start(self, stage: str, total: int | None) -> None:
        self.stage, self.totals[stage], self.done[stage] = stage, total, 0

    def advance(self, amount: int) -> None:
        self.done[self.stage] += amount

    def note(self, text: str) -> None:
        self.notes.append(text)


HEARD = Heard()


@pytest.fixture(scope="module")
def options(small_path: Path, tmp_path_factory: pytest.TempPathFactory) -> FitOptions:
    """A fit of 40 steps, measured and kept at steps 10, 20, 30 and 40."""
    folder = tmp_path_factory.mktemp("fit")
    return FitOptions(
        pairs=cat_pairs(folder / "pairs.parquet"),
        out=folder / "model",
        base_model=str(small_path),
        learning_rate=5e-3,
        epochs=3.6,
        checkpoints=4,
        device="cpu",
    )


@pytest.fixture(scope="module")
def fitted(options: FitOptions) -> FitResult:
    return run_fit(options, HEARD)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_it_learns_margins_that_can_be_learnt(fitted: FitResult) -> None:
    """And the figures are those of the predictions, by scipy."""
    found = fitted.record["figures"]
    assert found["before"]["spearman"]["value"] < 0.6
    assert found["after"]["spearman"]["value"] > 0.8
    assert found["before"]["gain"]["spearman"]["low"] > 0.2
    assert fitted.record["verdict"][0].startswith("Fitting helped")
    predictions = pq.read_table(fitted.folder / "fit-predictions.parquet").to_pandas()
    assert len(predictions) == fitted.record["split"]["test"]["pairs"] == 48
    for name in ("before", "after"):
        both = predictions.margin_raw, predictions[f"distance_{name}"]
        for measure, function in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
            value = found[name][measure]["value"]
            assert value == pytest.approx(function(*both).statistic, abs=1e-9)


def test_distances_are_those_that_the_models_give_when_loaded(
    fitted: FitResult, options: FitOptions, small_path: Path
) -> None:
    """1 - cosine of every pair in a loop, of the base model and of the fitted one."""
    predictions = pq.read_table(fitted.folder / "fit-predictions.parquet").to_pylist()
    texts = {row["pair_id"]: row for row in read_table(options.pairs).to_pylist()}
    for name, path in (("before", small_path), ("after", fitted.folder)):
        embedder = load_embedder(str(path), device="cpu")
        for row in predictions:
            pair = texts[row["pair_id"]]
            a, b = embedder.embed([pair["chosen"], pair["rejected"]]).vectors.astype(float)
            expected = 1 - a @ b / np.sqrt((a @ a) * (b @ b))
            assert row[f"distance_{name}"] == pytest.approx(expected, abs=1e-5)


def test_the_test_pairs_are_none_that_it_was_fitted_to(
    fitted: FitResult, options: FitOptions
) -> None:
    predictions = pq.read_table(fitted.folder / "fit-predictions.parquet")
    held_out = load_fit_data(options).parts[TEST]
    assert predictions.column("pair_id") == held_out.table.column("pair_id")


def test_the_best_checkpoint_in_validation_is_kept(fitted: FitResult, options: FitOptions) -> None:
    """Measured again with the finished model: the best of all that were measured."""
    measured = fitted.record["validation"]
    assert [entry["step"] for entry in measured] == [10, 20, 30, 40]
    best = max(measured, key=lambda entry: entry["spearman"])
    assert fitted.record["best_step"] == best["step"]
    pairs = load_fit_data(options).parts["validation"]
    embedder = load_embedder(str(fitted.folder), device="cpu")
    a, b = (
        embedder.embed(pairs.table.column(f"response_{side}").to_pylist()).vectors for side in "ab"
    )
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    distances = 1 - (a * b).sum(axis=1) / lengths
    found = stats.spearmanr(pairs.margin, distances).statistic
    assert found == pytest.approx(best["spearman"], abs=1e-3)


def test_what_is_written(fitted: FitResult, options: FitOptions) -> None:
    record = json.loads((options.out / "fit.json").read_text())
    assert record == json.loads(json.dumps(fitted.record))
    assert (record["status"], record["kind"], record["steps"]) == ("finished", "bi-encoder", 40)
    assert record["target"]["largest"] == 4.0
    assert record["options"]["learning_rate"] == 5e-3
    assert sorted(path.name for path in options.out.iterdir()) == record["files"]
    assert not options.out.with_name("model.unfinished").exists()
    assert "README.md" not in record["files"]  # the library's would hold texts of the pairs


def test_progress(fitted: FitResult) -> None:
    assert HEARD.done["fitting"] == HEARD.totals["fitting"] == 40
    assert any("validation Spearman" in note for note in HEARD.notes)


def test_the_same_seed_gives_the_same_weights(
    fitted: FitResult, options: FitOptions, tmp_path: Path
) -> None:
    again = run_fit(replace(options, out=tmp_path / "again"))
    assert weights(again.folder) == weights(fitted.folder)
    assert again.record["figures"] == fitted.record["figures"]


KILLED = """
import os, signal, sys
from pathlib import Path
from margintool.similarity.fit.fitting import run_fit
from margintool.similarity.fit.options import FitOptions

class Killer:
    steps = -1
    def start(self, stage, total): self.steps = 0 if stage == "fitting" else -1
    def note(self, text): pass
    def advance(self, amount):
        self.steps += amount if self.steps >= 0 else 0
        if self.steps == 25: os.kill(os.getpid(), signal.SIGKILL)

options = {options}
run_fit(FitOptions(**options), Killer())
"""


def test_killed_and_resumed_it_ends_as_if_it_had_not_been(
    fitted: FitResult, options: FitOptions, tmp_path: Path
) -> None:
    """Killed -9 at step 25, with a later checkpoint cut short besides."""
    interrupted = replace(options, out=tmp_path / "model")
    given = {k: str(v) if isinstance(v, Path) else v for k, v in vars(interrupted).items()}
    script = KILLED.format(options=repr(given))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert not interrupted.out.exists()
    checkpoints = tmp_path / "model.unfinished" / "checkpoints"
    torn = checkpoints / "checkpoint-30"
    shutil.copytree(checkpoints / "checkpoint-20", torn)
    (torn / "model.safetensors").write_bytes(weights(torn)[:1000])

    with pytest.raises(InputError, match=r"a fit was interrupted there. --resume goes on"):
        run_fit(interrupted)
    with pytest.raises(InputError, match=r"cannot go on with other options: --seed \(0 -> 1\)"):
        run_fit(replace(interrupted, seed=1, resume=True))
    heard = Heard()
    resumed = run_fit(replace(interrupted, resume=True), heard)
    assert heard.done["fitting"] == 40
    assert weights(resumed.folder) == weights(fitted.folder)
    assert resumed.record["figures"] == fitted.record["figures"]
    assert resumed.record["validation"] == fitted.record["validation"]
    assert not checkpoints.parent.exists()
    with pytest.raises(InputError, match="this fit is finished; there is nothing to resume"):
        run_fit(replace(interrupted, resume=True))


def test_overwriting_replaces_the_model_at_the_end(options: FitOptions, tmp_path: Path) -> None:
    small = replace(options, out=tmp_path / "model", epochs=0.2, checkpoints=1)
    first = weights(run_fit(small).folder)
    with pytest.raises(InputError, match="already holds a fitted model"):
        run_fit(small)

    class Stop:
        def start(self, stage: str, total: int | None) -> None:
            if stage == "bootstrap":
                raise KeyboardInterrupt

        def advance(self, amount: int) -> None: ...

        def note(self, text: str) -> None: ...

    other = replace(small, seed=1, overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        run_fit(other, Stop())
    assert weights(small.out) == first  # until the other one is finished
    run_fit(other)
    assert weights(small.out) != first
    assert json.loads((small.out / "fit.json").read_text())["options"]["seed"] == 1


def test_a_plain_encoder_with_prompts_read_and_a_shorter_limit(
    options: FitOptions, tmp_path: Path
) -> None:
    base = save_plain(tmp_path / "plain")
    result = run_fit(
        replace(
            options,
            base_model=str(base),
            out=tmp_path / "model",
            epochs=0.5,
            checkpoints=1,
            with_prompt=True,
            max_length=24,
        )
    )
    embedder = load_embedder(str(result.folder), device="cpu")
    assert embedder.limit == 24
    row = pq.read_table(result.folder / "fit-predictions.parquet").to_pylist()[0]
    pair = next(
        pair for pair in read_table(options.pairs).to_pylist() if pair["pair_id"] == row["pair_id"]
    )
    texts = [f"{pair['prompt']}\n\n{pair[side]}" for side in ("chosen", "rejected")]
    a, b = embedder.embed(texts).vectors
    expected = 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    assert row["distance_after"] == pytest.approx(float(expected), abs=1e-5)


def test_a_fit_that_diverges(options: FitOptions, tmp_path: Path) -> None:
    bad = replace(options, out=tmp_path / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cosine_similarity", lambda a, b: (a * b).sum(1) * float("nan"))
        with pytest.raises(InputError, match=r"training diverged .* smaller --learning-rate"):
            run_fit(bad)
    assert not bad.out.exists()


def test_the_base_model_is_left_as_it_was(fitted: FitResult, small_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(small_path), device="cpu")
    assert fingerprint(model) == fitted.record["base"]["fingerprint"]
