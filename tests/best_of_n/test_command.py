"""`margintool best-of-n` as typed: answers, rewards, picks and table, interrupted and resumed."""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from margintool.best_of_n.run import best_of_n as run_best_of_n
from mmpo_core.evaluate import predicting
from mmpo_core.evaluate.models import find_models
from mmpo_core.evaluate.options import PredictOptions
from mmpo_core.generation.local import LocalModel
from mmpo_core.pair_file import read_pairs
from tests.best_of_n.conftest import PROMPTS, write
from tests.conftest import CliResult
from tests.judge.scripted_server import completion, good, scripted

Run = Callable[..., CliResult]
FEW = ("-n", 5, "--max-new-tokens", 10)


def rows_in(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "candidates.parquet").to_pylist()
    return found


def by_prompt(folder: Path, column: str) -> list[list[Any]]:
    """A column's values of each prompt, in the order of the file."""
    groups = itertools.groupby(rows_in(folder), key=lambda row: row["prompt_id"])
    return [[row[column] for row in rows] for _, rows in groups]


def report_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "best_of_n.json").read_text())
    return found


def after(calls: int, real: Callable[..., Any], seen: list[Any]) -> Callable[..., Any]:
    """A function that works so many times and is then interrupted, as by Ctrl-C."""

    def limited(*args: Any, **kwargs: Any) -> Any:
        if len(seen) == calls:
            raise KeyboardInterrupt
        seen.append(args)
        return real(*args, **kwargs)

    return limited


def test_interrupted_in_both_halves_nothing_is_done_twice(
    best_of_n: Run, scorers: Path, micro_model: Path, prompts: Path, tmp_path: Path
) -> None:
    """20 answers in batches of 3, 12 pairs of candidates in passes of 2: (5 + 1) / 2 a prompt."""
    out, alone = tmp_path / "out", tmp_path / "alone"
    given = [
        "--prompts", prompts, "--policy", micro_model, "--reward", scorers / "reward", *FEW,
        "--batch-size", 3, "--micro-batch-size", 2,
    ]  # fmt: skip
    batch, side_rewards = LocalModel._batch, predicting.side_rewards
    answered: list[Any] = []
    scored: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalModel, "_batch", after(2, batch, answered))
        assert best_of_n(*given, "--out", out).status == 130
        assert len((out / "generated.jsonl").read_text().splitlines()) == 6
        patch.setattr(LocalModel, "_batch", after(7, batch, answered))
        patch.setattr(predicting, "side_rewards", after(2, side_rewards, scored))
        assert best_of_n(*given, "--out", out).status == 130
        assert [path.name for path in out.iterdir() if path.suffix != ".lock"] == [
            "generated.jsonl"
        ]
        patch.setattr(predicting, "side_rewards", after(6, side_rewards, scored))
        done = best_of_n(*given, "--out", out)
    assert done.status == 0, done.err
    assert "4 from cache, 8 computed" in done.err
    assert "all the same" not in done.err
    assert "gain over one answer" in done.out
    keys = [json.loads(line)["key"] for line in (out / "generated.jsonl").read_text().splitlines()]
    assert (len(keys), len(set(keys)), len(answered), len(scored)) == (20, 20, 7, 6)
    again = best_of_n(*given, "--out", alone, "--reference-cache", "none")
    assert again.status == 0, again.err
    one, two = rows_in(out), rows_in(alone)
    assert [row["response"] for row in one] == [row["response"] for row in two]
    assert [row["reward"] for row in one] == pytest.approx([row["reward"] for row in two], abs=1e-6)
    assert sum(row["chosen"] for row in one) == len(PROMPTS)


