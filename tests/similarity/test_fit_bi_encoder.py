"""A bi-encoder fitted to margins: it learns, it is what `score` loads, and it can be told again."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from margintool.similarity.embedder import load_embedder
from margintool.similarity.fingerprint import fingerprint
from margintool.similarity.fit.data import TEST, TRAIN, load_fit_data
from margintool.similarity.fit.fitting import FitResult, run_fit
from margintool.similarity.fit.kinds import BiEncoderKind
from margintool.similarity.fit.options import FitOptions
from margintool.similarity.likeness import open_likeness
from margintool.similarity.options import SimilarityOptions
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


class Copier(Heard):
    """Copies what a fit has on disk at its step 12: what a kill -9 would leave there."""

    def __init__(self, work: Path) -> None:
        super().__init__()
        self.work, self.copy = work, work.with_name("killed.unfinished")

    def advance(self, amount: int) -> None:
        super().advance(amount)
        if self.stage == "fitting" and self.done["fitting"] == 12:
            shutil.copytree(self.work, self.copy)


@pytest.fixture(scope="module")
def options(
    small_path: Path, few_resamples: None, tmp_path_factory: pytest.TempPathFactory
) -> FitOptions:
    """A fit of 20 steps, measured and kept at steps 5, 10, 15 and 20."""
    folder = tmp_path_factory.mktemp("fit")
    return FitOptions(
        pairs=cat_pairs(folder / "pairs.parquet"),
        out=folder / "model",
        base_model=str(small_path),
        learning_rate=5e-3,
        epochs=1.8,
        checkpoints=4,
        device="cpu",
    )


@pytest.fixture(scope="module")
def heard(options: FitOptions) -> Copier:
    return Copier(options.out.with_name("model.unfinished"))


@pytest.fixture(scope="module")
def fitted(options: FitOptions, heard: Copier) -> FitResult:
    return run_fit(options, heard)


@pytest.fixture(scope="module")
def with_prompt(options: FitOptions) -> FitResult:
    """From a plain encoder: prompts are read, and 16 tokens at most."""
    base = save_plain(options.out.with_name("plain"))
    given = {"base_model": str(base), "out": options.out.with_name("with-prompt")}
    short = replace(options, **given, epochs=0.3, checkpoints=1)  # type: ignore[arg-type]
    return run_fit(replace(short, with_prompt=True, max_length=16))


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
    assert [entry["step"] for entry in measured] == [5, 10, 15, 20]
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
    assert (record["status"], record["kind"], record["steps"]) == ("finished", "bi-encoder", 20)
    assert record["target"]["largest"] == 4.0
    assert record["options"]["learning_rate"] == 5e-3
    assert sorted(path.name for path in options.out.iterdir()) == record["files"]
    assert not options.out.with_name("model.unfinished").exists()
    assert "README.md" not in record["files"]  # the library's would hold texts of the pairs


def test_progress(fitted: FitResult, heard: Heard) -> None:
    assert heard.done["fitting"] == heard.totals["fitting"] == 20
    assert any("validation Spearman" in note for note in heard.notes)


@pytest.fixture(scope="module")
def again(fitted: FitResult, with_prompt: FitResult, options: FitOptions) -> FitResult:
    """The same fit, in the place of another model."""
    over = replace(options, out=options.out.with_name("again"), overwrite=True)
    shutil.copytree(with_prompt.folder, over.out)
    return run_fit(over)


def test_the_same_seed_gives_the_same_weights(fitted: FitResult, again: FitResult) -> None:
    assert weights(again.folder) == weights(fitted.folder)
    assert again.record["figures"] == fitted.record["figures"]


def check_resumed(interrupted: FitOptions, fitted: FitResult) -> None:
    """Go on at step 10, though a later checkpoint was cut short, and end where `fitted` did."""
    checkpoints = interrupted.out.with_name(f"{interrupted.out.name}.unfinished") / "checkpoints"
    torn = checkpoints / "checkpoint-15"
    shutil.copytree(checkpoints / "checkpoint-10", torn)
    (torn / "model.safetensors").write_bytes(weights(torn)[:1000])
    with pytest.raises(InputError, match=r"a fit was interrupted there. --resume goes on"):
        run_fit(interrupted)
    with pytest.raises(InputError, match=r"cannot go on with other options: --seed \(0 -> 1\)"):
        run_fit(replace(interrupted, seed=1, resume=True))
    heard = Heard()
    resumed = run_fit(replace(interrupted, resume=True), heard)
    assert resumed.record["resumed_from"] == "checkpoint-10"
    assert heard.done["fitting"] == 20
    assert weights(resumed.folder) == weights(fitted.folder)
    assert resumed.record["figures"] == fitted.record["figures"]
    assert resumed.record["validation"] == fitted.record["validation"]
    assert not checkpoints.parent.exists()
    with pytest.raises(InputError, match="this fit is finished; there is nothing to resume"):
        run_fit(replace(interrupted, resume=True))


def test_interrupted_and_resumed_it_ends_as_if_it_had_not_been(
    fitted: FitResult, options: FitOptions
) -> None:
    check_resumed(replace(options, out=options.out.with_name("killed")), fitted)


KILLED = """
import os, signal
from margintool.similarity.fit.fitting import run_fit
from margintool.similarity.fit.options import FitOptions

