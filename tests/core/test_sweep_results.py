"""A sweep's options to runs, and its runs to means, spread and the best setting."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from mmpo_core.errors import InputError
from mmpo_core.sweep.grid import PlannedRun, Setting, planned_runs
from mmpo_core.sweep.options import SweepOptions, checked_sweep, listed, seeds_of
from mmpo_core.sweep.plot import plot_sweep
from mmpo_core.sweep.results import Row, best_of, by_setting, row_of, total_tokens, varied
from mmpo_core.sweep.sweeping import SweepPlan, SweepResult
from mmpo_core.train_options import TrainOptions, checked_options


def runs_of(**given: Any) -> list[PlannedRun]:
    options = SweepOptions(pairs=Path("pairs.parquet"), model="tiny", **given)
    return planned_runs(checked_sweep(options))


def test_every_combination_once_with_the_first_seed_first():
    runs = runs_of(gamma="0.3, inf,file", beta=(0.01, 0.1), seeds=2, out=Path("s"))
    assert len(runs) == len({run.name for run in runs}) == 3 * 2 * 2
    assert [run.seed for run in runs] == [0] * 6 + [1] * 6
    assert {(run.options.gamma, run.options.beta) for run in runs} == {
        (gamma, beta) for gamma in (0.3, math.inf, None) for beta in (0.01, 0.1)
    }
    first = runs[0]
    assert first.name == "mmpo_gamma0.3_beta0.01_lr1e-06_seed0"
    assert first.options.folder == Path("s/runs") / first.name


def test_a_run_is_one_of_train_with_the_same_options_but_for_the_count_of_tokens():
    (run,) = runs_of(lr="1e-3", gamma=2, batch_size=4, set=("adam_beta2=0.98",), out=Path("s"))
    alone = TrainOptions(
        pairs=Path("pairs.parquet"), model="tiny", lr=1e-3, gamma=2.0, batch_size=4, seed=0,
        split_seed=42, eval_gamma="file", out=run.options.out,
        set=("adam_beta2=0.98", "include_num_input_tokens_seen=all"),
    )  # fmt: skip
    assert run.options == checked_options(alone)


def test_all_runs_have_one_split_seed_and_one_yardstick():
    runs = runs_of(gamma="0,1,inf", seeds="3,8,5")
    assert {run.options.seed for run in runs} == {3, 8, 5}
    assert {(run.options.split_seed, run.options.eval_gamma) for run in runs} == {(42, "file")}


def test_a_loss_without_margins_is_run_once_whatever_the_gammas():
    runs = runs_of(loss="mmpo,dpo", gamma="0.3,1,2")
    settings = [run.setting for run in runs]
    assert [one.gamma for one in settings if one.loss == "mmpo"] == [0.3, 1.0, 2.0]
    assert [one.gamma for one in settings if one.loss == "dpo"] == [None]
    (raw,) = runs_of(loss="dpo", gamma="0.3,1", margin_column="margin_raw")
    assert raw.options.gamma == math.inf


def test_an_option_of_one_loss_goes_to_its_runs():
    runs = runs_of(loss="mmpo,cdpo,simpo", label_smoothing=0.2, reference_cache="c")
    given = {run.setting.loss: run.options for run in runs}
    assert [given[loss].label_smoothing for loss in ("mmpo", "cdpo")] == [None, 0.2]
    assert [given[loss].reference_cache for loss in ("mmpo", "simpo")] == ["c", None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": "0.3,much"}, "gamma: expected numbers, inf or file, got 'much'"),
        ({"gamma": "-1"}, "gamma must be a number >= 0"),
        ({"gamma": "1,,2"}, "gamma: expected values with commas between them"),
        ({"lr": ()}, "lr: expected values"),
        ({"loss": "mmpo,dop"}, "Did you mean 'dpo'"),
        ({"loss": "mmpo,dpo", "label_smoothing": 0.1}, "label_smoothing is for loss cdpo"),
        ({"objective": "reward", "beta": 0.1}, "beta is for policies"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"seeds": "a,b"}, "seeds: expected whole numbers"),
        ({"seed": 3}, "seed: a sweep sets this itself"),
        ({"resume": True}, "resume: a sweep sets this itself"),
        ({"push_to_hub": "me/x"}, "push_to_hub: a sweep makes many models and uploads none"),
        ({"eval_split": 0.0}, "a sweep compares its runs on held-out pairs"),
    ],
)
def test_what_makes_no_sweep_is_refused(options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        runs_of(**options)


def test_only_one_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="one process"):
        runs_of()


def test_lists_are_cut_at_commas():
    assert listed("gamma", ("0.3,1", 2.0, "file")) == ["0.3", "1", 2.0, "file"]
    assert seeds_of("3") == seeds_of(3) == [0, 1, 2]
    assert seeds_of("0,7") == [0, 7]
    assert seeds_of("7,") == [7]


def finished(gamma: float | None, *nlls: float | None, loss: str = "mmpo") -> list[Row]:
    """One run a seed; None is a run that failed."""
    options = TrainOptions(pairs=Path("p"), model="tiny")
    rows = []
    for seed, nll in enumerate(nlls):
        run = PlannedRun(f"{loss}{gamma}-{seed}", Setting(loss, gamma, 0.1, 1e-3), seed, options)
        metrics = {
            "eval_accuracy": 0.75, "eval_ece": 0.1, "eval_nll": nll, "eval_brier": 0.2,
            "eval_rewards/margins": 0.5, "num_input_tokens_seen": 100,
        }  # fmt: skip
        record = {"metrics": metrics, "steps": 8, "reference": {"forward_tokens": 7}}
        rows.append(row_of(run, None, "diverged") if nll is None else row_of(run, record))
    return rows


def test_mean_and_spread_over_seeds():
    """1, 2 and 6: mean 3, variance (4 + 1 + 9) / 2 = 7."""
    (result,) = by_setting(finished(1.0, 1.0, 2.0, 6.0))
    assert result.averages["nll"].mean == 3.0
    assert result.averages["nll"].spread == pytest.approx(math.sqrt(7))
    assert (result.seeds, result.missing) == ([0, 1, 2], [])
    (alone,) = by_setting(finished(1.0, 0.5))
    assert alone.averages["nll"].spread is None


def test_the_best_is_told_from_what_is_within_the_spread():
    """Spread of 0.1 and 0.3 is 0.1414, that of a difference 0.2: 0.3 is within it, 0.5 is not."""
    rows = [*finished(1.0, 0.1, 0.3), *finished(2.0, 0.2, 0.4), *finished(3.0, 0.4, 0.6)]
    best = best_of(by_setting(rows))
    assert best is not None
    assert best.setting.gamma == 1.0
    assert best.close is not None
    assert [one.gamma for one in best.close] == [2.0]


def test_no_spread_no_verdict_and_no_best_with_a_run_missing():
    one_seed = best_of(by_setting([*finished(1.0, 0.5), *finished(2.0, 0.4)]))
    assert one_seed is not None
    assert (one_seed.setting.gamma, one_seed.close) == (2.0, None)
    partly = by_setting([*finished(1.0, 0.1, None), *finished(2.0, 0.4, 0.5)])
    assert partly[0].missing == [1]
    best = best_of(partly)
    assert best is not None
    assert best.setting.gamma == 2.0
    assert best_of(by_setting(finished(1.0, 0.1, None))) is None


def test_tokens_are_summed_over_finished_runs():
    rows = [*finished(1.0, 0.1, 0.2), *finished(2.0, None)]
    assert total_tokens(rows) == {"reference_tokens": 14, "training_tokens": 200}


def test_what_differs_is_named():
    settings = [Setting("mmpo", 1.0, 0.1, 1e-3), Setting("mmpo", 2.0, 0.2, 1e-3)]
    assert varied(settings) == ["gamma", "beta"]
    assert varied(settings[:1]) == ["gamma"]


@pytest.mark.parametrize("failed", [False, True])
def test_a_sweep_is_drawn_also_without_a_finished_run(failed: bool, tmp_path: Path):
    options = SweepOptions(pairs=Path("p"), model="tiny")
    plan = SweepPlan(options, [], {"train": 9, "eval": 3}, 3, 1.0)
    nll = None if failed else 0.5
    rows = [*finished(0.3, nll, nll), *finished(None, nll, loss="dpo")]
    result = SweepResult(plan, rows, by_setting(rows), None)
    plot_sweep(result, tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes()[:4] == b"\x89PNG"


def test_every_option_of_train_is_one_of_sweep():
    names = {field.name for field in dataclasses.fields(TrainOptions)}
    assert names < {field.name for field in dataclasses.fields(SweepOptions)}
