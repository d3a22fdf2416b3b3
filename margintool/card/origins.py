"""What is known of the datasets behind the layouts: licence, and what to be careful about.

Facts as of 2025 from the datasets' own pages; `unknown` where a page names no licence. The long
form is in data_cards/, one file each; a test holds the two together. Read by writing.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Origin:
    """A kind of dataset.

    card: file in data_cards/. licenses: hub id -> the hub's identifier of its licence, empty for
    data that is the user's own. caveats: what a reader of the pairs should know.
    """

    card: str
    caveats: tuple[str, ...]
    licenses: Mapping[str, str] = field(default_factory=dict)


LENGTH = "Longer answers tend to win for their length alone."
GIVEN_ORDER = "Which answer was preferred is known, how strongly is not: the margin is an estimate."
ULTRAFEEDBACK = (
    "Ratings come from GPT-4, which prefers long answers and text like its own.",
    "The first release stored a critique score of 1 as an overall score of 10 in about 2,000 "
    "completions, and overall scores can disagree with the aspect ratings.",
    "Some prompts are from TruthfulQA and other benchmarks: do not evaluate on those.",
)

ORIGINS: Mapping[str, Origin] = {
    "shp": Origin(
        "stanfordnlp-shp.md",
        (
            "Votes measure popularity with one community, not correctness.",
            "Earlier comments are seen by more people. SHP keeps a pair only where the later "
            "comment has the higher score, so time of post still shapes which pairs exist and how "
            "large their margins are.",
            LENGTH,
            "Texts are from internet users: expect unpleasant language and personal details.",
        ),
        {"stanfordnlp/SHP": "unknown", "stanfordnlp/SHP-2": "unknown"},
    ),
    "ultrafeedback": Origin(
        "openbmb-ultrafeedback.md", ULTRAFEEDBACK, {"openbmb/UltraFeedback": "mit"}
    ),
    "ultrafeedback_binarized": Origin(
        "ultrafeedback-binarized.md",
        ULTRAFEEDBACK,
        {
            "HuggingFaceH4/ultrafeedback_binarized": "mit",
            "allenai/ultrafeedback_binarized_cleaned": "unknown",
        },
    ),
    "argilla_ultrafeedback": Origin(
        "argilla-ultrafeedback.md",
        (
            ULTRAFEEDBACK[0],
            "Ratings are means of four aspects; pairs of equal rating were removed, so there are "
            "no ties to learn from.",
        ),
        {
            "argilla/ultrafeedback-binarized-preferences-cleaned": "mit",
            "argilla/ultrafeedback-binarized-preferences": "unknown",
        },
    ),
    "helpsteer2": Origin(
        "helpsteer2.md",
        (
            "Complexity and verbosity describe an answer, they do not praise it: leave them out "
            "of --margin mean with --aspects helpfulness,correctness,coherence.",
            "Ratings are whole numbers from 0 to 4: many ties and few margin values.",
            LENGTH,
        ),
        {"nvidia/HelpSteer2": "cc-by-4.0"},
    ),
    "helpsteer3": Origin(
        "helpsteer3.md",
        (
            "Annotators saw both answers at once, and the first place may have had an advantage.",
            "The preference has seven steps: many pairs share a margin.",
            LENGTH,
        ),
        {"nvidia/HelpSteer3": "cc-by-4.0"},
    ),
    "votes_pair": Origin(
        "pandalm.md",
        (
            "With few annotators a margin is coarse and noisy; --margin posterior shrinks it.",
            "Annotators saw the two answers in a fixed order: a position bias is possible.",
            LENGTH,
        ),
    ),
    "ratings_long": Origin(
        "own-ratings-and-votes.md",
        (
            "Raters differ in how they use a scale; margins mix these habits unless every rater "
            "rated both answers.",
            "A model that rates prefers long answers and text like its own.",
        ),
    ),
    "ratings_pair": Origin(
        "own-ratings-and-votes.md",
        (
            "Where both answers were rated side by side, the first place may have an advantage.",
            "A model that rates prefers long answers and text like its own.",
        ),
    ),
    "judgments": Origin(
        "own-ratings-and-votes.md",
        (
            "A judge favours one place; the mean of both orders cancels that only on average.",
            "A model that rates prefers long answers and text like its own.",
        ),
    ),
    "pairs": Origin("own-preferences.md", (GIVEN_ORDER, LENGTH)),
    "pair_file": Origin(
        "own-preferences.md",
        ("Winners and ties are those of the pair file that was scored again.", LENGTH),
    ),
    "hh": Origin(
        "anthropic-hh-rlhf.md",
        (
            GIVEN_ORDER,
            "Red-team prompts and their answers are in it: expect offensive and upsetting text.",
            "Its authors made it for preference and reward models, not for supervised training.",
        ),
        {"Anthropic/hh-rlhf": "mit"},
    ),
    "responses": Origin("own-preferences.md", (LENGTH,)),
}

# What holds for margins of a source, whatever the dataset.
SOURCE_CAVEATS: Mapping[str, tuple[str, ...]] = {
    "gpt4": (
        "A model that judges prefers long answers and text like its own.",
        "Pairs whose given order the judge contradicts are counted as flipped.",
    ),
    "similarity": (
        "Similarity says how different two answers are, not how much better one is.",
        "Two good answers in other words have a large margin, a good one and a wrong one in "
        "nearly the same words a small one.",
    ),
}


def licence_of(dataset: str) -> str:
    """Return the hub's identifier of a dataset's licence, `unknown` where it is not known."""
    known = {name: kind for origin in ORIGINS.values() for name, kind in origin.licenses.items()}
    return known.get(dataset, "unknown")