class Killer:
    def start(self, stage, total): self.stage, self.done = stage, 0
    def note(self, text): pass
    def advance(self, amount):
        self.done += amount
        if self.stage == "fitting" and self.done == 12: os.kill(os.getpid(), signal.SIGKILL)

run_fit(FitOptions(**{options}), Killer())
"""


@pytest.mark.slow
def test_killed_and_resumed(fitted: FitResult, options: FitOptions, tmp_path: Path) -> None:
    """By a real kill -9, of another process."""
    interrupted = replace(options, out=tmp_path / "model")
    script = KILLED.format(options=repr(interrupted.as_dict()))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert not interrupted.out.exists()
    check_resumed(interrupted, fitted)


class Stop:
    """Ctrl-C at the beginning of a stage."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def start(self, stage: str, total: int | None) -> None:
        if stage == self.stage:
            raise KeyboardInterrupt

    def advance(self, amount: int) -> None: ...

    def note(self, text: str) -> None: ...


def test_interrupted_before_the_first_checkpoint(
    options: FitOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is left that would stand in the way of the same command."""
    with pytest.raises(KeyboardInterrupt):
        run_fit(replace(options, out=tmp_path / "model"), Stop("fitting"))
    assert "before the first checkpoint" in caplog.text
    assert "--resume" not in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_overwriting_replaces_the_model_at_the_end(
    again: FitResult, with_prompt: FitResult, options: FitOptions, caplog: pytest.LogCaptureFixture
) -> None:
    assert weights(again.folder) != weights(with_prompt.folder)
    assert sorted(path.name for path in again.folder.iterdir()) == again.record["files"]
    before = weights(again.folder)
    other = replace(options, out=again.folder, epochs=0.2, checkpoints=1, seed=1)
    with pytest.raises(InputError, match="already holds a fitted model"):
        run_fit(other)
    with pytest.raises(KeyboardInterrupt):
        run_fit(replace(other, overwrite=True), Stop("bootstrap"))
    assert "--resume goes on from the last checkpoint" in caplog.text
    assert weights(again.folder) == before  # until the other one is finished


def test_a_plain_encoder_with_prompts_read_and_a_shorter_limit(
    with_prompt: FitResult, options: FitOptions
) -> None:
    embedder = load_embedder(str(with_prompt.folder), device="cpu")
    assert embedder.limit == 16
    row = pq.read_table(with_prompt.folder / "fit-predictions.parquet").to_pylist()[0]
    pair = next(
        pair for pair in read_table(options.pairs).to_pylist() if pair["pair_id"] == row["pair_id"]
    )
    texts = [f"{pair['prompt']}\n\n{pair[side]}" for side in ("chosen", "rejected")]
    a, b = embedder.embed(texts).vectors
    expected = 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    assert row["distance_after"] == pytest.approx(float(expected), abs=1e-5)


def test_how_many_training_texts_were_cut_is_said(
    with_prompt: FitResult, fitted: FitResult, options: FitOptions
) -> None:
    """2 words of prompt, 8 and cats, and 2 tokens of the model: over 16 from 5 cats on."""
    table = load_fit_data(options).parts[TRAIN].table
    texts = [text for side in "ab" for text in table.column(f"response_{side}").to_pylist()]
    over = sum(text.count("cat") >= 5 for text in texts)
    assert over > 0
    found = with_prompt.record["cut_in_training"]
    assert found == {
        "what": "texts",
        "limit": 16,
        "of": len(texts),
        "over": over,
        "share": over / len(texts),
    }
    said = f"{over} of {len(texts)} training texts ({over / len(texts):.1%}) are longer than the 16"
    assert any(note.startswith(said) for note in with_prompt.record["notes"])
    assert fitted.record["cut_in_training"]["over"] == 0
    assert not any("longer than" in note for note in fitted.record["notes"])


def test_score_gives_a_model_what_it_was_fitted_to(
    fitted: FitResult, with_prompt: FitResult, tmp_path: Path
) -> None:
    for result, reads_it, match in (
        (fitted, False, "fitted to each answer alone .* Leave out --with-prompt"),
        (with_prompt, True, "fitted to prompt and answer together .* Add --with-prompt"),
    ):
        settings = SimilarityOptions(
            similarity_model=str(result.folder), with_prompt=reads_it, device="cpu"
        )
        open_likeness(settings, tmp_path)
        with pytest.raises(InputError, match=match):
            open_likeness(replace(settings, with_prompt=not reads_it), tmp_path)


def test_fitting_on_from_a_model_that_reads_prompts(
    with_prompt: FitResult, options: FitOptions
) -> None:
    """Before, it is given what it was fitted to; then what it is to be fitted to now."""
    pairs = load_fit_data(options).parts[TRAIN]
    answers, prompts = (pairs.table.column(n).to_pylist() for n in ("response_a", "prompt"))
    kind = BiEncoderKind(replace(options, base_model=str(with_prompt.folder)))
    model = kind.load().model
    both = [f"{prompt}\n\n{answer}" for prompt, answer in zip(prompts, answers, strict=True)]
    assert kind.texts(pairs)[0] == both
    kind.prepare(model, pairs)
    assert kind.texts(pairs)[0] == answers


def test_after_a_divergence_the_advice_can_be_followed(options: FitOptions, tmp_path: Path) -> None:
    """Sound at the first checkpoint, of step 2, and no more at the second, of step 4."""
    import torch

    bad = replace(options, out=tmp_path / "model", epochs=0.3, checkpoints=2)
    similarity, calls = torch.cosine_similarity, count(1)

    def breaks(a: Any, b: Any) -> Any:
        return similarity(a, b) * (float("nan") if next(calls) > 2 else 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cosine_similarity", breaks)
        with pytest.raises(InputError, match=r"diverged before step 4.* smaller --learning-rate"):
            run_fit(bad)
    assert list(tmp_path.iterdir()) == []
    assert run_fit(replace(bad, learning_rate=1e-4)).record["steps"] == 4


def test_out_of_memory_the_advice_can_be_followed(options: FitOptions, tmp_path: Path) -> None:
    import torch

    def full(a: Any, b: Any) -> Any:
        raise torch.OutOfMemoryError("none left")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cosine_similarity", full)
        with pytest.raises(InputError, match=r"none left\)\. Give a smaller --batch-size or"):
            run_fit(replace(options, out=tmp_path / "model"))
    assert list(tmp_path.iterdir()) == []


def test_the_base_model_is_left_as_it_was(fitted: FitResult, small_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(small_path), device="cpu")
    assert fingerprint(model) == fitted.record["base"]["fingerprint"]
