"""A cross-encoder fitted to margins: it learns, reads all three texts, and is ready for `score`."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from margintool.similarity.cross_encoder import load_cross_encoder
from margintool.similarity.embedder import load_embedder
from margintool.similarity.fit.data import TEST, TRAIN, load_fit_data
from margintool.similarity.fit.fitting import FitResult, run_fit
from margintool.similarity.fit.kinds import CrossEncoderKind
from margintool.similarity.fit.lengths import readable_characters
from margintool.similarity.fit.options import FitOptions
from margintool.similarity.pair_text import BETWEEN_ANSWERS, PROMPT_AND_ANSWERS, pair_texts
from margintool.similarity.texts import write_reads
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_table
from tests.similarity.fit_pairs import cat_pairs
from tests.similarity.small_models import LIMIT, save_cross_encoder


@pytest.fixture(scope="module")
def options(
    small_path: Path, few_resamples: None, tmp_path_factory: pytest.TempPathFactory
) -> FitOptions:
    """From an embedder that reads prompts, which gets a new head; answers that are read whole."""
    folder = tmp_path_factory.mktemp("fit")
    base = shutil.copytree(small_path, folder / "base")
    write_reads(base, with_prompt=True)
    return FitOptions(
        pairs=cat_pairs(folder / "pairs.parquet", per_prompt=5, words=1),
        out=folder / "model",
        base_model=str(base),
        cross_encoder=True,
        learning_rate=1e-2,
        epochs=3,
        checkpoints=2,
        device="cpu",
    )


@pytest.fixture(scope="module")
def fitted(options: FitOptions) -> FitResult:
    return run_fit(options)


def test_it_learns_margins_that_can_be_learnt(fitted: FitResult) -> None:
    found = fitted.record["figures"]
    assert found["after"]["spearman"]["value"] > 0.7
    assert found["before"]["gain"]["spearman"]["low"] > 0.1
    assert set(found) == {"before", "embedder", "length", "after"}


def test_a_new_head_is_said_to_be_one(fitted: FitResult) -> None:
    assert fitted.record["base"]["new_head"]
    assert "new head of random weights" in fitted.record["verdict"][0]
    assert any("new head of random weights" in note for note in fitted.record["notes"])


def test_the_embedder_it_is_held_to_is_given_what_it_reads(
    fitted: FitResult, options: FitOptions
) -> None:
    """1 - cosine of prompt and answer together, as `score` gives them to this base model."""
    test = load_fit_data(options).parts[TEST]
    embedder = load_embedder(str(options.base_model), device="cpu")
    prompts, *sides = (
        test.table.column(name).to_pylist() for name in ("prompt", "response_a", "response_b")
    )
    a, b = (
        embedder.embed([f"{p}\n\n{text}" for p, text in zip(prompts, side, strict=True)]).vectors
        for side in sides
    )
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    expected = stats.spearmanr(test.margin, 1 - cosine).statistic
    found = fitted.record["figures"]["embedder"]["spearman"]["value"]
    assert found == pytest.approx(expected, abs=1e-3)


def test_distances_are_those_of_predict_in_both_orders(
    fitted: FitResult, options: FitOptions
) -> None:
    from sentence_transformers import CrossEncoder

    scorer = load_cross_encoder(str(fitted.folder), device="cpu")
    assert scorer.form.reads == PROMPT_AND_ANSWERS
    model = CrossEncoder(str(fitted.folder), device="cpu")
    pairs = {pair["pair_id"]: pair for pair in read_table(options.pairs).to_pylist()}
    for row in pq.read_table(fitted.folder / "fit-predictions.parquet").to_pylist()[:8]:
        prompt, a, b = (pairs[row["pair_id"]][name] for name in ("prompt", "chosen", "rejected"))
        orders = [
            pair_texts(prompt, *order, characters=scorer.form.characters)
            for order in ((a, b), (b, a))
        ]
        expected = 1 - np.mean(model.predict(orders))
        assert row["distance_after"] == pytest.approx(float(expected), abs=1e-5)


def test_the_same_seed_gives_the_same_head(options: FitOptions, fitted: FitResult) -> None:
    """Whatever was drawn before; training itself is told again in test_fit_bi_encoder.py."""
    import torch

    torch.rand(7)
    head = CrossEncoderKind(options).load().fingerprint
    assert head == fitted.record["base"]["fingerprint"]
    assert CrossEncoderKind(replace(options, seed=1)).load().fingerprint != head


def test_both_orders_are_trained_on(options: FitOptions) -> None:
    """About half of the pairs either way, drawn by seed, whatever else is in the file."""
    kind = CrossEncoderKind(options)
    kind.prepare(kind.load().model, load_fit_data(options).parts[TRAIN])
    pairs = load_fit_data(options).parts[TRAIN]
    prompts, answers = kind.texts(pairs)
    assert prompts == pairs.table.column("prompt").to_pylist()
    chosen = pairs.table.column("response_a").to_pylist()
    first = [text.split(BETWEEN_ANSWERS)[0] for text in answers]
    swapped = np.mean([a != b for a, b in zip(first, chosen, strict=True)])
    assert 0.35 < swapped < 0.65
    assert kind.texts(pairs) == (prompts, answers)
    other = CrossEncoderKind(replace(options, seed=1))
    other._form = kind._form
    assert other.texts(pairs)[1] != answers


def test_what_is_given_to_read_fits(options: FitOptions, cross_path: Path) -> None:
    """Nine pairs of ten are read whole after the cut; much more would not be."""
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(cross_path), device="cpu")
    pairs = load_fit_data(options).parts[TRAIN]
    characters = readable_characters(model, pairs)
    assert characters is not None
    long = [
        (f"{prompt} " * 9, f"{a} " * 9, f"{b} " * 9)
        for prompt, a, b in zip(
            *(pairs.table.column(n).to_pylist() for n in ("prompt", "response_a", "response_b")),
            strict=True,
        )
    ]

    def share_read(characters: int) -> float:
        cut = [pair_texts(*three, characters=characters) for three in long]
        encoded = model.tokenizer([a for a, _ in cut], [b for _, b in cut], verbose=False)
        return float(np.mean([len(ids) <= LIMIT for ids in encoded["input_ids"]]))

    assert share_read(characters) > 0.8
    assert share_read(2 * characters) < 0.5


def test_a_cross_encoder_goes_on_from_what_it_is(
    options: FitOptions, cross_path: Path, tmp_path: Path
) -> None:
    """Before, it reads the answers alone; scores without bounds go through a sigmoid."""
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(cross_path), device="cpu")
    ranker = CrossEncoder(str(cross_path), device="cpu", activation_fn=torch.nn.Identity())
    ranker.save(str(tmp_path / "ranker"))
    short = replace(options, out=tmp_path / "model", epochs=0.3, checkpoints=1)
    result = run_fit(replace(short, base_model=str(tmp_path / "ranker")))
    assert any("scores have no bounds" in note for note in result.record["notes"])
    assert load_cross_encoder(str(result.folder), device="cpu").form.reads == PROMPT_AND_ANSWERS
    assert not result.record["base"]["new_head"]
    assert "embedder" not in result.record["figures"]
    pairs = {pair["pair_id"]: pair for pair in read_table(options.pairs).to_pylist()}
    for row in pq.read_table(result.folder / "fit-predictions.parquet").to_pylist()[:5]:
        a, b = (pairs[row["pair_id"]][side] for side in ("chosen", "rejected"))
        expected = 1 - np.mean(model.predict([(a, b), (b, a)]))
        assert row["distance_before"] == pytest.approx(float(expected), abs=1e-5)


def test_several_scores_are_refused(options: FitOptions, tmp_path: Path) -> None:
    base = save_cross_encoder(tmp_path, labels=3)
    with pytest.raises(InputError, match="gives 3 scores a pair"):
        run_fit(replace(options, base_model=str(base), out=tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "plain"]


def test_a_cross_encoder_is_no_base_of_a_bi_encoder(
    options: FitOptions, cross_path: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"is a cross-encoder .* Add --cross-encoder to fit it"):
        run_fit(
            replace(
                options, base_model=str(cross_path), cross_encoder=False, out=tmp_path / "model"
            )
        )


def test_it_cannot_read_more_than_it_can(options: FitOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--max-length 64: the base model reads 32 tokens"):
        run_fit(replace(options, max_length=64, out=tmp_path / "model"))
    assert list(tmp_path.iterdir()) == []  # nothing stands in the way of a smaller one


def test_it_must_read_something(options: FitOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"reads 8 tokens at once, of which \d+ are needed"):
        run_fit(replace(options, max_length=8, out=tmp_path / "model"))


def test_what_cannot_be_measured_or_read_whole_is_said(
    options: FitOptions, cross_path: Path, tmp_path: Path
) -> None:
    """One test pair gets no distance; and with 28 tokens, some training pairs are cut."""
    from margintool.similarity.likeness import CrossLikeness

    margins = CrossLikeness.margins
    parts = load_fit_data(options).parts
    test_size = len(parts[TEST])

    def one_broken(self: Any, pairs: Any) -> Any:
        found = margins(self, pairs)
        found[: len(found) == test_size] = np.nan
        return found

    small = replace(options, out=tmp_path / "model", epochs=0.3, checkpoints=1, max_length=28)
    small = replace(small, base_model=str(cross_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CrossLikeness, "margins", one_broken)
        result = run_fit(small)
    assert "1 test pairs without a finite distance are in no figure" in result.record["notes"]
    predictions = pq.read_table(result.folder / "fit-predictions.parquet")
    assert predictions.column("distance_after").null_count == 1
    assert not any("no bounds" in note for note in result.record["notes"])
    cut = result.record["cut_in_training"]
    assert (cut["what"], cut["limit"], cut["of"]) == ("pairs", 28, len(parts[TRAIN]))
    assert 0 < cut["over"] < cut["of"]
    assert any("were cut to what the model reads, 28" in note for note in result.record["notes"])
