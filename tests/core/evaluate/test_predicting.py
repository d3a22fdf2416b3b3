"""Predictions of a model on pairs: the numbers, the pairs they are of, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from mmpo_core.encode import encode_pairs
from mmpo_core.engine.rewards import side_rewards
from mmpo_core.errors import InputError
from mmpo_core.evaluate.encoding import encode_all
from mmpo_core.evaluate.fingerprints import prediction_parts
from mmpo_core.evaluate.models import find_models
from mmpo_core.evaluate.options import PredictOptions
from mmpo_core.evaluate.predicting import predict, prompt_ids, score_pairs
from mmpo_core.models import load_tokenizer
from mmpo_core.pair_file import read_table
from tests.core.pair_tables import pair_table

ON_CPU: dict[str, Any] = {"device": "cpu", "max_length": 96}


def options(**given: Any) -> PredictOptions:
    return PredictOptions(**{**ON_CPU, **given})


def plain_logps(folder: Path | str, encoded: Any) -> np.ndarray:
    """(2, N) log-probs, one conversation at a time through transformers alone."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    sums = []
    for side in (encoded.chosen, encoded.rejected):
        for i in range(len(encoded)):
            prompt, answer = encoded.prompt[i].tolist(), side[i].tolist()
            ids = torch.tensor([prompt + answer])
            with torch.no_grad():
                logps = model(ids).logits[0].log_softmax(-1)
            where = torch.arange(len(prompt) - 1, len(prompt) + len(answer) - 1)
            sums.append(float(logps[where, ids[0, len(prompt) :]].double().sum()))
    return np.array(sums).reshape(2, -1)


def test_h_of_a_policy_is_beta_times_the_log_ratios(runs: Path, pairs: Path, micro_model: Path):
    """h = 0.5 * [(log pi(yw) - log ref(yw)) - (log pi(yl) - log ref(yl))], from plain forwards."""
    table = read_table(pairs)
    found = predict(str(runs / "mmpo"), table, options(), gamma=1.0)
    encoded = encode_pairs(table, load_tokenizer(str(micro_model)), max_length=96)
    scores = plain_logps(runs / "mmpo", encoded) - plain_logps(micro_model, encoded)
    np.testing.assert_allclose(found.chosen_score, 0.5 * scores[0], atol=1e-4)
    np.testing.assert_allclose(found.h, 0.5 * (scores[0] - scores[1]), atol=1e-4)
    assert np.abs(found.h).max() > 0.01
    assert found.chosen_tokens.tolist() == [len(encoded.chosen[i]) for i in range(len(encoded))]
    assert (found.kind, found.beta, found.gamma) == ("policy", 0.5, 1.0)


def test_h_without_a_reference_is_the_difference_of_means(runs: Path, pairs: Path):
    table = read_table(pairs).slice(0, 6)
    found = predict(str(runs / "simpo"), table, options())
    encoded = encode_pairs(table, load_tokenizer(str(runs / "simpo")), max_length=96)
    means = plain_logps(runs / "simpo", encoded) / [
        encoded.chosen.lengths,
        encoded.rejected.lengths,
    ]
    np.testing.assert_allclose(found.h, 2.0 * (means[0] - means[1]), atol=1e-5)


def test_h_of_a_reward_model_is_the_difference_of_rewards(runs: Path, pairs: Path):
    table = read_table(pairs).slice(0, 6)
    found = predict(str(runs / "reward"), table, options())
    encoded = encode_pairs(table, load_tokenizer(str(runs / "reward")), max_length=96)
    model = AutoModelForSequenceClassification.from_pretrained(runs / "reward").eval()
    for i in range(6):
        ids = torch.tensor([[*encoded.prompt[i].tolist(), *encoded.rejected[i].tolist()]])
        with torch.no_grad():
            reward = float(model(ids).logits[0, 0])
        assert found.rejected_score[i] == pytest.approx(reward, abs=1e-5)
    np.testing.assert_allclose(found.h, found.chosen_score - found.rejected_score)
    assert (found.kind, found.beta) == ("reward", None)


