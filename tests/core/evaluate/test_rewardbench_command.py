"""`margintool evaluate MODEL --suite rewardbench` from end to end, on made examples."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmpo_core.evaluate.rewardbench.scoring import scores_of
from mmpo_core.evaluate.rewardbench.sections import PRIOR, SECTIONS
from mmpo_core.evaluate.rewardbench.text import lines
from tests.rewardbench.made_rows import ALL, COUNTED, row, rows, write_rows

SUITE = ("--suite", "rewardbench", "--device", "cpu", "--bootstrap", "50")


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Two examples of every subset."""
    return write_rows(tmp_path / "examples.jsonl", rows(ALL, each=2))


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "rewardbench.json").read_text())
    return found


def test_a_policy_from_end_to_end_and_again(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Scores in the report are those of the table's rows, and a second call computes nothing."""
    out, path = tmp_path / "out", write_rows(tmp_path / "r.jsonl", rows(ALL, each=1))
    words = ("evaluate", "tiny", *SUITE, "--data", path, "--out", out, "--reference-free")
    first = cli(*words)
    assert first.status == 0, first.err
    table = pq.read_table(out / "rewardbench.parquet").to_pandas()
    assert table["subset"].tolist() == ALL
    assert table["id"].tolist() == [str(n) for n in range(len(table))]
    assert np.allclose(table["h"], table["chosen_score"] - table["rejected_score"])
    assert (table["correct"] == (table["chosen_score"] > table["rejected_score"])).all()
    by_hand = scores_of(table.groupby("subset")["correct"].mean().to_dict())
    found = report(out)["models"]["tiny"]
    values = {name: one["value"] for name, one in found["sections"].items()}
    assert values == pytest.approx(by_hand.sections, abs=1e-12)
    assert list(values) == list(SECTIONS)
    assert found["average"]["value"] == pytest.approx(by_hand.average, abs=1e-12)
    assert found["average"]["low"] <= by_hand.average <= found["average"]["high"]
    assert 0 < by_hand.average < 1
    assert found["missing"] == []
    for text in (f"{100 * by_hand.average:.1f}", "implicit reward without", "Gemma-MMPO 7B"):
        assert text in first.out
    again = cli(*words)
    assert again.status == 0
    assert "predictions of an earlier call" in again.err
    assert again.out == first.out


def test_a_model_that_is_its_own_reference_ties_everywhere(
    cli: Callable[..., Any], micro_model: Path, examples: Path, tmp_path: Path
) -> None:
    """Every log-ratio is 0: RewardBench counts each tie as a miss, and half credit makes 50%."""
    out = tmp_path / "out"
    words = (micro_model, *SUITE, "--data", examples, "--reference", micro_model, "--core-only")
    done = cli("evaluate", *words, "--out", out)
    assert done.status == 0, done.err
    (found,) = report(out)["models"].values()
    core = len(COUNTED) - len(SECTIONS[PRIOR].counts)
    assert (found["examples"], found["ties"]) == (2 * core, 2 * core)
    assert found["average"]["value"] == 0
    assert found["ties_half"]["average"] == 0.5
    assert found["calibration"] is None
    assert f"{2 * core} ties, counted as misses" in done.out
    assert "with one half for each the average is 50.0" in done.out
    assert f"absent: {PRIOR}." in done.out


def test_a_reward_model_beside_a_policy(
    cli: Callable[..., Any], runs: Path, examples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = (runs / "mmpo", runs / "reward", *SUITE, "--data", examples, "--out", out, "--json")
    done = cli("evaluate", *words)
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert found == report(out)
    nothing = {"pairs": 0, "prompts": 0}
    assert found["data"]["trained_on"] == {"mmpo": nothing, "reward": nothing}
    assert {one: about["kind"] for one, about in found["computed"].items()} == {
        "mmpo": "policy",
        "reward": "reward",
    }
    found["data"]["trained_on"]["mmpo"] = {"pairs": 1, "prompts": 2}
    text = "\n".join(lines(found))
    assert "mmpo was trained on 1 of these examples, and on 2 of their prompts." in text
    assert "reward was trained on" not in text
    error = found["models"]["mmpo"]["calibration"]
    assert f"on Prior Sets: {error['ece']['value']:.3f} (" in text
    assert f"without that is {error['l2_debiased']['value']:.3f}." in text
    table = pq.read_table(out / "rewardbench.parquet").to_pandas()
    assert table["model"].value_counts().to_dict() == {"mmpo": 2 * len(ALL), "reward": 2 * len(ALL)}
    rewards = table[table["model"] == "reward"]
    again = pq.read_table(out / "reward" / "predictions.parquet")
    assert again["chosen_score"].to_pylist() == rewards["chosen_score"].tolist()
    assert again["source"].to_pylist() == rewards["subset"].tolist()


def test_absent_subsets_and_left_out_examples_are_told(
    cli: Callable[..., Any], micro_model: Path, tmp_path: Path
) -> None:
    """Both answers of one example are the same text: no model can tell them apart."""
    some = [*rows(["hep-go", "shp"]), row("shp", 9, chosen="same", rejected="same")]
    path, out = write_rows(tmp_path / "some.jsonl", some), tmp_path / "out"
    words = ("--data", path, "--out", out, "--reference-free")
    done = cli("evaluate", micro_model, *SUITE, *words)
    assert done.status == 0, done.err
    found = report(out)
    assert found["data"] == {
        "read": 5,
        "scored": 4,
        "left_out": {"shp": 1},
        "trained_on": {},
    }
    assert "left out, for the models cannot use them: 1 of shp" in done.out
    assert "absent: Chat, Chat Hard, Safety." in done.out
    assert "Subsets absent from their sections: math-prm, hep-cpp, hep-java" in done.out
    (scores,) = found["models"].values()
    assert set(scores["sections"]) == {"Reasoning", PRIOR}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "shpp.jsonl"), "shpp.jsonl:1: unknown subset 'shpp'. Did you mean 'shp'"),
        (("--data", "shp.jsonl", "--gamma", "2"), "suite rewardbench does not take --gamma"),
        ((), "allenai/reward-bench: not a file here"),
        (("--data", "shp.jsonl", "--bins", "5"), "bins must be an even number"),
    ],
)
def test_bad_usage_is_explained(
    cli: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("shp", "shpp"):
        write_rows(tmp_path / f"{name}.jsonl", [row(name)])
    done = cli("evaluate", "tiny", *SUITE, *words, "--out", "out")
    assert done.status == 2
    assert message in done.err
    assert not (tmp_path / "out" / "rewardbench.json").exists()


def test_its_option_is_for_the_suite_alone(cli: Callable[..., Any], examples: Path) -> None:
    done = cli("evaluate", "tiny", "--data", examples, "--core-only")
    assert done.status == 2
    assert "--core-only is for suites" in done.err
