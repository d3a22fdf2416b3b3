"""What is no similarity model is refused in words; the fingerprint holds what makes vectors."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from margintool.similarity import locate as locate_module
from margintool.similarity.cross_encoder import CrossScorer, load_cross_encoder
from margintool.similarity.embedder import Embedder, load_embedder
from margintool.similarity.locate import SENTENCE, locate
from margintool.similarity.tokens import make_reader
from mmpo_core.errors import InputError
from tests.similarity.small_models import save_cross_encoder, save_embedder, save_plain


def refused(path: object, match: str, **options: Any) -> None:
    with pytest.raises(InputError, match=match):
        load_embedder(str(path), device="cpu", **options)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    refused(tmp_path, "no model there")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "no such folder")


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("")
    refused(tmp_path / "model.safetensors", "is a file")


def test_an_unknown_hub_id_without_the_hub() -> None:
    refused("nobody/no-such-model-at-all", "nobody/no-such-model-at-all.*(hub|reached)")


@pytest.mark.parametrize("name", ["short-name", "sentence-transformers/short-name"])
def test_a_hub_id_is_looked_at_before_it_is_loaded(
    small_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With a hub that has the files of the small model, less one of them at the end."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    gone: set[str] = set()

    def download(hub_id: str, file: str, **options: Any) -> str:
        assert hub_id == "sentence-transformers/short-name"
        assert options == {"revision": "v2", "local_files_only": False}
        if file in gone:
            raise EntryNotFoundError(file)
        return str(small_path / file)

    monkeypatch.setattr(locate_module, "check_model", lambda *_: False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    expected = ("sentence-transformers/short-name", False)
    assert locate(name, "v2", SENTENCE) == expected
    gone.add("modules.json")
    with pytest.raises(InputError, match="plain transformers model"):
        locate(name, "v2", SENTENCE)


def test_a_model_that_reads_texts_in_a_way_of_its_own(small_path: Path) -> None:
    """Its tokens are not those of its tokenizer: its limit cannot be known, so it is refused."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(small_path), device="cpu")
    plain = model.preprocess
    model.preprocess = lambda texts, **more: plain([f"the {text}" for text in texts], **more)
    with pytest.raises(InputError, match="own: the tokens of a text cannot be told apart"):
        make_reader(model, "own", in_chunks=True)


def test_a_plain_transformers_model_gets_no_mean_pooling(tmp_path: Path) -> None:
    refused(save_plain(tmp_path), "plain transformers model")


def test_a_cross_encoder_is_not_made_an_embedder(cross_path: Path, small_path: Path) -> None:
    refused(cross_path, "is a cross-encoder .metric cross-encoder., not a model of sentence")
    with pytest.raises(InputError, match="is a model of sentence embeddings"):
        load_cross_encoder(str(small_path), device="cpu")


def test_pickled_weights(small_path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(small_path, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    refused(copy, "no weights .*safetensors.* Pickle files")


def test_damaged_files(small_path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(small_path, tmp_path / "copy")
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refused(copy, "cannot be loaded")
    (copy / "modules.json").write_text("{")
    refused(copy, r"modules\.json: cannot be read")


OBJECT, MODULES = "must hold an object", "must hold a list of objects, each with a type and a path"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("modules.json", '["x"]', MODULES),
        ("modules.json", '[{"type": "x"}]', MODULES),
        ("modules.json", "null", MODULES),
        ("config_sentence_transformers.json", "[1]", OBJECT),
        # Read by the library alone.
        ("1_Pooling/config.json", "{}", "cannot be loaded .TypeError: .* JSON files"),
        ("sentence_bert_config.json", "[1]", "cannot be loaded .AttributeError: .* JSON files"),
        ("config.json", "5", "cannot be loaded .TypeError: .* JSON files"),
    ],
)
def test_files_of_another_form(
    small_path: Path, tmp_path: Path, file: str, content: str, words: str
) -> None:
    copy = shutil.copytree(small_path, tmp_path / "copy")
    (copy / file).write_text(content)
    refused(copy, f"{copy / file}: is damaged: {words}" if words in (OBJECT, MODULES) else words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1]", r"config\.json: is damaged: must hold an object"),
        ('{"architectures": 5}', "is a plain transformers model"),
        ('{"architectures": [5]}', "is a plain transformers model"),
    ],
)
def test_a_plain_model_of_another_form(tmp_path: Path, content: str, words: str) -> None:
    path = save_plain(tmp_path)
    (path / "config.json").write_text(content)
    refused(path, words)


