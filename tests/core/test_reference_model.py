"""The key of a reference model, and the model as reference: adapters off, left as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from mmpo_core import reference_model
from mmpo_core.reference_model import as_reference, base_weights, reference_key
from tests.core.small_models import small_policy


def key(model: Any, *, device: str = "cpu", bf16: bool = False) -> str:
    return reference_key(model, device=device, bf16=bf16)[0]


def test_key_is_the_models_own_wherever_it_was_loaded_from(tmp_path: Path):
    model = small_policy(1)
    model.save_pretrained(tmp_path / "here")
    model.save_pretrained(tmp_path / "there")
    loaded = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("here", "there")]
    assert key(loaded[0]) == key(loaded[1]) == key(model)
    assert len(key(model)) == 32


def one_weight_by_one_bit(model: Any) -> None:
    with torch.no_grad():
        weight = model.model.layers[1].mlp.down_proj.weight
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0))


def two_weights_exchanged(model: Any) -> None:
    layer = model.model.layers[0].mlp
    layer.gate_proj.weight, layer.up_proj.weight = layer.up_proj.weight, layer.gate_proj.weight


def rotary_base(model: Any) -> None:
    model.config.rope_parameters["rope_theta"] = 5.0


@pytest.mark.parametrize(
    "change",
    [
        one_weight_by_one_bit,
        two_weights_exchanged,
        rotary_base,
        lambda model: setattr(model.config, "sliding_window", 8),
        lambda model: model.set_attn_implementation("eager"),
        lambda model: model.to(torch.bfloat16),
    ],
)
def test_whatever_changes_log_probs_changes_the_key(change: Callable[[Any], Any]):
    model = small_policy(1)
    before = key(model)
    change(model)
    assert key(model) != before


def test_where_and_how_it_computes_changes_the_key(monkeypatch: pytest.MonkeyPatch):
    model = small_policy(1)
    keys = {key(model), key(model, bf16=True), key(model, device="cuda")}
    assert len(keys) == 3
    before = key(model)
    monkeypatch.setattr(reference_model.transformers, "__version__", "4.0")
    assert key(model) != before


def test_tf32_changes_the_key_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch):
    model = small_policy(1)
    monkeypatch.setattr("mmpo_core.reference_model._tf32", lambda: False)
    before = key(model, device="cuda"), key(model)
    monkeypatch.setattr("mmpo_core.reference_model._tf32", lambda: True)
    assert key(model, device="cuda") != before[0]
    assert key(model) == before[1]


def test_code_of_the_model_changes_the_key(monkeypatch: pytest.MonkeyPatch):
    model = small_policy(1)
    before = key(model)
    monkeypatch.setattr("inspect.getsource", lambda module: "class MistralForCausalLM: ...")
    assert key(model) != before


@pytest.mark.parametrize("name", ["attention_dropout", "use_cache", "_name_or_path"])
def test_what_only_training_or_saving_reads_does_not(name: str):
    model = small_policy(1)
    before = key(model)
    values = {"attention_dropout": 0.5, "use_cache": False, "_name_or_path": "x"}
    setattr(model.config, name, values[name])
    assert key(model) == before


class Adapter(nn.Module):
    """What peft puts in a linear layer's place: the layer, and an adapter that may be off."""

    adapter_layer_names = ("lora_A", "lora_B")

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = layer
        self.lora_A = nn.ModuleDict({"default": nn.Linear(layer.in_features, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, layer.out_features, bias=False)})
        self.on = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.base_layer(x)
        return out + self.lora_B["default"](self.lora_A["default"](x)) if self.on else out


class Inner(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


class Adapted(nn.Module):
    """A model with adapters, its names and methods those of peft.PeftModel."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.base_model = Inner(model)
        self.adapters = []
        for layer in model.model.layers:
            layer.mlp.up_proj = Adapter(layer.mlp.up_proj)
            self.adapters.append(layer.mlp.up_proj)

    def get_base_model(self) -> Any:
        return self.base_model.model

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        for adapter in self.adapters:
            adapter.on = False
        yield
        for adapter in self.adapters:
            adapter.on = True

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.base_model.model(ids).logits


IDS = torch.arange(3, 13).view(2, 5)


def test_a_model_with_adapters_has_the_key_of_its_base():
    adapted = Adapted(small_policy(1))
    assert key(adapted) == key(small_policy(1))
    names = [name for name, _ in base_weights(adapted)]
    assert names == sorted(small_policy(1).state_dict())


def test_as_reference_turns_adapters_off_and_leaves_the_model_as_it_was():
    plain, adapted = small_policy(1), Adapted(small_policy(1)).train()
    with torch.no_grad():
        with as_reference(adapted):
            inside, was_training = adapted(IDS), adapted.training
        outside = adapted(IDS)
        expected = plain.eval()(IDS).logits
    assert torch.equal(inside, expected)
    assert not torch.allclose(outside, expected, atol=1e-3)
    assert (was_training, adapted.training) == (False, True)


class Mixin(nn.Module):
    """A transformers model with adapters: switched by two methods."""

    _hf_peft_config_loaded = True
    on = True

    def disable_adapters(self) -> None:
        self.on = False

    def enable_adapters(self) -> None:
        self.on = True


def test_as_reference_turns_adapters_of_transformers_off_and_on_again_after_an_error():
    model = Mixin()

    def fails() -> None:
        with as_reference(model):
            assert not model.on
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert model.on


def test_a_model_without_adapters_is_its_own_reference():
    model = small_policy(1).eval()
    with as_reference(model):
        assert not model.training
    assert not model.training
