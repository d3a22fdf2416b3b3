"""margintool merge: base and adapter as one model folder, whole or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmpo_core.adapter_options import AdapterOptions
from mmpo_core.adapters import with_adapter
from mmpo_core.logprobs import completion_logps
from mmpo_core.models import load_policy, load_reward_model, load_tokenizer
from tests.core.pair_tables import pair_file
from tests.core.small_models import IdCollator, id_pairs

Cli = Callable[..., Any]
BATCH = IdCollator()(id_pairs(4))
OPTIONS = AdapterOptions(lora_rank=4)


def trained(model: Any) -> Any:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape, generator=generator)
    return model.eval()


@pytest.fixture
def policy() -> Any:
    return trained(with_adapter(load_policy("tiny"), OPTIONS, base="tiny", seed=1))


@pytest.fixture
def adapter(policy: Any, tmp_path: Path) -> Path:
    """An adapter on tiny, as a run leaves it."""
    folder = tmp_path / "adapter"
    policy.save_pretrained(folder)
    load_tokenizer("tiny").save_pretrained(folder)
    (folder / "run.json").write_text('{"status": "finished", "arguments": {"seed": 7}}')
    return folder


def test_merged_model_has_the_log_probs_of_base_and_adapter(
    cli: Cli, policy: Any, adapter: Path, tmp_path: Path
):
    out = tmp_path / "models" / "merged"
    result = cli("merge", adapter, "--out", out)
    assert result.status == 0, result.err
    assert str(out) in result.out
    assert result.err == ""
    merged = load_policy(str(out))
    expected, plain = (completion_logps(m, BATCH)[0] for m in (policy, load_policy("tiny")))
    torch.testing.assert_close(completion_logps(merged, BATCH)[0], expected, rtol=1e-5, atol=1e-5)
    assert not expected.allclose(plain, atol=0.1)
    assert load_tokenizer(str(out)).get_vocab() == load_tokenizer("tiny").get_vocab()
    record = json.loads((out / "run.json").read_text())
    assert record["arguments"]["seed"] == 7
    about = {"adapter": str(adapter.resolve()), "base": "tiny", "dtype": "auto"}
    assert record["merged"] == about
    assert not list(out.glob("adapter*"))
    assert [path.name for path in out.parent.iterdir()] == ["merged"]  # nothing temporary is left


def test_an_adapter_is_trained_and_merged_on_the_command_line(cli: Cli, tmp_path: Path):
    """tiny has 3,085,568 parameters; rank 4 on its 28 linear layers adds 74,752 (2.37 %)."""
    train = cli(
        "train", pair_file(tmp_path, 4), "--model", "tiny", "--lora-rank", 4, "--max-length", 64,
        "--batch-size", 2, "--eval-split", 0, "--device", "cpu", "--out", tmp_path / "adapter",
    )  # fmt: skip
    assert train.status == 0, train.err
    assert "74,752 parameters (2.37%)" in train.out
    assert f"margintoolmerge{tmp_path / 'adapter'}--out" in "".join(train.out.split())
    assert "Warning" not in train.err
    merge = cli("merge", tmp_path / "adapter", "--out", tmp_path / "merged")
    assert merge.status == 0, merge.err
    assert load_policy(str(tmp_path / "merged")).num_parameters() == 3_085_568


def test_merged_weights_have_the_type_asked_for(cli: Cli, adapter: Path, tmp_path: Path):
    assert cli("merge", adapter, "--out", tmp_path / "m", "--dtype", "bfloat16").status == 0
    weights = load_file(tmp_path / "m" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}


def test_a_reward_models_score_head_comes_with_it(cli: Cli, tmp_path: Path):
    """tiny's weights as a reward model depend on the run's seed, which run.json has."""
    tokenizer = load_tokenizer("tiny")
    base = load_reward_model("tiny", tokenizer, seed=7)
    model = trained(with_adapter(base, OPTIONS, base="tiny", seed=7, reward=True))
    inputs = {name: BATCH[name] for name in ("input_ids", "attention_mask")}
    expected = model(**inputs).logits
    model.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter" / "run.json").write_text('{"arguments": {"seed": 7}}')
    result = cli("merge", tmp_path / "adapter", "--out", tmp_path / "merged")
    assert result.status == 0, result.err
    merged = load_reward_model(str(tmp_path / "merged"), tokenizer)
    torch.testing.assert_close(merged(**inputs).logits, expected, rtol=1e-5, atol=1e-5)


def test_a_save_that_fails_leaves_nothing(
    cli: Cli, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmpo_core.adapter_merge.write_json", fails)
    result = cli("merge", adapter, "--out", tmp_path / "new" / "merged")
    assert result.status == 2
    assert "cannot be written (No space left on device)" in result.err
    assert list((tmp_path / "new").iterdir()) == []


def test_what_cannot_be_merged_is_refused(cli: Cli, adapter: Path, tmp_path: Path):
    def refused(*arguments: Any) -> str:
        result = cli("merge", *arguments)
        assert result.status == 2
        assert "Traceback" not in result.err
        return str(result.err)

    assert "no adapter_config.json there" in refused(tmp_path, "--out", tmp_path / "m")
    assert "no adapter_config.json there" in refused(tmp_path / "no", "--out", tmp_path / "m")
    assert "is there already" in refused(adapter, "--out", adapter)
    (tmp_path / "file").write_text("")
    assert "is there already" in refused(adapter, "--out", tmp_path / "file")
    assert "cannot be written" in refused(adapter, "--out", tmp_path / "file" / "m")
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text().replace('"tiny"', '"/nowhere/model"'))
    assert "/nowhere/model: no such folder" in refused(adapter, "--out", tmp_path / "m")
    assert not (tmp_path / "m").exists()