def test_mistakes_of_our_own_are_not_told_as_damaged_files(
    small_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: Any) -> None:
        raise TypeError("a mistake")

    monkeypatch.setattr(Embedder, "embed", mistaken)
    with pytest.raises(TypeError, match="a mistake"):
        load_embedder(str(small_path), device="cpu")


def test_code_from_the_repository_is_not_run(small_path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(small_path, tmp_path / "copy")
    (copy / "own.py").write_text("raise SystemExit('was run')")
    modules = json.loads((copy / "modules.json").read_text())
    modules[0]["type"] = "own.Transformer"
    (copy / "modules.json").write_text(json.dumps(modules))
    refused(copy, "never run here")


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (0.0, "zero")])
def test_a_broken_model_is_refused_at_once(tmp_path: Path, value: float, word: str) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    path = save_embedder(tmp_path)
    model = SentenceTransformer(str(path), device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    model.save(str(path))
    refused(path, f"gives {word} vectors")


def test_options_that_cannot_be(small_path: Path) -> None:
    refused(small_path, "unknown dtype 'float33'.*float32", dtype="float33")
    refused(small_path, "unknown pooling 'mean'", pooling="mean")
    refused(small_path, "batch_tokens must be at least 1", batch_tokens=0)
    with pytest.raises(InputError, match="--device cuda:99"):
        load_embedder(str(small_path), device="cuda:99")


def test_the_fingerprint_is_the_models_not_its_places(
    small: Embedder, small_path: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(small_path, tmp_path / "elsewhere")
    (copy / "README.md").write_text("other words")
    small.embed(["cat " * 100])  # neither a call nor the batch leaves a trace in it
    again = load_embedder(str(copy), device="cpu", batch_tokens=7)
    assert again.fingerprint == small.fingerprint


def changed_weight(model: Any) -> None:
    next(model.parameters()).data[5, 0] += 1e-3


def changed_limit(model: Any) -> None:
    model.max_seq_length = 16


def changed_prompt(model: Any) -> None:
    model.prompts, model.default_prompt_name = {"x": "the "}, "x"


def changed_pooling(model: Any) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    model[1] = Pooling(16, "cls")


def changed_words(model: Any) -> None:
    model.tokenizer.add_tokens(["hound"])


@pytest.mark.parametrize(
    "change", [changed_weight, changed_limit, changed_prompt, changed_pooling, changed_words]
)
def test_whatever_changes_vectors_changes_the_fingerprint(
    small: Embedder, small_path: Path, tmp_path: Path, change: Any
) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(small_path), device="cpu")
    change(model)
    model.save(str(tmp_path / "changed"))
    changed = load_embedder(str(tmp_path / "changed"), device="cpu")
    assert changed.fingerprint != small.fingerprint


def test_the_pooling_of_long_texts_is_in_the_fingerprint(small: Embedder, small_path: Path) -> None:
    cutting = load_embedder(str(small_path), device="cpu", pooling="truncate")
    assert cutting.fingerprint != small.fingerprint


@pytest.mark.parametrize("kind", ["embedder", "cross_encoder"])
def test_our_own_part_is_in_the_fingerprint(
    small: Embedder,
    cross: CrossScorer,
    small_path: Path,
    cross_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr(f"margintool.similarity.{kind}.ALGORITHM", 2)
    embedder = load_embedder(str(small_path), device="cpu")
    scorer = load_cross_encoder(str(cross_path), device="cpu")
    assert (embedder.fingerprint == small.fingerprint) == (kind != "embedder")
    assert (scorer.fingerprint == cross.fingerprint) == (kind != "cross_encoder")


def test_a_cross_encoder_of_several_scores(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gives 3 scores a pair"):
        load_cross_encoder(str(save_cross_encoder(tmp_path, labels=3)), device="cpu")


def test_a_cross_encoder_without_bounds(tmp_path: Path) -> None:
    from torch import nn

    path = save_cross_encoder(tmp_path, activation_fn=nn.Identity())
    with pytest.raises(InputError, match=r"scores without bounds .activation Identity"):
        load_cross_encoder(str(path), device="cpu")
