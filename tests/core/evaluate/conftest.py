"""Fixtures: a pair file, a policy, a reward model and an adapter that were trained on it."""

from pathlib import Path

import pytest

from tests.core.evaluate.evaluated import run, write_file


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_file(tmp_path_factory.mktemp("pairs") / "pairs.parquet")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, pairs: Path, micro_model: Path) -> Path:
    """A folder with runs: mmpo, dpo, simpo, reward, adapter."""
    folder = tmp_path_factory.mktemp("runs")
    run(pairs, micro_model, folder / "mmpo", gamma=0.7, beta=0.5)
    run(pairs, micro_model, folder / "dpo", loss="dpo", eval_gamma=0.7, split_seed=42, seed=3)
    run(pairs, micro_model, folder / "simpo", loss="simpo", gamma=2.0, margin_column="margin_raw")
    run(pairs, micro_model, folder / "reward", objective="reward", limit=40)
    run(pairs, micro_model, folder / "adapter", lora_rank=4, lr=0.02)
    return folder
