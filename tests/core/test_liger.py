"""--liger: which kernels are asked for, where it is refused, and that the cache tells it apart."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mmpo_core.errors import InputError
from mmpo_core.liger import require_liger, with_liger
from mmpo_core.reference_model import reference_key
from mmpo_core.train import train
from tests.core.pair_tables import pair_file
from tests.core.small_models import small_policy


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A stand-in for the package, which cannot be imported without triton: notes what is asked."""
    calls: list[dict[str, Any]] = []
    package, inner = ModuleType("liger_kernel"), ModuleType("liger_kernel.transformers")
    inner._apply_liger_kernel_to_instance = lambda **how: calls.append(how)  # type: ignore[attr-defined]
    patches = ModuleType("liger_kernel.transformers.monkey_patch")
    patches.MODEL_TYPE_TO_APPLY_LIGER_FN = {"mistral": None, "llama": None}  # type: ignore[attr-defined]
    for module in (package, inner, patches):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("transformers.integrations.liger.is_liger_kernel_available", lambda: True)
    monkeypatch.setattr("transformers.utils.is_liger_kernel_available", lambda: True)
    return calls


def test_all_kernels_but_the_losses_are_asked_for(asked: list[dict[str, Any]]):
    model = small_policy(0)
    assert with_liger(model) is model
    assert asked == [{"model": model, "cross_entropy": False, "fused_linear_cross_entropy": False}]


def test_an_architecture_that_liger_does_not_know_is_refused(asked: list[dict[str, Any]]):
    model = small_policy(0)
    model.config.model_type = "mustral"
    with pytest.raises(InputError, match=r"no kernels for models of type mustral.*llama, mistral"):
        with_liger(model)
    assert not asked


def test_log_probs_with_and_without_liger_do_not_share_a_cache(asked: list[dict[str, Any]]):
    def key(model: Any) -> str:
        return reference_key(model, device="cuda", bf16=True)[0]

    assert key(small_policy(0)) == key(small_policy(0))
    assert key(with_liger(small_policy(0))) != key(small_policy(0))


def test_a_cpu_is_refused_before_anything_is_loaded(asked: list[dict[str, Any]], tmp_path: Path):
    with pytest.raises(InputError, match="liger needs a GPU, and this run is on a CPU"):
        train(pairs=pair_file(tmp_path), model="no/such-model", liger=True, device="cpu")


def test_a_run_puts_the_kernels_into_policy_and_reference(
    asked: list[dict[str, Any]], micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mmpo_core.training_args.require_liger", lambda on_cpu: None)
    train(
        pairs=pair_file(tmp_path),
        model=str(micro_model),
        reference=str(micro_model),
        out=tmp_path / "out",
        liger=True,
        max_length=128,
        eval_split=0.0,
        device="cpu",
    )
    models = [call["model"] for call in asked]
    assert len(models) == 2
    assert models[0] is not models[1]


def test_the_real_package_replaces_norms_and_leaves_the_forward_pass_over_the_vocabulary():
    pytest.importorskip("triton", reason="liger-kernel needs triton")
    pytest.importorskip("liger_kernel", reason="liger-kernel is in margintool[liger]")
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN

    require_liger(on_cpu=False)
    assert "mistral" in MODEL_TYPE_TO_APPLY_LIGER_FN
    model = small_policy(0)
    before = model.forward.__func__
    with_liger(model)
    assert "liger" in model.model.norm.forward.__func__.__module__
    assert "liger" in model.model.layers[0].mlp.forward.__func__.__module__
    assert model.forward.__func__ is before
