"""Losses against hand-derived values, identities between them, and their own contract."""

import inspect
import math
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.bradley_terry import probability
from mmpo_core.errors import InputError
from mmpo_core.losses import (
    LOSSES,
    OBJECTIVES,
    REWARD_LOSSES,
    Loss,
    answer_scores,
    centring,
    functions,
    sft_loss,
)
from mmpo_core.train_options import TrainOptions

BETA = 0.5
H = [1.5, -0.5]
TARGET = [0.75, 0.9]  # log-odds ln 3 and ln 9
GAP = [math.log(3), math.log(9)]

ALL = [(objective, name) for objective, losses in OBJECTIVES.items() for name in losses]
EVERY_LOSS = pytest.mark.parametrize(("objective", "name"), ALL)


def columns(target: Any = TARGET, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    """The columns that losses read: p, and gamma * m = log p / (1 - p)."""
    p = torch.as_tensor(target, dtype=torch.float64)
    return {"target": p.to(dtype), "target_gap": torch.logit(p).to(dtype)}


def loss_of(loss: Loss, h: Any = H, batch: Mapping[str, torch.Tensor] | None = None, **options):
    h = torch.as_tensor(h, dtype=torch.float64) if not isinstance(h, torch.Tensor) else h
    return loss(h, columns() if batch is None else batch, beta=BETA, **options)


def softplus(x: float) -> float:
    """-logsigmoid(-x) by its definition."""
    return math.log(1 + math.exp(x))


SOFT = [
    0.75 * softplus(-1.5) + 0.25 * softplus(1.5),
    0.9 * softplus(0.5) + 0.1 * softplus(-0.5),
]
HARD = [softplus(-1.5), softplus(0.5)]
OFFSET = [softplus(math.log(3) - 1.5), softplus(math.log(9) + 0.5)]
BY_HAND = {
    "policy": {
        "mmpo": SOFT,
        "mmpo-norm": SOFT,
        "dpo": HARD,
        "cdpo": [
            0.9 * softplus(-1.5) + 0.1 * softplus(1.5),
            0.9 * softplus(0.5) + 0.1 * softplus(-0.5),
        ],
        "robust": [
            (0.9 * softplus(-1.5) - 0.1 * softplus(1.5)) / 0.8,
            (0.9 * softplus(0.5) - 0.1 * softplus(-0.5)) / 0.8,
        ],
        "ipo": [(3 - 1) ** 2, (-1 - 1) ** 2],  # h / beta = 3, -1; 1 / (2 beta) = 1
        "hinge": [0.0, 1.5],  # 1 - 1.5 < 0; 1 + 0.5
        "odpo": OFFSET,
        "rpo": [(1.5 - math.log(3)) ** 2, (-0.5 - math.log(9)) ** 2],
        "simpo": [softplus(0.5 - 1.5), softplus(0.5 + 0.5)],
        "simpo-mm": SOFT,
    },
    "reward": {"mmpo": SOFT, "hard": HARD, "offset": OFFSET},
}


def test_every_loss_has_a_value_derived_by_hand():
    assert {key: list(value) for key, value in BY_HAND.items()} == {
        key: list(value) for key, value in OBJECTIVES.items()
    }


@EVERY_LOSS
def test_loss_equals_its_value_by_hand(objective: str, name: str):
    values = loss_of(OBJECTIVES[objective][name]).tolist()
    assert values == pytest.approx(BY_HAND[objective][name], rel=1e-13, abs=1e-15)


LN3 = math.log(3)
ENTROPY = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
IN_DOCSTRINGS = [
    (functions.soft_bradley_terry, [0.0, 0.3], {}, "0.6931"),
    (functions.soft_bradley_terry, [LN3, 0.75], {}, "0.5623"),
    (functions.hard, [LN3], {}, "0.2877"),
    (functions.offset, [2 * LN3, LN3], {}, "0.2877"),
    (functions.squared, [3.0, 1.0], {}, "4"),
    (functions.hinge, [0.25], {}, "0.75"),
    (functions.ipo, [0.0], {"beta": 0.1}, "25"),
    (functions.smoothed, [LN3], {"label_smoothing": 0.25}, "0.5623"),
    (functions.robust, [LN3], {"label_smoothing": 0.25}, "-0.2616"),
    (functions.simpo, [2 * LN3], {"simpo_margin": LN3}, "0.2877"),
    (sft_loss, [-6.0, 3.0], {}, "2"),
    (centring, [3.0, -1.0], {}, "4"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "value"), IN_DOCSTRINGS)
def test_values_in_docstrings_are_true(
    function: Any, arguments: list[float], options: dict[str, float], value: str
):
    result = function(*(torch.tensor([x], dtype=torch.float64) for x in arguments), **options)
    assert "By hand" in function.__doc__
    assert value in function.__doc__
    assert float(result) == pytest.approx(float(value), abs=5e-5)


def test_every_function_has_a_value_in_its_docstring_that_is_checked():
    public = {f for f in vars(functions).values() if inspect.isfunction(f)}
    ours = {f for f in public if f.__module__ == functions.__name__ and f.__name__[0] != "_"}
    assert ours <= {function for function, *_ in IN_DOCSTRINGS}
    assert {loss.function for losses in OBJECTIVES.values() for loss in losses.values()} == ours


@EVERY_LOSS
def test_entry_is_documented_and_can_be_asked_for(objective: str, name: str):
    loss = OBJECTIVES[objective][name]
    assert "arXiv" in loss.source or "Mitchell" in loss.source
    hints = get_type_hints(TrainOptions)
    assert name in get_args(hints["loss"])
    for option in loss.options:
        assert option in hints
        assert option in loss.equation
    assert ("p " in loss.equation) == (loss.reads == "target")
    assert ("gamma m" in loss.equation) == (loss.reads == "target_gap")
    assert objective == "policy" or not (loss.length_normalised or loss.reference_free)


def test_options_offer_no_loss_that_does_not_exist():
    offered = set(get_args(get_type_hints(TrainOptions)["loss"]))
    assert offered == {name for _, name in ALL}


@EVERY_LOSS
def test_loss_is_one_number_a_pair_and_pairs_do_not_mix(objective: str, name: str):
    loss = OBJECTIVES[objective][name]
    together = loss_of(loss)
    alone = [loss_of(loss, [H[i]], columns([TARGET[i]])) for i in range(2)]
    assert together.shape == (2,)
    assert torch.equal(together, torch.cat(alone))


@EVERY_LOSS
def test_a_column_against_a_vector_is_refused(objective: str, name: str):
    """(B, 1) - (B,) broadcasts to (B, B): the paper's reward code trained on the batch mean."""
    loss = OBJECTIVES[objective][name]
    with pytest.raises(ValueError, match=r"one shape \(B,\)"):
        loss_of(loss, torch.tensor(H).unsqueeze(1))
    if loss.reads is not None:
        with pytest.raises(ValueError, match=r"one shape \(B,\), got h \(2,\), target"):
            loss_of(loss, batch={loss.reads: columns()[loss.reads].unsqueeze(1)})


@EVERY_LOSS
def test_only_losses_that_say_so_read_a_column(objective: str, name: str):
    loss = OBJECTIVES[objective][name]
    other = columns([0.55, 0.7])
    assert torch.equal(loss_of(loss, batch=other), loss_of(loss)) == (loss.reads is None)
    if loss.reads is None:
        assert torch.equal(loss_of(loss, batch={}), loss_of(loss))
    else:
        with pytest.raises(KeyError, match=loss.reads):
            loss_of(loss, batch={})


@EVERY_LOSS
@pytest.mark.parametrize("size", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_gaps_give_finite_losses_and_gradients(
    objective: str, name: str, size: float, dtype: torch.dtype
):
    h = torch.tensor([size], dtype=dtype, requires_grad=True)
    loss = loss_of(OBJECTIVES[objective][name], h, columns([0.7], dtype))
    loss.sum().backward()
    assert loss.dtype == dtype
    assert torch.isfinite(loss).all()
    assert torch.isfinite(h.grad).all()


# what h is pulled to, at p = 0.75 and beta = 0.5; inf where more is always better
AIM = {
    "target": LN3,
    "ipo": BETA * 1 / (2 * BETA),
    "hinge": 1.0,
    "cdpo": math.log(9),
    "rpo": LN3,
}


@EVERY_LOSS
@given(h_value=st.floats(-30, 30))
def test_gradient_pulls_h_towards_its_aim(objective: str, name: str, h_value: float):
    loss = OBJECTIVES[objective][name]
    aim = AIM.get("target" if loss.reads == "target" else name, math.inf)
    h = torch.tensor([h_value], dtype=torch.float64, requires_grad=True)
    loss_of(loss, h, columns([0.75])).sum().backward()
    if h_value < aim - 1e-6:
        assert float(h.grad) < 0
    elif h_value > aim + 1e-6:
        assert float(h.grad) > 0 if name != "hinge" else float(h.grad) == 0


# rpo reads the log-odds, which turn their sign as p becomes 1 - p
SYMMETRIC = [(o, n) for o, n in ALL if OBJECTIVES[o][n].reads == "target" or n == "rpo"]


@pytest.mark.parametrize(("objective", "name"), SYMMETRIC)
@given(h=st.floats(-30, 30), p=st.floats(0.01, 0.99))
def test_swapping_the_answers_of_a_pair_changes_nothing(
    objective: str, name: str, h: float, p: float
):
    loss = OBJECTIVES[objective][name]
    forth = loss_of(loss, [h], columns([p]))
    back = loss_of(loss, [-h], columns([1 - p]))
    assert float(forth) == pytest.approx(float(back), rel=1e-9, abs=1e-12)


@EVERY_LOSS
def test_hard_labels_take_the_chosen_answer_of_a_tie_to_be_better(objective: str, name: str):
    loss = OBJECTIVES[objective][name]
    tie = columns([0.5])
    better, worse = float(loss_of(loss, [0.4], tie)), float(loss_of(loss, [-0.4], tie))
    assert (better < worse) == loss.hard_labels
    assert loss.hard_labels or better == pytest.approx(worse)


gaps = st.floats(-50, 50)


@given(gaps)
def test_mmpo_with_certain_targets_is_dpo_exactly(h: float):
    batch = {"target": torch.ones(1, dtype=torch.float64)}
    assert torch.equal(loss_of(LOSSES["mmpo"], [h], batch), loss_of(LOSSES["dpo"], [h], batch))
    assert LOSSES["dpo"].function is REWARD_LOSSES["hard"].function


@given(gaps)
def test_ties_have_no_offset(h: float):
    """p = 1/2 is gamma * m = 0: odpo is dpo there, and so are the other losses without offset."""
    tie = columns([0.5])
    hard = loss_of(LOSSES["dpo"], [h], tie)
    assert torch.equal(loss_of(LOSSES["odpo"], [h], tie), hard)
    assert torch.equal(loss_of(LOSSES["simpo"], [h], tie, simpo_margin=0.0), hard)
    assert torch.equal(loss_of(LOSSES["robust"], [h], tie, label_smoothing=0.0), hard)
    assert torch.equal(loss_of(LOSSES["cdpo"], [h], tie, label_smoothing=0.0), hard)


@given(gaps, st.floats(0, 0.49))
def test_cdpo_is_mmpo_with_one_target_for_all(h: float, smoothing: float):
    batch = columns([1 - smoothing])
    assert torch.equal(
        loss_of(LOSSES["cdpo"], [h], batch, label_smoothing=smoothing),
        loss_of(LOSSES["mmpo"], [h], batch),
    )


@given(gaps, st.floats(0, 0.49))
def test_robust_loss_under_flips_is_dpo_of_the_right_labels(h: float, flips: float):
    """Mean over flips, (1 - e) L(h) + e L(-h): -logsigmoid(h), what arXiv 2403.00409 is after."""
    right, wrong = (loss_of(LOSSES["robust"], [x], label_smoothing=flips) for x in (h, -h))
    mean = float((1 - flips) * right + flips * wrong)
    assert mean == pytest.approx(float(loss_of(LOSSES["dpo"], [h])), rel=1e-9, abs=1e-9)


@given(gaps, st.floats(0.51, 0.99))
def test_mmpo_is_rpo_with_the_divergence_of_nemotron_up_to_a_constant(h: float, p: float):
    """KL(p || sigma(h)) = mmpo - entropy of p: the loss of arXiv 2406.11704."""
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    divergence = p * (math.log(p) + softplus(-h)) + (1 - p) * (math.log(1 - p) + softplus(h))
    mmpo = float(loss_of(LOSSES["mmpo"], [h], columns([p])))
    assert mmpo - entropy == pytest.approx(divergence, rel=1e-9, abs=1e-9)


@given(st.floats(0, 20), st.floats(0, 1.5))
def test_gradient_vanishes_at_gamma_times_margin(margin: float, gamma: float):
    """d/dh = sigma(h) - p, which is 0 at h = gamma * margin because p = sigma(gamma * margin)."""
    h = torch.tensor([gamma * margin], dtype=torch.float64, requires_grad=True)
    target = torch.from_numpy(probability([margin], gamma))
    functions.soft_bradley_terry(h, target).sum().backward()
    assert abs(float(h.grad)) < 1e-15


@given(gaps, st.floats(0.5, 1))
def test_gradient_is_sigma_of_h_minus_target(h_value: float, p: float):
    h = torch.tensor([h_value], dtype=torch.float64, requires_grad=True)
    functions.soft_bradley_terry(h, torch.tensor([p], dtype=torch.float64)).sum().backward()
    assert float(h.grad) == pytest.approx(1 / (1 + math.exp(-h_value)) - p, abs=1e-14)


def test_mmpo_in_float32_equals_numpy_in_float64():
    """-p ln sigma(h) - (1 - p) ln(1 - sigma(h)) with logaddexp, for gaps from -40 to 40."""
    draw = np.random.default_rng(0)
    h = draw.uniform(-40, 40, 1000).astype(np.float32)
    p = draw.uniform(0.5, 1, 1000).astype(np.float32)
    h64, p64 = h.astype(np.float64), p.astype(np.float64)
    expected = p64 * np.logaddexp(0, -h64) + (1 - p64) * np.logaddexp(0, h64)
    ours = LOSSES["mmpo"](torch.from_numpy(h), {"target": torch.from_numpy(p)})
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["cdpo", "robust"])
@pytest.mark.parametrize("smoothing", [-0.1, 0.5, float("nan")])
def test_smoothing_out_of_range_is_refused(name: str, smoothing: float):
    with pytest.raises(InputError, match="label_smoothing"):
        loss_of(LOSSES[name], label_smoothing=smoothing)


def test_scores_of_answers_by_hand():
    """log pi = -6 and -4, log ref = -9 and -5 over 3 and 2 tokens; sums 3 and 1, means 1, 1/2."""
    logps, reference = torch.tensor([-6.0, -4.0]), torch.tensor([-9.0, -5.0])
    tokens = torch.tensor([3, 2])
    expected = {
        "mmpo": [3.0, 1.0],
        "mmpo-norm": [1.0, 0.5],
        "simpo": [-2.0, -2.0],
    }
    for name, scores in expected.items():
        given_reference = None if LOSSES[name].reference_free else reference
        assert answer_scores(LOSSES[name], logps, given_reference, tokens).tolist() == scores
    with pytest.raises(ValueError, match="one shape"):
        answer_scores(LOSSES["mmpo"], logps, reference.unsqueeze(1), tokens)
