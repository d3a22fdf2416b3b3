"""Prices: the built-in ones are well-formed, a user's go over them, nothing is guessed."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.judge.cost.prices import Price, Prices, load_prices, no_price
from margintool.judge.journal.journal import Usage
from mmpo_core.errors import InputError


def test_every_built_in_price_has_a_source_and_a_date() -> None:
    prices = load_prices().by_name
    assert {"gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4-turbo", "gpt-4", "o3", "gpt-5"} <= set(
        prices
    )
    for model, price in prices.items():
        assert price.source, model
        assert price.as_of, model
        assert price.as_of[:3] == "202", model
        assert 0 < price.input < price.output < 1000, model
        assert price.batch == 0.5, model


def test_cost_by_hand() -> None:
    """gpt-4o: 1,000,000 * 2.5 / 10^6 + 200,000 * 10 / 10^6 = 2.5 + 2 = 4.5; a batch half."""
    price = load_prices().of("gpt-4o")
    assert price is not None
    assert price.cost(1_000_000, 200_000) == pytest.approx(4.5)
    assert price.cost(1_000_000, 200_000, batch=True) == pytest.approx(2.25)


def test_a_dated_snapshot_has_its_models_price_unless_it_has_its_own() -> None:
    prices = load_prices()
    assert prices.of("gpt-4o-2024-08-06") == prices.of("gpt-4o")
    first = prices.of("gpt-4o-2024-05-13")  # cost twice what later ones do
    assert first is not None
    assert (first.input, first.output) == (5.0, 15.0)


@pytest.mark.parametrize(
    "model",
    ["gpt-4o-audio", "gpt-4o-2024", "gpt-4o-2024-08-06-x", "ft:gpt-4o", "GPT-4o", "openai/gpt-4o",
     "gpt-4o-20240806", "gpt-4o ", "", "-2024-08-06"],
)  # fmt: skip
def test_no_other_name_is_taken_for_a_known_one(model: str) -> None:
    assert load_prices().of(model) is None
    assert f"no price for model {model}: give --prices" in no_price(model)


def test_a_users_file_goes_over_the_built_in_prices(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(
        '{"mine": {"input": 1, "output": 2, "batch": 1}, "gpt-4o": {"input": 9, "output": 9}}'
    )
    prices = load_prices(path)
    assert prices.of("mine") == Price(1, 2, batch=1)
    assert prices.of("gpt-4o") == Price(9, 9)
    assert prices.of("gpt-4o-mini") == load_prices().of("gpt-4o-mini")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "must be {"),
        ('{"m": 3}', "model 'm': must be an object"),
        ('{"m": {"input": 1}}', "model 'm': field 'output' is missing"),
        ('{"m": {"input": "1", "output": 2}}', "model 'm', field 'input': must be a number"),
        ('{"m": {"input": true, "output": 2}}', "model 'm', field 'input': must be a number"),
        ('{"m": {"input": -1, "output": 2}}', "model 'm', field 'input': must be a number >= 0"),
        ('{"m": {"input": NaN, "output": 2}}', "model 'm', field 'input': must be a number"),
        ('{"m": {"input": 1, "output": 2, "cached": 1}}', "unknown field 'cached'"),
        ('{"m": {"input": 1, "output": 2, "as_of": 2026}}', "field 'as_of': must be text"),
        ('{"m": {"input": 1, "output": 2}, "m": {"input": 1, "output": 3}}', "'m' stands twice"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_by_model_and_field(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"prices\.json: ") as caught:
        load_prices(path)
    assert message in str(caught.value)


def test_a_missing_or_binary_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="prices cannot be read"):
        load_prices(tmp_path / "none.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="prices cannot be read"):
        load_prices(tmp_path / "b.json")


def test_the_example_in_the_message_is_a_prices_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    message = no_price("mine")
    path.write_text(message[message.index("{") : message.rindex("}") + 1])
    assert load_prices(path).of("mine") == Price(0.5, 1.5)


def test_spent_by_hand() -> None:
    """1,000 * 1 + 100 * 2 = 1,200 and half of it by batch: 1,800 / 10^6."""
    prices = Prices({"m": Price(1, 2)})
    usage = {"m": Usage(1, 1000, 100)}
    assert prices.spent(usage, usage) == pytest.approx(0.0018)
    assert prices.spent(usage, {}) == pytest.approx(0.0012)
    assert prices.spent({"other": Usage(1, 1, 1)}, {}) is None
    assert prices.spent({}, {}) == 0


@given(st.dictionaries(st.text(), st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=4))
def test_any_table_is_read_back(table: dict[str, tuple[float, float]]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder, "prices.json")
        path.write_text(json.dumps({m: {"input": i, "output": o} for m, (i, o) in table.items()}))
        prices = load_prices(path)
    assert all(prices.of(model) == Price(*both) for model, both in table.items())
