"""A run on a base in 4 bits, on a CPU, where bitsandbytes is installed (margintool[qlora])."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mmpo_core.adapter_merge import merge_adapter
from mmpo_core.models import load_policy
from mmpo_core.train import train
from mmpo_core.trainer import MMPOTrainer
from tests.core.pair_tables import pair_file

pytest.importorskip("bitsandbytes", reason="bitsandbytes is in margintool[qlora]")


@pytest.fixture
def model_of_a_run(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    models: list[Any] = []
    start = MMPOTrainer.train

    def keep(self: MMPOTrainer, **how: Any) -> Any:
        models.append(self.model)
        return start(self, **how)

    monkeypatch.setattr(MMPOTrainer, "train", keep)
    return models


def test_adapters_learn_on_a_base_in_four_bits_that_is_their_reference(
    micro_model: Path, tmp_path: Path, model_of_a_run: list[Any]
):
    done = train(
        pairs=pair_file(tmp_path),
        model=str(micro_model),
        out=tmp_path / "out",
        lora_rank=2,
        quantize="4bit",
        lr=2e-2,
        epochs=3,
        batch_size=4,
        max_length=128,
        eval_split=0.0,
        logging_steps=1,
        device="cpu",
    )
    losses = [entry["loss"] for entry in done.history if "loss" in entry]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)  # the policy is its reference
    assert losses[-1] < losses[0] - 0.01
    (model,) = model_of_a_run
    layer = model.get_base_model().model.layers[0].self_attn.q_proj
    assert layer.base_layer.weight.dtype == torch.uint8  # two weights a byte
    assert layer.lora_A["default"].weight.dtype == torch.float32
    assert done.record["packing"]["used"] == "shared"
    assert done.record["adapter"]["quantized"] == "4bit"
    merge_adapter(tmp_path / "out", tmp_path / "merged")
    merged, base = (load_policy(str(one)) for one in (tmp_path / "merged", micro_model))
    name = "model.layers.0.self_attn.q_proj.weight"
    assert merged.state_dict()[name].dtype == torch.float32
    assert not torch.equal(merged.state_dict()[name], base.state_dict()[name])
