"""What is reported of predictions on RewardBench's examples: scores, ties, calibration."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmpo_core.errors import InputError
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.evaluate.rewardbench.examples import EXAMPLES, check_subsets, to_pairs
from mmpo_core.evaluate.rewardbench.results import results_of
from mmpo_core.evaluate.rewardbench.sections import SUBSETS
from mmpo_core.schema import PAIR_SCHEMA

DRAWN = {"resamples": 200, "bins": 10, "seed": 1}


def predictions(rows: list[tuple[str, str, float]]) -> Predictions:
    """Return predictions of (subset, prompt, h) rows."""
    subset, prompt, h = zip(*rows, strict=True)
    ones = np.ones(len(rows))
    return Predictions(
        pair_id=np.arange(len(rows)).astype(str),
        prompt_id=np.array(prompt, dtype=object),
        source=np.array(subset, dtype=object),
        margin=ones,
        target=ones,
        h=np.array(h),
        chosen_score=np.array(h),
        rejected_score=0 * ones,
        chosen_tokens=ones.astype(int),
        rejected_tokens=ones.astype(int),
        tie=ones < 0,
    )


MIXED = [
    ("alpacaeval-easy", "a", 1.0),
    ("alpacaeval-easy", "b", 0.0),
    ("mt-bench-med", "a", 2.0),
    ("hep-go", "c", -1.0),
    ("shp", "d", 0.5),
    ("shp", "e", -0.5),
    ("pku_safer", "f", 1.0),
]


def test_one_prompt_alone_has_no_interval() -> None:
    """hep-go and so Reasoning are prompt c alone; mt-bench-med is prompt a, Chat is a and b."""
    found = results_of(predictions(MIXED), **DRAWN)
    for one in (found["subsets"]["hep-go"], found["sections"]["Reasoning"]):
        assert (one["value"], one["low"], one["high"]) == (0.0, None, None)
    assert found["subsets"]["mt-bench-med"]["low"] is None
    for one in (found["sections"]["Chat"], found["sections"]["Prior Sets"], found["average"]):
        assert one["low"] < one["high"]


def test_scores_counts_and_ties() -> None:
    """A tie is a miss: easy 1/2, med 1/1, so Chat (100 * 0.5 + 40) / 140 = 9/14; Reasoning 0; Prior
    Sets 1/2. Average (9/14 + 0 + 1/4) / 2.5 = 5/14. With half credit easy is 3/4, Chat 115/140."""
    found = results_of(predictions(MIXED), **DRAWN)
    values = {name: one["value"] for name, one in found["sections"].items()}
    assert values == pytest.approx({"Chat": 9 / 14, "Reasoning": 0, "Prior Sets": 0.5}, abs=1e-12)
    assert found["average"]["value"] == pytest.approx(5 / 14, abs=1e-12)
    assert (found["examples"], found["ties"]) == (7, 1)
    easy = found["subsets"]["alpacaeval-easy"]
    assert (easy["value"], easy["examples"], easy["ties"], easy["section"]) == (0.5, 2, 1, "Chat")
    assert found["subsets"]["pku_safer"]["section"] is None
    half = found["ties_half"]
    assert half["sections"] == pytest.approx(
        {"Chat": 115 / 140, "Reasoning": 0, "Prior Sets": 0.5}, abs=1e-12
    )
    assert half["average"] == pytest.approx((115 / 140 + 0.25) / 2.5, abs=1e-12)


def test_missing_subsets_are_named_and_uncounted_ones_are_not_missed() -> None:
    missing = results_of(predictions(MIXED), **DRAWN)["missing"]
    assert len(missing) == 27 - 4
    assert "math-prm" in missing
    assert not {"alpacaeval-easy", "hep-go", "mtbench_gpt4"} & set(missing)


def test_intervals_are_of_prompts_drawn_together() -> None:
    """Two subsets share both prompts, one right in both, one wrong in both: in every resample the
    two have the same accuracy, so the section has the interval of each, 0 to 1, and never less."""
    rows = [(one, p, h) for one in ("hep-go", "hep-js") for p, h in (("p", 1.0), ("q", -1.0))]
    found = results_of(predictions(rows), **DRAWN)
    section = found["sections"]["Reasoning"]
    assert (section["low"], section["high"]) == (0, 1)
    assert {(one["low"], one["high"]) for one in found["subsets"].values()} == {(0, 1)}


def test_ten_examples_of_each_prompt_say_no_more_than_one() -> None:
    """Prompts are drawn, not examples: ten copies of each leave every interval as it is."""
    rows = [("donotanswer", f"p{n:02}", 1.0 if n % 4 else -1.0) for n in range(40)]
    rows += [("shp", f"q{n:02}", 1.0 if n % 3 else -1.0) for n in range(40)]
    once, tenfold = (
        results_of(predictions(each), **DRAWN)
        for each in (rows, [r for r in rows for _ in "x" * 10])
    )
    for name in ("low", "high"):
        assert tenfold["average"][name] == pytest.approx(once["average"][name], abs=1e-12)
        for found in ("sections", "subsets"):
            for part, one in once[found].items():
                assert tenfold[found][part][name] == pytest.approx(one[name], abs=1e-12)


def test_an_interval_is_that_of_the_binomial() -> None:
    """Of 400 prompts 300 right: the standard error is sqrt(0.75 * 0.25 / 400) = 0.02165, and 95%
    are 0.75 +- 0.0424; 2,000 resamples know its ends to about 0.003."""
    rows = [("donotanswer", f"p{n}", 1.0 if n % 4 else -1.0) for n in range(400)]
    one = results_of(predictions(rows), resamples=2000, bins=10, seed=0)["sections"]["Safety"]
    assert one["value"] == 0.75
    assert one["low"] == pytest.approx(0.75 - 0.0424, abs=0.006)
    assert one["high"] == pytest.approx(0.75 + 0.0424, abs=0.006)


def test_no_resamples_no_intervals() -> None:
    found = results_of(predictions(MIXED), resamples=0, bins=10, seed=0)
    assert found["average"]["low"] is None
    assert found["calibration"]["ece"]["low"] is None


def test_calibration_on_prior_sets_alone() -> None:
    """sigma(ln 4) = 0.8. Of five shp pairs at h = ln 4 three are right (the other two at -ln 4): a
    confidence of 0.8 where 0.6 is right, an error of 0.2. What is no prior set does not change it,
    however sure it is."""
    sure = np.log(4.0)
    rows = [("shp", f"p{n}", sure if n < 3 else -sure) for n in range(5)]
    alone = results_of(predictions(rows), **DRAWN)["calibration"]
    assert alone["ece"]["value"] == pytest.approx(0.2, abs=1e-12)
    # less the variance of the share: 0.2^2 - 0.6 * 0.4 / (5 - 1) < 0
    assert alone["l2_debiased"]["value"] == 0
    assert alone["by_subset"] == {"shp": pytest.approx(0.2, abs=1e-12)}
    more = results_of(predictions([*rows, ("hep-go", "x", -50.0)]), **DRAWN)["calibration"]
    assert more == alone


def test_the_debiased_error_beside_it() -> None:
    """Of 100 pairs at h = ln 4 half are right: 0.3^2 - 0.25 / 99 under the root."""
    rows = [("shp", f"p{n}", np.log(4.0) * (-1) ** n) for n in range(100)]
    found = results_of(predictions(rows), **DRAWN)["calibration"]
    assert found["ece"]["value"] == pytest.approx(0.3, abs=1e-12)
    assert found["l2_debiased"]["value"] == pytest.approx(np.sqrt(0.09 - 0.25 / 99), abs=1e-12)


def test_without_prior_sets_there_is_no_calibration() -> None:
    assert results_of(predictions([("hep-go", "x", 1.0)]), **DRAWN)["calibration"] is None


def test_every_subset_is_reported_in_the_order_of_the_sections() -> None:
    rows = [(subset, f"p{n}", 1.0) for n, subset in enumerate(reversed(SUBSETS))]
    found = results_of(predictions(rows), **DRAWN)
    assert tuple(found["subsets"]) == SUBSETS
    assert found["missing"] == []
    assert found["average"]["value"] == 1


def examples(**columns: Any) -> pa.Table:
    base = {
        "subset": ["shp", "shp"],
        "id": ["7", "7"],
        "history": [[], [{"role": "user", "content": "u"}, {"role": "assistant", "content": "v"}]],
        "prompt": ["p", "q"],
        "chosen": ["c", ""],
        "rejected": ["r", "s"],
        "origin": ["f:1", "f:2"],
    }
    return pa.table(base | columns, schema=EXAMPLES)


def test_examples_are_pairs_of_the_contract_with_unique_ids() -> None:
    pairs = to_pairs(examples())
    assert pairs.schema.equals(PAIR_SCHEMA)
    assert pairs["pair_id"].to_pylist() == ["0", "1"]
    assert pairs["source"].to_pylist() == ["shp", "shp"]
    assert pairs["history"][1].as_py()[1]["content"] == "v"
    assert pairs["chosen"].to_pylist() == ["c", ""]


def test_an_unknown_subset_is_named_with_its_row() -> None:
    with pytest.raises(InputError, match=r"f:2: unknown subset 'hep-cp'.*hep-cpp"):
        check_subsets(examples(subset=["shp", "hep-cp"]))
