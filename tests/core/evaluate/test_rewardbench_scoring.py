"""Section scores and averages of RewardBench against figures derived by hand and published ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.errors import InputError
from mmpo_core.evaluate.rewardbench.published import PUBLISHED
from mmpo_core.evaluate.rewardbench.scoring import (
    average,
    correct,
    half_credit,
    scores_of,
    section_scores,
)
from mmpo_core.evaluate.rewardbench.sections import (
    PRIOR,
    SECTIONS,
    SUBSETS,
    UNCOUNTED,
    section_of,
)

# How many examples are right, of how many: allenai/reward-bench-results, eval-set/ and pref-sets/
# Ahjeong/MMPO_Gemma_7b_gamma1.1_epoch3.json (commits 51934fac, 5f7bbd7a), as accuracies there.
MMPO_7B = {
    "alpacaeval-easy": 98 / 100,
    "alpacaeval-length": 88 / 95,
    "alpacaeval-hard": 92 / 95,
    "mt-bench-easy": 28 / 28,
    "mt-bench-med": 40 / 40,
    "mt-bench-hard": 30 / 37,
    "llmbar-natural": 91 / 100,
    "llmbar-adver-neighbor": 69 / 134,
    "llmbar-adver-GPTInst": 42 / 92,
    "llmbar-adver-GPTOut": 33 / 47,
    "llmbar-adver-manual": 26 / 46,
    "refusals-dangerous": 76 / 100,
    "refusals-offensive": 75 / 100,
    "xstest-should-refuse": 112 / 154,
    "xstest-should-respond": 235 / 250,
    "donotanswer": 72 / 136,
    "math-prm": 248 / 447,
    "hep-cpp": 152 / 164,
    "hep-go": 153 / 164,
    "hep-java": 157 / 164,
    "hep-js": 152 / 164,
    "hep-python": 156 / 164,
    "hep-rust": 152 / 164,
    "anthropic_helpful": 0.6385658914728682,
    "anthropic_hhh": 181 / 221,
    "shp": 1087 / 1741,
    "summarize": 5943 / 9000,
}


def test_scores_of_a_public_result_file() -> None:
    """Chat, Chat Hard and Safety are counts over counts: 346 of 358, 291 of 456, 570 of 740.

    Reasoning: code 922 of 984 and math 248 of 447, each weighing 984: their plain mean. Prior
    Sets: the plain mean of four accuracies, whatever their sizes. Average: the four and half of
    Prior Sets, over 4.5.
    """
    found = scores_of(MMPO_7B)
    reasoning = (922 / 984 + 248 / 447) / 2
    prior = (0.6385658914728682 + 181 / 221 + 1087 / 1741 + 5943 / 9000) / 4
    expected = {
        "Chat": 346 / 358,
        "Chat Hard": 291 / 456,
        "Safety": 570 / 740,
        "Reasoning": reasoning,
        PRIOR: prior,
    }
    assert found.sections == pytest.approx(expected, abs=1e-12)
    whole = 346 / 358 + 291 / 456 + 570 / 740 + reasoning + prior / 2
    assert found.average == pytest.approx(whole / 4.5, abs=1e-12)


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_averages_follow_from_published_sections(model: str) -> None:
    """Sections are rounded by up to 0.05, and so is the average: they may differ by 0.1."""
    figures = PUBLISHED[model]
    sections = np.array([figures[name] for name in SECTIONS])
    assert float(average(sections)) == pytest.approx(figures["average"], abs=0.1)


def test_what_is_absent_does_not_count() -> None:
    """Chat of 100 and 28 examples: (100 * 0.5 + 28) / 128 = 0.609375. With Prior Sets 0.2 of one
    subset the average is (0.609375 + 0.2 / 2) / 1.5."""
    found = scores_of({"alpacaeval-easy": 0.5, "mt-bench-easy": 1.0, "shp": 0.2})
    assert found.sections == {"Chat": 0.609375, PRIOR: 0.2}
    assert found.average == pytest.approx((0.609375 + 0.1) / 1.5, abs=1e-15)


def test_uncounted_subsets_make_no_score() -> None:
    found = scores_of(dict.fromkeys(UNCOUNTED, 1.0))
    assert found.sections == {}
    assert math.isnan(found.average)


def test_a_tie_is_a_miss_here_and_half_elsewhere() -> None:
    chosen, rejected = np.array([1.0, 1.0, 1.0]), np.array([0.5, 1.0, 2.0])
    assert correct(chosen, rejected).tolist() == [1, 0, 0]
    assert half_credit(chosen, rejected).tolist() == [1, 0.5, 0]


def test_the_benchmark_has_23_core_subsets_of_2985_examples() -> None:
    """As the dataset's card counts them: math-prm has 447 examples and weighs 984, as code does."""
    core = {k: n for name, one in SECTIONS.items() if name != PRIOR for k, n in one.counts.items()}
    code = sum(n for name, n in core.items() if name.startswith("hep-"))
    assert len(core) == 23
    assert code == core["math-prm"] == 984
    assert sum(core.values()) - 984 + 447 == 2985
    assert len(SUBSETS) == len(set(SUBSETS)) == 23 + 4 + 5


def test_section_of_a_subset() -> None:
    assert section_of("llmbar-natural") == "Chat Hard"
    assert section_of("mtbench_human") is None


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [({"shpp": 0.5}, "Did you mean 'shp'"), ({"shp": 1.5}, "shp: accuracy is 1.5")],
)
def test_what_cannot_be_scored_is_refused(accuracies: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        scores_of(accuracies)


@given(st.dictionaries(st.sampled_from(SUBSETS), st.floats(0, 1)))
def test_scores_lie_between_their_parts(accuracies: dict[str, float]) -> None:
    found = scores_of(accuracies)
    for name, score in found.sections.items():
        parts = [accuracies[one] for one in SECTIONS[name].counts if one in accuracies]
        assert min(parts) - 1e-12 <= score <= max(parts) + 1e-12
    if found.sections:
        low, high = min(found.sections.values()), max(found.sections.values())
        assert low - 1e-12 <= found.average <= high + 1e-12


def test_many_tables_at_once_are_each_scored_alone() -> None:
    rng = np.random.default_rng(5)
    tables = rng.random((7, len(SUBSETS)))
    tables[rng.random(tables.shape) < 0.3] = np.nan
    together = section_scores(tables)
    assert together.shape == (7, len(SECTIONS))
    for table, row in zip(tables, together, strict=True):
        there = {n: float(v) for n, v in zip(SUBSETS, table, strict=True) if v == v}
        alone = scores_of(there).sections
        assert [alone.get(name, np.nan) for name in SECTIONS] == pytest.approx(
            row.tolist(), nan_ok=True
        )
