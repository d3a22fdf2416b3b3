"""What a MODEL is: its kind, loss, beta and reference, and its short name."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.errors import InputError
from mmpo_core.evaluate.encoding import encode_all
from mmpo_core.evaluate.fingerprints import prediction_parts
from mmpo_core.evaluate.models import find_model, find_models
from mmpo_core.evaluate.options import PredictOptions
from mmpo_core.evaluate.predicting import predict
from mmpo_core.pair_file import read_table
from mmpo_core.short_names import short_names


def found(name: Path | str, **options: Any) -> Any:
    return find_model(str(name), PredictOptions(**options))


def test_a_run_says_what_its_model_is(runs: Path, micro_model: Path):
    policy = found(runs / "mmpo")
    assert (policy.kind, policy.scores, policy.beta) == ("policy", "mmpo", 0.5)
    assert policy.reference.name == str(micro_model)
    assert policy.reference.weights is not None
    assert found(runs / "dpo").beta == 0.1  # the loss's own, as run.json records it
    reward = found(runs / "reward")
    assert (reward.kind, reward.beta, reward.reference) == ("reward", None, None)
    simpo = found(runs / "simpo")
    assert (simpo.beta, simpo.reference, simpo.loss.length_normalised) == (2.0, None, True)


def test_options_win_over_the_run(runs: Path):
    policy = found(runs / "mmpo", beta=0.3, reference="tiny")
    assert (policy.beta, policy.reference.name, policy.reference.weights) == (0.3, "tiny", None)
    free = found(runs / "mmpo", reference_free=True)
    assert (free.reference, free.loss.length_normalised, free.beta) == (None, False, 0.5)
    other = found(runs / "mmpo", loss="mmpo-norm")
    assert (other.loss.length_normalised, other.beta) == (True, 5.0)  # not the run's of mmpo


def test_without_a_run_a_policy_needs_a_reference(runs: Path):
    with pytest.raises(InputError, match=r"no run.json there says which reference.*--referen"):
        found("tiny")
    policy = found("tiny", reference=str(runs / "mmpo"))
    assert (policy.scores, policy.beta) == ("mmpo", 0.1)
    free = found("tiny", reference_free=True)
    assert (free.scores, free.beta, free.reference) == ("simpo-mm", 2.0, None)


def test_models_without_a_run_tell_their_kind_themselves(runs: Path, tmp_path: Path):
    for name in ("reward", "adapter"):
        copy = tmp_path / name
        copy.mkdir()
        for path in (runs / name).iterdir():
            if path.is_file() and path.name != "run.json":
                (copy / path.name).write_bytes(path.read_bytes())
    assert found(tmp_path / "reward").kind == "reward"
    adapter = found(tmp_path / "adapter")
    assert adapter.kind == "policy"
    assert adapter.reference.name == found(runs / "adapter").reference.name  # its base


def test_a_supervised_run_is_no_run_on_pairs(runs: Path, tmp_path: Path):
    """Its run.json has other options; the reference is not its own starting point."""
    copy = tmp_path / "sft"
    copy.mkdir()
    (copy / "config.json").write_bytes((runs / "mmpo" / "config.json").read_bytes())
    (copy / "model.safetensors").write_bytes((runs / "mmpo" / "model.safetensors").read_bytes())
    (copy / "run.json").write_text(json.dumps({"arguments": {"model": "x"}, "conversations": {}}))
    assert found(copy, reference="tiny").run is None


def test_a_checkpoint_belongs_to_its_run(runs: Path, tmp_path: Path):
    folder = tmp_path / "checkpoint-3"
    folder.mkdir()
    (tmp_path / "run.json").write_bytes((runs / "mmpo" / "run.json").read_bytes())
    assert found(folder).beta == 0.5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("./nowhere", {}, "nowhere: no such folder"),
        ("tyny", {}, "Did you mean 'tiny'"),
        ("mmpo", {"loss": "mmpa"}, "unknown loss 'mmpa'.*Did you mean 'mmpo'"),
        ("mmpo", {"reference": "./nowhere"}, "nowhere: no such folder"),
        ("reward", {"beta": 0.2}, "beta is for policies; reward models have none"),
        ("reward", {"reference_free": True}, "reference_free is for policies"),
        ("simpo", {"reference": "tiny"}, "loss simpo uses no reference model"),
        ("mmpo", {"revision": "v1"}, "revision is for hub models; none is named"),
        ("tiny", {"revision": "v1", "reference_free": True}, "revision is for hub models"),
    ],
)
def test_what_cannot_be_is_refused(runs: Path, name: str, options: dict[str, Any], message: str):
    name = str(runs / name) if (runs / name).is_dir() else name
    with pytest.raises(InputError, match=message):
        find_models([name], PredictOptions(**options))


def test_a_reference_that_is_not_here_any_more(runs: Path, tmp_path: Path):
    record = json.loads((runs / "mmpo" / "run.json").read_text())
    record["arguments"]["model"] = "./was-here"
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"its run.json names is not here .*Give --reference"):
        found(tmp_path)


def test_a_revision_of_a_hub_model(
    runs: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two commits in the hub's cache: weights, fingerprint and record are of the one asked for."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--owner--kept"
    (repository / "refs").mkdir(parents=True)
    for branch, name in (("main", "mmpo"), ("v1", "dpo")):
        commit = branch.encode().hex().ljust(40, "0")
        (repository / "refs" / branch).write_text(commit)
        shutil.copytree(runs / name, repository / "snapshots" / commit)
    asked: dict[str, Any] = {"reference_free": True, "loss": "mmpo", "beta": 1.0}
    table, commits = read_table(pairs).slice(0, 4), []
    for branch, name in ((None, "mmpo"), ("v1", "dpo")):
        options = PredictOptions(revision=branch, device="cpu", max_length=96, **asked)
        there = predict("owner/kept", table, options)
        here = predict(str(runs / name), table, replace(options, revision=None))
        np.testing.assert_array_equal(there.h, here.h)
        (model,) = find_models(["owner/kept"], options)
        encoded = encode_all([model], table, options)["kept"].pairs
        parts = prediction_parts(model, encoded, options)
        commits.append(parts and parts["model"])
        assert model.about()["revision"] == branch
    assert None not in commits
    assert len(set(commits)) == 2


def test_short_names():
    assert short_names(["runs/a/policy", "runs/b/policy", "tiny", "org/big-7b"]) == {
        "runs/a/policy": "a-policy",
        "runs/b/policy": "b-policy",
        "tiny": "tiny",
        "org/big-7b": "big-7b",
    }
    # a whole path can be the end of another one
    assert short_names(["policy", "old/policy"]) == {"policy": "policy", "old/policy": "old-policy"}


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "a-b", "."]), min_size=1, max_size=3).map("/".join),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_short_names_are_unique_names_of_folders(names: list[str]):
    labels = short_names(names)
    assert list(labels) == names
    assert len(set(labels.values())) == len(names)
    assert all(label and "/" not in label and label not in ("..",) for label in labels.values())