def test_the_table_is_that_of_all_subsets(
    best_of_n: Run, scorers: Path, micro_model: Path, prompts: Path, tmp_path: Path
) -> None:
    """Means over every subset of n, enumerated; with one model the pick is the highest reward."""
    out = tmp_path / "out"
    reward = scorers / "reward"
    done = best_of_n(
        "--prompts", prompts, "--policy", micro_model, "--reward", reward, *FEW, "--out", out,
        "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    report = report_in(out)
    assert json.loads(done.out) == report
    rewards = by_prompt(out, "reward")
    assert [len(one) for one in rewards] == [5] * len(PROMPTS)
    ((row,),) = [report["expected"]]
    assert (row["picked_by"], row["reward"]) == ("reward", "reward")
    assert [one["n"] for one in row["by_n"]] == [1, 2, 4, 5]
    for one in row["by_n"]:
        best = [
            np.mean([max(some) for some in itertools.combinations(values, one["n"])])
            for values in rewards
        ]
        assert one["value"] == pytest.approx(np.mean(best), abs=1e-12)
        assert min(best) <= one["low"] < one["value"] < one["high"] <= max(best)
        gains = np.subtract(best, [np.mean(values) for values in rewards])
        gain = one["gain"]
        assert gain["value"] == pytest.approx(gains.mean(), abs=1e-12)
        assert gains.min() - 1e-12 <= gain["low"] <= gain["high"] <= gains.max() + 1e-12
    for values, chosen in zip(rewards, by_prompt(out, "chosen"), strict=True):
        assert chosen == [value == max(values) for value in values]
    check_win_probabilities({"reward": 1.0}, {"reward": rewards}, out)
    assert (out / "best_of_n.png").read_bytes()[:4] == b"\x89PNG"
    assert report["candidates"]["number"] == 20
    assert report["candidates"]["ended_by_max_new_tokens"] == sum(
        finish == "length" for one in by_prompt(out, "finish") for finish in one
    )


def check_win_probabilities(
    temperatures: Mapping[str, float], rewards: Mapping[str, list[list[float]]], out: Path
) -> None:
    """1 / (1 + exp(-(r_i - r_j) / T)), averaged over models and the others, by loops."""
    for prompt, found in enumerate(by_prompt(out, "win_probability")):
        for i, value in enumerate(found):
            terms = [
                1 / (1 + np.exp(-(table[prompt][i] - other) / temperatures[name]))
                for name, table in rewards.items()
                for j, other in enumerate(table[prompt])
                if j != i
            ]
            assert value == pytest.approx(np.mean(terms), abs=1e-9)


def test_rewards_are_those_of_transformers_alone(
    best_of_n: Run, scorers: Path, micro_model: Path, tmp_path: Path
) -> None:
    """Rendered by the chat template, one conversation at a time; reward, and beta * log-ratio."""
    history = [{"role": "user", "content": "Hm."}, {"role": "assistant", "content": "Yes?"}]
    rows = [
        {"prompt": "What?", "history": history, "responses": ["This.", "That one.", "", "This."]},
        {"prompt": "Who?", "history": [], "responses": ["Me", "Nobody at all."]},
    ]
    path, out = write(tmp_path / "given.jsonl", rows), tmp_path / "out"
    both = ["--reward", scorers / "reward", "--reward", scorers / "mmpo"]
    done = best_of_n("--candidates", path, *both, "--out", out)
    assert done.status == 0, done.err
    tokenizer = AutoTokenizer.from_pretrained(micro_model)
    reward = AutoModelForSequenceClassification.from_pretrained(scorers / "reward").eval()
    policy, reference = (
        AutoModelForCausalLM.from_pretrained(folder).eval()
        for folder in (scorers / "mmpo", micro_model)
    )

    def logp(model: Any, ids: torch.Tensor, start: int) -> float:
        logps = model(ids).logits[0, start - 1 : -1].log_softmax(-1)
        return float(logps.gather(1, ids[0, start:, None]).double().sum())

    for row in rows_in(out):
        turns = [*row["history"], {"role": "user", "content": row["prompt"]}]
        answered = [*turns, {"role": "assistant", "content": row["response"]}]
        start = len(tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"])
        text = tokenizer.apply_chat_template(answered, tokenize=False)
        whole = tokenizer(text.rstrip("\n"), add_special_tokens=False).input_ids
        assert whole[-1] == tokenizer.eos_token_id
        ids = torch.tensor([whole])
        with torch.no_grad():
            assert row["reward_reward"] == pytest.approx(float(reward(ids).logits[0, 0]), abs=1e-5)
            ratio = logp(policy, ids, start) - logp(reference, ids, start)
        assert row["reward_mmpo"] == pytest.approx(0.5 * ratio, abs=1e-4)
    first = by_prompt(out, "reward_mmpo")[0]
    assert (len(first), first[0] == first[3], len(set(first))) == (4, True, 3)


def test_several_rewards_pick_together_by_their_temperatures(
    best_of_n: Run, scorers: Path, tmp_path: Path
) -> None:
    """The policy counts for nothing at a temperature of 1e6, and all alone for its own."""
    rows = [{"prompt": text, "responses": list("abcdefg")} for text in PROMPTS]
    path = write(tmp_path / "given.jsonl", rows)
    names = {"reward": 1e-3, "mmpo": 1e6}
    paths = [str(scorers / name) for name in names]
    found = find_models(paths, PredictOptions())
    evaluation = {
        "computed": {model.label: model.about() for model in found},
        "models": {
            name: {"temperature": {"temperature": {"value": t}}} for name, t in names.items()
        },
    }
    file, out = tmp_path / "evaluation.json", tmp_path / "out"
    file.write_text(json.dumps(evaluation))
    both = ["--reward", scorers / "reward", "--reward", scorers / "mmpo"]
    done = best_of_n("--candidates", path, *both, "--calibration", file, "--out", out)
    assert done.status == 0, done.err
    rewards = {name: by_prompt(out, f"reward_{name}") for name in names}
    check_win_probabilities(names, rewards, out)
    for values, chosen in zip(rewards["reward"], by_prompt(out, "chosen"), strict=True):
        assert chosen.index(True) == int(np.argmax(values))
    report = report_in(out)
    assert report["picked"]["same_as_highest_reward"]["reward"] == 1.0
    assert {name: one["temperature"] for name, one in report["rewards"].items()} == names
    ways = [(row["picked_by"], row["reward"]) for row in report["expected"]]
    assert ways == list(itertools.product(["reward", "mmpo", "together"], names))
    values = {(row["picked_by"], row["reward"]): row["by_n"] for row in report["expected"]}
    mean = np.mean(rewards["mmpo"])
    assert all(values[way][0]["value"] == pytest.approx(mean) for way in ways if way[1] == "mmpo")
    top = [
        one[int(np.argmax(other))]
        for one, other in zip(rewards["mmpo"], rewards["reward"], strict=True)
    ]
    assert values["together", "mmpo"][-1]["value"] == pytest.approx(np.mean(top))
    assert "100.0% of the picks have the highest reward by reward" in done.out


def test_answers_of_a_server(best_of_n: Run, scorers: Path, prompts: Path, tmp_path: Path) -> None:
    """Each is asked for once; asked again, nothing is sent, and of a larger n the further ones."""
    out = tmp_path / "out"
    with scripted(lambda one: good(completion(f"to {one.question}"))) as server:
        given = [
            "--prompts", prompts, "--policy", "mine", "--server-url", server.url, "-n", 3,
            "--limit", 2, "--reward", scorers / "reward", "--out", out,
        ]  # fmt: skip
        first = best_of_n(*given)
        assert first.status == 0, first.err
        assert "mine: the answers to each prompt are all the same (a server may pass" in first.err
        sent = sorted(one.question for one in server.tries)
        assert sent == sorted(PROMPTS[:2] * 3)
        assert len({one.body["seed"] for one in server.tries}) == 6
        again = best_of_n(*given)
        assert (again.status, len(server.tries)) == (0, 6), again.err
        assert "generated.jsonl: 6 of 6 answers are there already" in again.err
        assert best_of_n(*given, "-n", 4).status == 0
        assert len(server.tries) == 8
    assert by_prompt(out, "response") == [[f"to {text}"] * 4 for text in PROMPTS[:2]]
    # equal rewards: the first of equals
    assert by_prompt(out, "chosen") == [[True, False, False, False]] * 2


def test_one_process_alone(best_of_n: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = best_of_n("--candidates", "c.jsonl", "--reward", "r")
    assert (done.status, "best-of-n runs in one process" in done.err) == (2, True)


def test_best_against_worst_becomes_pairs_with_the_gap_as_margin(
    cli: Run, scorers: Path, tmp_path: Path
) -> None:
    """`score` reads the file; p = sigma(gap) under gamma 1."""
    rows = [{"prompt": text, "response": answer} for answer in "abcd" for text in PROMPTS]
    given, out = write(tmp_path / "given.jsonl", rows), tmp_path / "out"
    run_best_of_n(
        candidates=str(given), reward=(str(scorers / "reward"),), out=out, bootstrap=0,
        device="cpu", reference_cache="none",
    )  # fmt: skip
    done = cli(
        "score", "--source", "ratings", "--input", out / "candidates.parquet", "--map",
        "rating=reward", "--pairing", "best-worst", "--normalize", "none", "--gamma", 1, "--out",
        tmp_path / "pairs.parquet",
    )  # fmt: skip
    assert done.status == 0, done.err
    found = {
        row["prompt"]: row for row in read_pairs(tmp_path / "pairs.parquet", "arrow").to_pylist()
    }
    for prompt, rewards in zip(PROMPTS, by_prompt(out, "reward"), strict=True):
        gap = max(rewards) - min(rewards)
        assert found[prompt]["chosen"] == "abcd"[int(np.argmax(rewards))]
        assert found[prompt]["rejected"] == "abcd"[int(np.argmin(rewards))]
        assert found[prompt]["margin"] == pytest.approx(gap)
        assert found[prompt]["p_chosen"] == pytest.approx(1 / (1 + np.exp(-gap)))
