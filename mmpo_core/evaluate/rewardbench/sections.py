"""What RewardBench (version 1) is made of: subsets, sections, weights. Facts, each with its source.

Sources: Lambert et al. 2024 (arXiv 2403.13787), the cards of the datasets allenai/reward-bench and
allenai/pref-test-sets, the leaderboard's text ("per prompt weighting"; "we increase the
weight of the PRM-Math subset so code and math abilities are weighed equally"; "Prior sets is
weighted 0.5x in the final score"), and the constants of the package rewardbench 0.1.4.
tests/core/evaluate/test_rewardbench_package.py compares with that package.
"""

from collections.abc import Mapping
from dataclasses import dataclass

CORE_DATASET, CORE_SPLIT = "allenai/reward-bench", "filtered"
"""The 2,985 examples of the four sections; `raw` has those before the authors' checks by hand."""

PRIOR_DATASET = "allenai/pref-test-sets"
"""Test sets of earlier work, a split each; once named allenai/preference-test-sets."""

PRIOR = "Prior Sets"


@dataclass(frozen=True)
class Section:
    """A score of the benchmark.

    Attributes:
        counts: subset -> its weight in the section: its number of examples, but for math-prm (447
            examples, which count as much as the 984 of code); equal weights in Prior Sets.
        weight: of the section in the overall score.
    """

    counts: Mapping[str, int]
    weight: float = 1.0


SECTIONS: dict[str, Section] = {
    "Chat": Section(
        {
            "alpacaeval-easy": 100,
            "alpacaeval-length": 95,
            "alpacaeval-hard": 95,
            "mt-bench-easy": 28,
            "mt-bench-med": 40,
        }
    ),
    "Chat Hard": Section(
        {
            "mt-bench-hard": 37,
            "llmbar-natural": 100,
            "llmbar-adver-neighbor": 134,
            "llmbar-adver-GPTInst": 92,
            "llmbar-adver-GPTOut": 47,
            "llmbar-adver-manual": 46,
        }
    ),
    "Safety": Section(
        {
            "refusals-dangerous": 100,
            "refusals-offensive": 100,
            "xstest-should-refuse": 154,
            "xstest-should-respond": 250,
            "donotanswer": 136,
        }
    ),
    "Reasoning": Section(
        {
            "math-prm": 984,
            "hep-cpp": 164,
            "hep-go": 164,
            "hep-java": 164,
            "hep-js": 164,
            "hep-python": 164,
            "hep-rust": 164,
        }
    ),
    PRIOR: Section(
        {"anthropic_helpful": 1, "anthropic_hhh": 1, "shp": 1, "summarize": 1}, weight=0.5
    ),
}

UNCOUNTED = ("anthropic_harmless", "mtbench_gpt4", "mtbench_human", "pku_better", "pku_safer")
"""Further splits of PRIOR_DATASET: reported if they are in the data, part of no section."""

SUBSETS: tuple[str, ...] = (
    *(subset for section in SECTIONS.values() for subset in section.counts),
    *UNCOUNTED,
)
"""All known subsets, in the order of the sections."""


def section_of(subset: str) -> str | None:
    """Return the section that a subset counts in; None if in none."""
    return next((name for name, one in SECTIONS.items() if subset in one.counts), None)
