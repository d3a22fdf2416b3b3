"""Runs with shared prompts learn what padded ones learn, and their record says which it was."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.train import TrainResult, train
from mmpo_core.train_batching import run_limits
from mmpo_core.train_options import TrainOptions
from tests.core.pair_tables import METADATA, pair_table
from tests.core.small_models import small_policy

Start = Callable[..., TrainResult]


@pytest.fixture
def start(tmp_path: Path, micro_model: Path) -> Start:
    """10 pairs in steps of 4, 4 and 2, and 2 or more to evaluate on."""
    pairs = tmp_path / "pairs.parquet"
    write_pairs(pair_table([0.3 * i for i in range(12)]), pairs, METADATA)
    given = {
        "pairs": pairs,
        "model": str(micro_model),
        "eval_split": 0.2,
        "batch_size": 4,
        "lr": 1e-3,
        "scheduler": "constant",
        "logging_steps": 1,
        "device": "cpu",
    }

    def call(name: str, **options: Any) -> TrainResult:
        if not {"objective", "reference_logps"} & options.keys():
            options["reference_cache"] = "none"
        return train(out=tmp_path / name, **(given | options))

    return call


def weights(result: TrainResult) -> torch.Tensor:
    tensors = load_file(result.folder / "model.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


@pytest.mark.parametrize("objective", ["policy", "reward"])
def test_shared_and_padded_runs_end_alike(objective: str, start: Start):
    options: dict[str, Any] = {"objective": objective}
    if objective == "policy":
        options["reference_cache"] = "none"
    shared = start("shared", **options)
    padded = start("padded", **options, packing="padded", tokens_per_batch=150)
    for result, used in ((shared, "shared"), (padded, "padded")):
        assert result.record["packing"]["used"] == used
        assert result.record["packing"]["why_padded"] is None
    assert shared.record["packing"]["tokens_per_batch"] == 1024
    assert padded.record["packing"]["tokens_per_batch"] == 150
    counts = [result.record["packing"]["tokens_per_epoch"] for result in (shared, padded)]
    assert counts[0] < padded.record["packing"]["tokens_of_conversations"] <= counts[1]
    for ours, theirs in zip(shared.history, padded.history, strict=True):
        for key in ours.keys() & {"loss", "grad_norm", "rewards/margins", "eval_loss"}:
            assert ours[key] == pytest.approx(theirs[key], rel=1e-3, abs=1e-6), key
    assert torch.allclose(weights(shared), weights(padded), atol=1e-4)


@pytest.mark.parametrize(
    "way",
    [
        {"gradient_checkpointing": True},
        {"attn_implementation": "eager"},
        pytest.param({"compile": True}, marks=pytest.mark.slow),
    ],
)
def test_other_ways_to_compute_end_alike(way: dict[str, Any], start: Start):
    if "compile" in way and not shutil.which("g++"):
        pytest.skip("torch.compile needs g++ on a CPU")
    plain, other = start("plain"), start("other", **way)
    assert other.record["packing"]["used"] == "shared"
    assert torch.allclose(weights(plain), weights(other), atol=1e-5)


def test_a_model_that_cannot_share_is_trained_padded(start: Start, tmp_path: Path):
    from transformers import MambaConfig, MambaForCausalLM

    from mmpo_core.tiny import make_tiny_tokenizer

    torch.manual_seed(0)
    tokenizer = make_tiny_tokenizer()
    config = MambaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, state_size=4, pad_token_id=0
    )
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    tokenizer.save_pretrained(tmp_path / "mamba")
    result = start("mamba-run", model=str(tmp_path / "mamba"), max_steps=1, max_length=64)
    assert result.record["packing"]["used"] == "padded"
    assert "takes no packed rows" in result.record["packing"]["why_padded"]
    with pytest.raises(InputError, match="packing shared: the model takes no packed rows"):
        start("never", model=str(tmp_path / "mamba"), packing="shared")


def test_the_reference_may_need_another_way(start: Start, tmp_path: Path):
    """A second model is tried by itself: a policy that shares, a reference that cannot."""
    from transformers import MambaConfig, MambaForCausalLM

    from mmpo_core.tiny import make_tiny_tokenizer

    tokenizer = make_tiny_tokenizer()
    config = MambaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, state_size=4, pad_token_id=0
    )
    torch.manual_seed(0)
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    tokenizer.save_pretrained(tmp_path / "mamba")
    options: dict[str, Any] = {"reference": str(tmp_path / "mamba"), "max_length": 64}
    before = start("before", max_steps=1, **options)
    online = start("online", max_steps=1, reference_logps="online", **options)
    assert before.history[0]["loss"] == pytest.approx(online.history[0]["loss"], rel=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_compiled_run_has_no_long_rows_on_a_cpu(compiled: bool):
    """Compiled attention computes the whole square of a row."""
    options = TrainOptions(pairs="pairs.parquet", model="tiny", compile=compiled)
    assert run_limits(options, small_policy(0)).long_rows is not compiled
