"""Losses against hand-derived values, identities between them, and their own contract."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.bradley_terry import probability
from mmpo_core.errors import InputError
from mmpo_core.losses import LOSSES, log_ratio_gap, mmpo, soft_bradley_terry

# log-ratios: chosen -2 - (-3) = 1, -1 - (-1) = 0; rejected -4 - (-2) = -2, -2 - (-3) = 1
LOGPS = tuple(
    torch.tensor(values, dtype=torch.float64)
    for values in ([-2.0, -1.0], [-4.0, -2.0], [-3.0, -1.0], [-2.0, -3.0])
)
GAP = [3.0, -1.0]  # 1 - (-2), 0 - 1
TARGET = torch.tensor([0.75, 0.9], dtype=torch.float64)


def loss_of(name: str, logps=LOGPS, target=TARGET, beta: float = 0.5, **options: float):
    entry = LOSSES[name]
    return entry.function(*logps, target, beta=beta, **{**entry.options, **options})


def logps_with_gap(gap: torch.Tensor) -> tuple[torch.Tensor, ...]:
    zero = torch.zeros_like(gap)
    return gap, zero, zero, zero


def test_log_ratio_gap_is_the_chosen_minus_the_rejected_log_ratio():
    assert log_ratio_gap(*LOGPS).tolist() == GAP


def softplus(x: float) -> float:
    """-logsigmoid(-x) by its definition."""
    return math.log(1 + math.exp(x))


# With beta = 0.5: h = 1.5 and -0.5; -logsigmoid(h) = softplus(-h), -logsigmoid(-h) = softplus(h).
BY_HAND = {
    "mmpo": [
        0.75 * softplus(-1.5) + 0.25 * softplus(1.5),
        0.9 * softplus(0.5) + 0.1 * softplus(-0.5),
    ],
    "dpo": [softplus(-1.5), softplus(0.5)],
    "ipo": [(3 - 1) ** 2, (-1 - 1) ** 2],  # 1 / (2 beta) = 1
    "hinge": [0.0, 1.5],  # 1 - 1.5 < 0; 1 + 0.5
    "cdpo": [
        0.9 * softplus(-1.5) + 0.1 * softplus(1.5),
        0.9 * softplus(0.5) + 0.1 * softplus(-0.5),
    ],
}


def test_every_loss_has_a_value_derived_by_hand():
    assert BY_HAND.keys() == LOSSES.keys()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_equals_its_value_by_hand(name: str):
    assert loss_of(name).tolist() == pytest.approx(BY_HAND[name], rel=1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_entry_is_documented(name: str):
    entry = LOSSES[name]
    assert "arXiv" in entry.source or "Mitchell" in entry.source
    assert entry.equation
    assert (entry.function.__doc__ or "").strip()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_one_number_a_pair_and_pairs_do_not_mix(name: str):
    together = loss_of(name)
    alone = [loss_of(name, [t[i : i + 1] for t in LOGPS], TARGET[i : i + 1]) for i in range(2)]
    assert together.shape == (2,)
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("wrong", range(5))
def test_a_column_against_a_vector_is_refused(name: str, wrong: int):
    """(B, 1) - (B,) broadcasts to (B, B): the paper's reward code trained on the batch mean."""
    tensors = [*LOGPS, TARGET]
    tensors[wrong] = tensors[wrong].unsqueeze(1)
    with pytest.raises(ValueError, match=r"one shape \(B,\)"):
        loss_of(name, tensors[:4], tensors[4])


@pytest.mark.parametrize("name", LOSSES)
def test_only_losses_that_say_so_read_the_target(name: str):
    other = loss_of(name, target=TARGET - 0.2)
    assert torch.equal(other, loss_of(name)) != LOSSES[name].reads_target


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [-1e4, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_gaps_give_finite_losses_and_gradients(name: str, size: float, dtype: torch.dtype):
    gap = torch.tensor([size], dtype=dtype, requires_grad=True)
    loss = loss_of(name, logps_with_gap(gap), torch.tensor([0.7], dtype=dtype), beta=1.0)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gap.grad).all()


gaps = st.floats(-50, 50)


@given(gaps, st.floats(0.01, 2))
def test_mmpo_with_certain_targets_is_dpo_exactly(gap: float, beta: float):
    logps = logps_with_gap(torch.tensor([gap, 1.0]))
    ones = torch.ones(2)
    assert torch.equal(loss_of("mmpo", logps, ones, beta), loss_of("dpo", logps, ones, beta))


@given(gaps)
def test_mmpo_with_even_targets_is_symmetric(gap: float):
    half = torch.tensor([0.5])
    forth, back = (loss_of("mmpo", logps_with_gap(torch.tensor([g])), half) for g in (gap, -gap))
    assert torch.equal(forth, back)


@given(gaps, st.floats(0, 0.49))
def test_cdpo_is_mmpo_with_one_target_for_all(gap: float, smoothing: float):
    logps = logps_with_gap(torch.tensor([gap], dtype=torch.float64))
    target = torch.tensor([1 - smoothing], dtype=torch.float64)
    assert torch.equal(
        loss_of("cdpo", logps, target, label_smoothing=smoothing), loss_of("mmpo", logps, target)
    )


@given(st.floats(0, 20), st.floats(0, 1.5))
def test_gradient_vanishes_at_gamma_times_margin(margin: float, gamma: float):
    """d/dh = sigma(h) - p, which is 0 at h = gamma * margin because p = sigma(gamma * margin)."""
    h = torch.tensor([gamma * margin], dtype=torch.float64, requires_grad=True)
    soft_bradley_terry(h, torch.from_numpy(probability([margin], gamma))).sum().backward()
    assert abs(float(h.grad)) < 1e-15


@given(gaps, st.floats(0.5, 1))
def test_gradient_is_sigma_of_h_minus_target(h_value: float, p: float):
    h = torch.tensor([h_value], dtype=torch.float64, requires_grad=True)
    soft_bradley_terry(h, torch.tensor([p], dtype=torch.float64)).sum().backward()
    assert float(h.grad) == pytest.approx(1 / (1 + math.exp(-h_value)) - p, abs=1e-14)


def test_entropy_of_the_target_is_the_least_loss():
    """h = ln 3 is the log-odds of 3/4; there the loss is 3/4 ln(4/3) + 1/4 ln 4 = 0.5623."""
    h = torch.tensor([math.log(3)], dtype=torch.float64)
    loss = soft_bradley_terry(h, torch.tensor([0.75], dtype=torch.float64))
    assert float(loss) == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4), rel=1e-14)


def test_mmpo_reads_no_default_beta():
    with pytest.raises(TypeError, match="beta"):
        mmpo(*LOGPS, TARGET)


@pytest.mark.parametrize("smoothing", [-0.1, 0.5, float("nan")])
def test_cdpo_refuses_smoothing_out_of_range(smoothing: float):
    with pytest.raises(InputError, match="label_smoothing"):
        loss_of("cdpo", label_smoothing=smoothing)
