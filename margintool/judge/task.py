"""What a judge is asked for: the mode, the scale, the aspects. Stored with each request.

Read by prompts.py, which words the question, and by parse.py, which reads the reply.
"""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Mode = Literal["single", "pair", "aspects"]

# Strength of a preference in `pair` mode, as the judge names it -> its size. A tie is 0.
STRENGTHS: dict[str, float] = {"slightly better": 1.0, "better": 2.0, "much better": 3.0}

# UltraFeedback's four aspects (arXiv 2310.01377, section 2.3).
ASPECTS = ("instruction_following", "truthfulness", "honesty", "helpfulness")

SCALES: dict[Mode, tuple[float, float]] = {
    "single": (1.0, 10.0),
    "pair": (-3.0, 3.0),
    "aspects": (1.0, 5.0),
}


@dataclass(frozen=True)
class Task:
    """The form of a verdict.

    Args:
        mode: `single` rates one answer, `pair` compares two, `aspects` rates one answer by aspect.
        scale: lowest and highest rating; in `pair` mode -3 to 3, for the answer shown first.
        aspects: names of the aspects in `aspects` mode, else empty.
    """

    mode: Mode
    scale: tuple[float, float]
    aspects: tuple[str, ...] = ()

    def as_json(self) -> str:
        """Return the task as JSON, the same text for equal tasks."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Task":
        """Return the task that `as_json` wrote."""
        found = json.loads(text)
        low, high = found["scale"]
        return cls(found["mode"], (low, high), tuple(found["aspects"]))
