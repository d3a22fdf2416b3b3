"""Fixtures of the training tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpo_core.pair_file import write_pairs
from tests.core.pair_tables import METADATA, pair_table

PAIRS = 6


@pytest.fixture(scope="session")
def micro_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a byte-level policy of some 20,000 parameters: much quicker than `tiny`."""
    import torch
    from transformers import MistralForCausalLM

    from mmpo_core.tiny import make_tiny_tokenizer, tiny_config

    folder = tmp_path_factory.mktemp("micro")
    config = tiny_config()
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = 16, 32, 1
    config.num_attention_heads = config.num_key_value_heads = 1
    config.head_dim = 16
    torch.manual_seed(0)
    MistralForCausalLM(config).save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def run_with(tmp_path: Path, micro_model: Path) -> Callable[..., Any]:
    """Train a very small policy on six pairs, with a cache of the test's own."""
    from mmpo_core.train import train

    path = tmp_path / "pairs.parquet"
    write_pairs(pair_table([0.5 * i for i in range(PAIRS)]), path, METADATA)
    runs = []

    def call(**options: Any) -> Any:
        runs.append(options)
        given = {
            "pairs": path,
            "model": str(micro_model),
            "out": tmp_path / f"out-{len(runs)}",
            "reference_cache": str(tmp_path / "cache"),
            "batch_size": 2,
            "max_length": 96,
            "eval_split": 0.0,
            "device": "cpu",
            "lr": 1e-3,
            "logging_steps": 1,
            "warmup_ratio": 0.0,
        }
        return train(**(given | options))

    return call