@pytest.mark.parametrize("name", ["mmpo", "reward", "adapter"])
def test_packed_and_padded_rows_say_the_same(runs: Path, pairs: Path, name: str):
    table = read_table(pairs)
    here = {"reference_cache": "none", "tokens_per_batch": 200}
    shared = predict(str(runs / name), table, options(packing="shared", **here))
    padded = predict(str(runs / name), table, options(packing="padded", **here))
    np.testing.assert_allclose(shared.h, padded.h, atol=2e-5)
    assert np.ptp(shared.h) > 1e-3


@pytest.mark.parametrize("name", ["simpo", "reward"])
def test_bfloat16_weights_and_products_are_used_and_kept_apart(
    runs: Path, tmp_path: Path, name: str
):
    """bfloat16 has 8 bits: other numbers, near those of float32, also out of a shared cache."""
    table = pair_table([1.0] * 4)
    ways: list[dict[str, Any]] = [{}, {"dtype": "bfloat16"}, {"bf16": True}]
    here = {"reference_cache": str(tmp_path)}
    exact, weights, products = (
        predict(str(runs / name), table, options(**way, **here)) for way in ways
    )
    for other in (weights, products):
        assert (other.chosen_score != exact.chosen_score).all()
        np.testing.assert_allclose(other.chosen_score, exact.chosen_score, rtol=0.05, atol=0.05)
    assert (weights.chosen_score != products.chosen_score).any()


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "bfloat16"},
        {"bf16": True},
        {"attn_implementation": "eager"},
        {"packing": "padded"},
        {"loss": "dpo"},
        {"beta": 0.3},
        {"reference": "tiny"},
    ],
)
def test_what_changes_scores_changes_what_predictions_are_known_by(
    runs: Path, change: dict[str, Any]
):
    """simpo-mm compares means over tokens without a reference, at beta 2; dpo does neither."""
    table, known = pair_table([1.0] * 2), []
    first = {"loss": "dpo", "reference": str(runs / "dpo")} if "reference" in change else {}
    for given in (first, {**first, **change}):
        asked = options(**given)
        found = find_models([str(runs / "simpo")], asked)
        pairs = encode_all(found, table, asked)["simpo"].pairs
        known.append(prediction_parts(found[0], pairs, asked))
    assert known[0] is not None
    assert known[0] != known[1]
    if "loss" in change:
        assert (known[0]["length_normalised"], known[1]["length_normalised"]) == (True, False)


