"""`margintool evaluate` as typed: numbers, comparison, what is kept, and bad inputs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmpo_core.errors import InputError
from mmpo_core.evaluate import predicting
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.evaluate.running import evaluate
from mmpo_core.pair_file import read_table, write_pairs
from mmpo_core.train import train
from tests.core.evaluate.evaluated import PAIRS, run, write_file
from tests.core.pair_tables import METADATA

Cli = Callable[..., Any]
QUICK = ("--device", "cpu", "--bootstrap", "20")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs that no model was trained on."""
    return write_file(tmp_path_factory.mktemp("fresh") / "fresh.parquet", seed=1)


@pytest.fixture(autouse=True)
def few_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn in the tests that ask for them: each takes more than the rest."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("mmpo_core.evaluate.plots.plot_evaluation", lambda *_: [])


@pytest.fixture
def pictures() -> tuple[str, ...]:
    return ("reliability.png", "risk_coverage.png", "margins.png")


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("a forward pass")


@pytest.mark.parametrize("name", ["mmpo", "dpo", "simpo", "reward", "adapter"])
def test_held_out_numbers_are_those_that_train_reported(
    cli: Cli, runs: Path, pairs: Path, tmp_path: Path, name: str
):
    """Same split, targets, lengths, reference and beta, all from run.json."""
    done = cli("evaluate", runs / name, "--data", pairs, "--held-out", "--out", tmp_path, *QUICK)
    assert done.status == 0, done.err
    reported = json.loads((runs / name / "run.json").read_text())
    found = json.loads((tmp_path / "evaluation.json").read_text())
    model = found["models"][name]
    assert model["pairs"] == found["data"]["evaluated"] == reported["data"]["eval"]["kept"]
    assert 0 < model["pairs"] < PAIRS
    for metric in ("nll", "brier", "ece"):
        expected = reported["metrics"][f"eval_{metric}"]
        assert model["metrics"][metric]["value"] == pytest.approx(expected, abs=1e-6), metric
    assert "was trained on" not in done.err
    assert found["data"]["trained_on"] == {name: {"pairs": 0, "prompts": 0}}


def test_accuracy_is_that_of_train_where_all_targets_have_a_winner(
    cli: Cli, pairs: Path, micro_model: Path, tmp_path: Path
):
    run(pairs, micro_model, tmp_path / "run", gamma=1.0, epochs=1)
    cli("evaluate", tmp_path / "run", "--data", pairs, "--held-out", "--out", tmp_path, *QUICK)
    found = json.loads((tmp_path / "evaluation.json").read_text())["models"]["run"]["metrics"]
    reported = json.loads((tmp_path / "run" / "run.json").read_text())["metrics"]
    assert found["accuracy"]["value"] == pytest.approx(reported["eval_accuracy"], abs=1e-6)
    wanted = reported["eval_rewards/margins"]
    assert found["reward_margin"]["value"] == pytest.approx(wanted, abs=1e-6)


