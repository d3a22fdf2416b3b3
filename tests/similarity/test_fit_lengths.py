"""How many training texts are longer than what a model reads, counted by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from margintool.similarity.fit.data import Pairs
from margintool.similarity.fit.lengths import cut_pairs, cut_texts
from margintool.similarity.pair_text import PROMPT_AND_ANSWERS, PairForm


def test_texts_over_the_limit(small_model: Any) -> None:
    """Of 32 tokens two are the model's own: 30 words are read, 31 are not."""
    texts = ["cat " * 30, "cat " * 31, "cat", "mat " * 200]
    found = cut_texts(small_model, "small", texts).as_dict()
    assert found == {"what": "texts", "limit": 32, "of": 4, "over": 2, "share": 0.5}


def test_pairs_that_are_cut(cross_path: Path) -> None:
    """Around the texts are 21 tokens: 3 of the model, and of the words between the answers 18.

    `===` twice is 6 signs; `the` is one word; `other` and `answer` are spelt, 5 and 6 letters.
    """
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(cross_path), device="cpu")
    words = [("a", "cat " * 5, "mat " * 5), ("a", "cat " * 6, "mat " * 5), ("a", "a", "a")]
    names = ("prompt", "response_a", "response_b")
    table = pa.table(dict(zip(names, map(list, zip(*words, strict=True)), strict=True)))
    pairs = Pairs(table, np.arange(3))
    found = cut_pairs(model, PairForm(PROMPT_AND_ANSWERS), pairs)
    assert (found.what, found.limit, found.of, found.over) == ("pairs", 32, 3, 1)
    # 41 characters, 45, and 3: what is cut to 40 fits then, and was cut all the same.
    assert cut_pairs(model, PairForm(PROMPT_AND_ANSWERS, characters=40), pairs).over == 2
    assert cut_pairs(model, PairForm(PROMPT_AND_ANSWERS, characters=41), pairs).over == 1