def test_pairs_that_one_model_drops_are_left_out_for_all(
    runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """With a template that is 10 tokens longer, the longest of three pairs is over the limit."""
    longer = tmp_path / "longer"
    longer.mkdir()
    for path in (runs / "mmpo").iterdir():
        if path.is_file():
            (longer / path.name).write_bytes(path.read_bytes())
    tokenizer = load_tokenizer(str(longer))
    begin = "{{ bos_token }}"
    tokenizer.chat_template = tokenizer.chat_template.replace(begin, f"{begin}0123456789", 1)
    tokenizer.save_pretrained(longer)
    table = pair_table([1.0] * 3, ["a", "b" * 40, "c"])
    asked = options(max_length=64, overlong="drop")
    models = find_models([str(runs / "mmpo"), str(longer)], asked)
    alone = encode_all(models[:1], table, asked)["mmpo"].pairs
    assert alone.row.tolist() == [0, 1, 2]
    with caplog.at_level("INFO"):
        both = encode_all(models, table, asked)
    assert [one.pairs.row.tolist() for one in both.values()] == [[0, 2], [0, 2]]
    assert "1 pairs that one of the models cannot use are left out for all" in caplog.text
    assert both["longer"].pairs.prompt.lengths[0] == alone.prompt.lengths[0] + 10


def test_models_of_one_template_share_the_encoding(runs: Path, pairs: Path):
    asked = options()
    models = find_models([str(runs / "mmpo"), str(runs / "reward")], asked)
    encoded = encode_all(models, read_table(pairs), asked)
    assert encoded["mmpo"].pairs is encoded["reward"].pairs


def test_lengths_are_those_of_the_run(runs: Path):
    """The runs had max_length 96: an answer of 200 bytes is cut there."""
    table = pair_table([1.0])
    table = table.set_column(
        table.schema.get_field_index("chosen"), "chosen", pa.array(["x" * 200])
    )
    found = predict(str(runs / "mmpo"), table, PredictOptions(device="cpu"))
    encoded = encode_pairs(table, load_tokenizer(str(runs / "mmpo")), max_length=96)
    assert found.chosen_tokens[0] == encoded.chosen.lengths[0] < 96


def test_a_reference_with_other_weights_than_the_run_began_with(runs: Path, tmp_path: Path):
    """Folders are read again at evaluation; one that was trained on in the meantime is another."""
    copy = tmp_path / "policy"
    copy.mkdir()
    for path in (runs / "mmpo").iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    text = (copy / "run.json").read_text()
    model = next(line for line in text.splitlines() if '"model": "/' in line)
    (copy / "run.json").write_text(text.replace(model, f'    "model": "{runs / "dpo"}",', 1))
    with pytest.raises(InputError, match="has other weights now than when the run began"):
        predict(str(copy), pair_table([1.0] * 2), options())
    given = predict(str(copy), pair_table([1.0] * 2), options(reference=str(runs / "dpo")))
    assert len(given) == 2


def test_a_reference_of_another_vocabulary(runs: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    for path in (runs / "mmpo").iterdir():
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes())
    tokenizer = load_tokenizer(str(other))
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(other)
    with pytest.raises(InputError, match="has another vocabulary than the model"):
        predict(str(runs / "mmpo"), pair_table([1.0]), options(reference=str(other)))


def test_a_conversation_longer_than_the_model(runs: Path):
    table = pair_table([1.0], ["why? " * 600])
    with pytest.raises(InputError, match="the model was made for 2048"):
        predict(str(runs / "mmpo"), table, options(max_length=3000))


def test_lack_of_memory_says_what_helps(runs: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr("mmpo_core.evaluate.passes.values_of_sides", full)
    with pytest.raises(InputError, match="smaller --tokens-per-batch"):
        predict(str(runs / "mmpo"), read_table(pairs), options())


def test_an_interrupted_pass_goes_on_where_it_stopped(
    runs: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    table = read_table(pairs)
    asked = options(reference_cache=str(tmp_path), tokens_per_batch=200)
    whole = predict(str(runs / "reward"), table, options(reference_cache="none"))
    (model,) = find_models([str(runs / "reward")], asked)
    with monkeypatch.context() as patch:
        batches: list[Any] = []

        def two_batches(network: Any, batch: Any) -> Any:
            if len(batches) == 2:
                raise KeyboardInterrupt
            batches.append(batch)
            return side_rewards(network, batch)

        patch.setattr("mmpo_core.evaluate.predicting.side_rewards", two_batches)
        with pytest.raises(KeyboardInterrupt):
            predict(str(runs / "reward"), table, asked)
    done = sum(len(batch["last"]) // 2 for batch in batches)
    scored = score_pairs(model, encode_all([model], table, asked)["reward"], asked)
    assert (scored.about["from_cache"], scored.about["computed"]) == (done, len(table) - done)
    np.testing.assert_allclose(scored.chosen, whole.chosen_score, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "said"),
    [("mmpo", "reference model .*micro"), ("reward", "model .*reward gives no fi")],
)
def test_a_model_that_gives_no_number(
    runs: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
):
    """By its name, and with the pair: among several models and a reference, which one it is."""
    lost = torch.tensor([float("nan"), 0.0])
    monkeypatch.setattr("mmpo_core.evaluate.predicting.side_rewards", lambda *_: lost)
    monkeypatch.setattr(
        "mmpo_core.evaluate.predicting.reference_logps",
        lambda *_, **__: (lost, torch.tensor([3, 3])),
    )
    with pytest.raises(InputError, match=rf"{said}.* of pair pair-0 \(row 0\)"):
        predict(str(runs / name), pair_table([1.0]), options(reference_cache="none"))


def test_pairs_of_one_prompt_are_known_by_its_text():
    ids = prompt_ids(pa.chunked_array([["a", "b", "a"], ["b"]]))
    assert ids[0] == ids[2] != ids[1] == ids[3]
    assert ids[0] == prompt_ids(pa.chunked_array([["x", "a"]]))[1]