def test_several_models_are_compared_on_the_same_pairs(
    cli: Cli, runs: Path, fresh: Path, tmp_path: Path
):
    names = ["mmpo", "dpo", "reward"]
    folders = [runs / name for name in names]
    done = cli("evaluate", *folders, "--data", fresh, "--out", tmp_path, *QUICK, "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert found == json.loads((tmp_path / "evaluation.json").read_text())
    assert list(found["models"]) == names
    # one reference for both policies: the second reads what the first has computed
    assert found["computed"]["dpo"]["reference_pass"]["computed"] == 0
    assert {(one["a"], one["b"]) for one in found["differences"]} == {
        ("mmpo", "dpo"),
        ("mmpo", "reward"),
        ("dpo", "reward"),
    }
    accuracy = {name: found["models"][name]["metrics"]["nll"]["value"] for name in names}
    one = next(d for d in found["differences"] if d["metric"] == "nll" and d["b"] == "dpo")
    assert one["value"] == pytest.approx(accuracy["mmpo"] - accuracy["dpo"], abs=1e-12)
    files = [Predictions.read(tmp_path / name / "predictions.parquet") for name in names]
    assert all(one.pair_id.tolist() == files[0].pair_id.tolist() for one in files)
    assert all(len(one) == PAIRS for one in files)
    # the runs measured against different targets, so these are the file's: gamma 1
    assert "measured against different targets" in done.err
    assert files[0].gamma == 1.0
    np.testing.assert_allclose(files[0].target, 1 / (1 + np.exp(-files[0].margin)))


def test_gamma_is_that_of_the_runs_unless_given(runs: Path, fresh: Path, tmp_path: Path):
    asked: dict[str, Any] = {"data": fresh, "out": tmp_path, "device": "cpu", "bootstrap": 0}
    margin = read_table(fresh)["margin"].to_numpy()

    def targets(*names: str, **options: Any) -> np.ndarray:
        done = evaluate(models=tuple(str(runs / name) for name in names), **asked, **options)
        return done.predictions[names[0]].target

    np.testing.assert_allclose(targets("mmpo", "dpo"), 1 / (1 + np.exp(-0.7 * margin)))
    # of margin_raw, which is twice the margin
    np.testing.assert_allclose(targets("simpo"), 1 / (1 + np.exp(-2.0 * 2 * margin)))
    np.testing.assert_allclose(targets("mmpo", gamma=2.0), 1 / (1 + np.exp(-2.0 * margin)))
    np.testing.assert_allclose(targets("mmpo", gamma="file"), 1 / (1 + np.exp(-margin)))


def test_a_second_call_computes_nothing(
    runs: Path, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: dict[str, Any] = {
        "models": (str(runs / "mmpo"), str(runs / "reward")),
        "data": fresh,
        "out": tmp_path,
        "device": "cpu",
        "bootstrap": 0,
        "reference_cache": "none",
    }
    first = evaluate(**asked)
    monkeypatch.setattr(predicting, "load_policy", never)
    monkeypatch.setattr(predicting, "load_reward_model", never)
    second = evaluate(**asked, gamma=3.0, bins=4)
    for label, predictions in first.predictions.items():
        np.testing.assert_array_equal(second.predictions[label].h, predictions.h)
        assert second.predictions[label].gamma == 3.0
    assert second.report["settings"]["bins"] == 4
    assert Predictions.read(tmp_path / "mmpo" / "predictions.parquet").gamma == 3.0


@pytest.mark.parametrize(
    "change", ["weights", "reference", "beta", "pairs", "packing", "damage", "key"]
)
def test_predictions_are_never_stale(
    runs: Path, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
):
    policy = tmp_path / "policy"
    shutil.copytree(runs / "mmpo", policy)
    asked: dict[str, Any] = {
        "models": (str(policy),),
        "data": fresh,
        "out": tmp_path / "out",
        "device": "cpu",
        "bootstrap": 0,
    }
    evaluate(**asked)
    file = tmp_path / "out" / "predictions.parquet"
    if change == "weights":
        shutil.copy(runs / "dpo" / "model.safetensors", policy)
    elif change == "reference":
        asked["reference"] = str(runs / "dpo")
    elif change == "beta":
        asked["beta"] = 0.4
    elif change == "pairs":
        asked["data"] = write_file(tmp_path / "other.parquet", seed=2)
    elif change == "packing":
        asked["packing"] = "padded"
    elif change == "damage":
        file.write_bytes(file.read_bytes()[:-100])
    else:  # a file of predictions that does not say what it was made from
        Predictions.read(file).write(file)
    monkeypatch.setattr(predicting, "load_policy", never)
    with pytest.raises(AssertionError, match="a forward pass"):
        evaluate(**asked)


def test_interrupted_between_models_and_begun_again(
    cli: Cli, runs: Path, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    command = ["evaluate", runs / "reward", runs / "mmpo", "--data", fresh, "--out", tmp_path]
    command += [*QUICK, "--json"]
    with monkeypatch.context() as patch:

        def interrupted(*_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr(predicting, "load_policy", interrupted)
        assert cli(*command).status == 130
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["reward", "reward/predictions.parquet"]
    monkeypatch.setattr(predicting, "load_reward_model", never)
    done = cli(*command)
    assert done.status == 0, done.err
    assert "reward: predictions of an earlier call" in done.err
    assert list(json.loads(done.out)["models"]) == ["reward", "mmpo"]


def test_limit_takes_whole_prompts_by_the_seed(runs: Path, fresh: Path, tmp_path: Path):
    asked: dict[str, Any] = {
        "models": (str(runs / "reward"),),
        "data": fresh,
        "out": tmp_path,
        "device": "cpu",
        "bootstrap": 0,
        "limit": 5,
    }
    found = [evaluate(**asked, seed=seed).predictions["reward"] for seed in (0, 0, 1)]
    assert [len(one) for one in found] == [10, 10, 10]
    assert len(set(found[0].prompt_id)) == 5
    assert found[0].pair_id.tolist() == found[1].pair_id.tolist() != found[2].pair_id.tolist()


def test_the_files_say_what_they_were_made_from(
    cli: Cli, runs: Path, fresh: Path, tmp_path: Path, pictures: tuple[str, ...]
):
    done = cli("evaluate", runs / "mmpo", "--data", fresh, "--out", tmp_path, *QUICK)
    assert done.status == 0, done.err
    metadata = pq.read_schema(tmp_path / "predictions.parquet").metadata
    made_from = json.loads(metadata[b"margintool_made_from"])
    assert len(made_from["key"]) == 32
    assert made_from["parts"]["beta"] == 0.5
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert record["computed"]["mmpo"]["packing"] == "shared"
    assert record["computed"]["mmpo"]["encoding"]["kept"] == PAIRS
    assert record["arguments"]["data"] == str(fresh)
    assert all((tmp_path / name).stat().st_size > 5_000 for name in pictures)
    assert "accuracy" in done.out
    assert f"In {tmp_path}: evaluation.json" in done.out


def test_warns_of_pairs_that_were_trained_on(cli: Cli, runs: Path, pairs: Path, tmp_path: Path):
    done = cli("evaluate", runs / "mmpo", "--data", pairs, "--out", tmp_path, *QUICK)
    assert done.status == 0
    held_out = json.loads((runs / "mmpo" / "run.json").read_text())["data"]["eval"]["kept"]
    trained = PAIRS - held_out
    warning = (
        f"WARNING: mmpo was trained on {trained} of these {PAIRS} pairs, and on {trained // 2}"
    )
    assert warning in done.err
    assert "--held-out takes those that its run held out" in done.err
    assert f"mmpo: {trained} of these pairs, {trained // 2} of their prompts" in done.out
    found = json.loads((tmp_path / "evaluation.json").read_text())["data"]["trained_on"]
    assert found == {"mmpo": {"pairs": trained, "prompts": trained // 2}}


def test_held_out_by_several_runs_is_what_all_held_out(runs: Path, pairs: Path, tmp_path: Path):
    """mmpo and dpo split by one seed; the reward model's run read the first 40 pairs alone."""

    def held_out(*names: str) -> set[str]:
        models = tuple(str(runs / name) for name in names)
        asked: dict[str, Any] = {"data": pairs, "out": tmp_path, "device": "cpu", "bootstrap": 0}
        done = evaluate(models=models, held_out=True, **asked)
        return set(done.predictions[names[0]].pair_id.tolist())

    assert held_out("mmpo", "dpo") == held_out("mmpo")
    both = held_out("mmpo", "reward")
    assert both == held_out("mmpo") & held_out("reward")
    assert 0 < len(both) < len(held_out("mmpo"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["./nowhere", "--data", "{pairs}"], "./nowhere: no such folder"),
        (["{mmpo}"], "nothing says data: give --data"),
        (["{mmpo}", "--data", "none.parquet"], "none.parquet: no such file"),
        (["tiny", "--data", "{pairs}"], "Give --reference MODEL"),
        (["{mmpo}", "{mmpo}", "--data", "{pairs}"], "is given twice"),
        (["{mmpo}", "--data", "{bare}"], "margin"),
        (["{mmpo}", "--data", "{empty}"], "holds no pairs to evaluate on"),
        (["{mmpo}", "--data", "{fresh}", "--held-out"], "was not trained on"),
        (["tiny", "--reference-free", "--data", "{fresh}", "--held-out"], "none of the models has"),
        (["{mmpo}", "--data", "{fresh}", "--limit", "0"], "limit must be a whole number >= 1"),
        (["{mmpo}", "--data", "{fresh}", "--bins", "15"], "bins must be an even number >= 2"),
        (["{mmpo}", "--data", "{fresh}", "--reference", "tyny"], "Did you mean 'tiny'"),
        (
            ["{mmpo}", "--data", "{fresh}", "--reference", "tiny", "--reference-free"],
            "reference and reference_free contradict each other",
        ),
        (
            ["{mmpo}", "--data", "{fresh}", "--margin-column", "margin_raw", "--gamma", "file"],
            "margin_column margin_raw needs a gamma",
        ),
        (
            ["{mmpo}", "--data", "{fresh}", "--max-length", "3"],
            "Raise max_prompt_length or max_length",
        ),
        (["{mmpo}", "--data", "{fresh}", "--out", "{fresh}"], "is a file; out must be a folder"),
    ],
)
def test_bad_inputs(
    cli: Cli,
    runs: Path,
    pairs: Path,
    fresh: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
):
    monkeypatch.chdir(tmp_path)
    table = read_table(pairs)
    pq.write_table(table.drop_columns(["margin"]), "bare.parquet")
    write_pairs(table.slice(0, 0), "empty.parquet", METADATA)
    places = {"mmpo": runs / "mmpo", "pairs": pairs, "fresh": fresh}
    places |= {"bare": Path("bare.parquet"), "empty": Path("empty.parquet")}
    done = cli("evaluate", *(argument.format(**places) for argument in arguments), *QUICK)
    assert done.status == 2, done.err
    assert message in done.err
    assert done.out == ""
    assert not (tmp_path / "evaluation").exists()


def test_an_adapter_whose_base_is_gone(runs: Path, fresh: Path, micro_model: Path, tmp_path: Path):
    adapter = tmp_path / "adapter"
    shutil.copytree(runs / "adapter", adapter)
    for name in ("adapter_config.json", "run.json"):
        text = (adapter / name).read_text().replace(str(micro_model), "/gone/base")
        (adapter / name).write_text(text)
    asked: dict[str, Any] = {"data": fresh, "out": tmp_path / "out", "device": "cpu"}
    with pytest.raises(InputError, match=r"its run.json names is not here \(/gone/base"):
        evaluate(models=(str(adapter),), **asked)
    with pytest.raises(InputError, match=r"the base model that .*adapter_config.json names: /gone"):
        evaluate(models=(str(adapter),), reference=str(micro_model), **asked)


def test_a_run_without_its_model(cli: Cli, runs: Path, fresh: Path, tmp_path: Path):
    """As an interrupted run leaves its folder, or a sweep that keeps metrics only."""
    (tmp_path / "left").mkdir()
    shutil.copy(runs / "mmpo" / "run.json", tmp_path / "left")
    done = cli("evaluate", tmp_path / "left", "--data", fresh, "--out", tmp_path / "out", *QUICK)
    assert done.status == 2
    assert "left: no config.json there. A model folder is what" in done.err


def test_runs_that_held_nothing_out(pairs: Path, fresh: Path, micro_model: Path, tmp_path: Path):
    asked: dict[str, Any] = {"data": pairs, "out": tmp_path / "out", "device": "cpu"}
    nothing = run(pairs, micro_model, tmp_path / "nothing", eval_split=0, max_steps=1)
    with pytest.raises(InputError, match="its run held nothing out \\(eval_split 0\\)"):
        evaluate(models=(str(nothing),), held_out=True, **asked)
    beside = tmp_path / "beside"
    train(
        pairs=pairs, model=str(micro_model), out=beside, eval_pairs=fresh, max_steps=1, device="cpu"
    )
    with pytest.raises(InputError, match=r"fresh.parquet. Give that file as --data"):
        evaluate(models=(str(beside),), held_out=True, **asked)


def test_one_process_alone(runs: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="runs in one process"):
        evaluate(models=(str(runs / "mmpo"),), data=fresh)
