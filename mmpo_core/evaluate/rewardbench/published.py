"""Published RewardBench scores, to be seen beside a model's own. For orientation only.

The paper's own models in table 2 of Kim et al. 2024 (arXiv 2410.03145): percent, rounded by its
authors to one decimal, measured by them with templates and lengths of theirs. Their averages
follow from their sections by the weights in sections.py. Those of the table's further models do
not (they follow with Prior Sets counted fully), so these are left out.
"""

from typing import Any

SOURCE = "Kim et al. 2024 (arXiv 2410.03145), table 2"

COLUMNS = ("Chat", "Chat Hard", "Safety", "Reasoning", "Prior Sets", "average")
_ROWS: dict[str, tuple[float, float, float, float, float, float]] = {
    "Gemma-DPO 2B": (95.0, 45.6, 51.9, 49.6, 50.1, 59.4),
    "Gemma-MMPO 2B": (96.1, 45.1, 52.3, 59.8, 53.6, 62.3),
    "Gemma-DPO 7B": (96.6, 59.9, 73.7, 69.0, 58.3, 73.0),
    "Gemma-MMPO 7B": (97.5, 62.9, 71.1, 75.0, 67.7, 75.6),
}
PUBLISHED: dict[str, dict[str, float]] = {
    model: dict(zip(COLUMNS, figures, strict=True)) for model, figures in _ROWS.items()
}
"""model -> section, or `average` -> percent."""


def published() -> dict[str, Any]:
    """Return what rewardbench.json says of them."""
    return {"source": SOURCE, "unit": "percent", "scores": PUBLISHED}
