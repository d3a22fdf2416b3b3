"""What a run costs: never more than --max-cost, and no number where there is nothing to go by."""

from pathlib import Path

import pytest

from margintool.cli.judge.printing import print_outcome
from margintool.judge.cost.prices import Price, Prices
from margintool.judge.enquire import run_settings
from margintool.judge.journal.journal import Counts, Journal
from margintool.judge.journal.records import Aside, Usage
from margintool.judge.options import JudgeOptions
from mmpo_core.errors import InputError
from tests.judge.journal_rows import request
from tests.judge.run_helpers import CENT, MODEL, questions, run
from tests.judge.scripted_server import Answer, Try, completion, good, scripted, text

# USD 0.0001 a token.
PRICES = Prices({"m": Price(input=100.0, output=100.0)})
TIBETAN = "\u0f40\u0f7c\u0f0b"


def test_text_that_has_a_token_for_each_byte_is_within_the_limit(tmp_path: Path) -> None:
    """One English question, then Tibetan ones of 2,400 tokens, six times the estimate's."""
    english, tibetan = "plain english words " * 50, TIBETAN * 400

    def script(one: Try) -> Answer:
        size = len(one.question.encode())
        prompt = size // 4 if "english" in one.question else size * 2 // 3
        return good(completion(usage={"prompt_tokens": prompt, "completion_tokens": 10}))

    most = run_settings(JudgeOptions(base_url="http://127.0.0.1:1/v1")).most_tokens
    with (
        scripted(script, latency=0.1) as server,
        Journal.open(tmp_path / "j", write=True) as journal,
    ):
        journal.plan(request(i, f"{i} {tibetan if i else english}", model="m") for i in range(40))
        outcome = run(
            journal,
            server.url,
            concurrency=32,
            max_cost=5.0,
            prices=PRICES,
            most_tokens=most,
        )
        assert outcome.why == "max_cost"
        assert outcome.cost is not None
        assert 4.0 < outcome.cost <= 5.0


def test_what_was_used_to_find_out_how_to_ask_counts(tmp_path: Path) -> None:
    """$89 are gone: $11 are left, for one reply of 1,100 tokens at a cent each."""
    with scripted(lambda _: good()) as server, questions(tmp_path / "j", 5) as journal:
        journal.aside.append(Aside(MODEL, Usage(2, 3000, 500, untold=1), 3, 89.0))
        outcome = run(journal, server.url, max_cost=100.0, concurrency=1)
        assert outcome.why == "max_cost"
        assert outcome.answered == 1
        assert (outcome.aside, outcome.untold, outcome.unseen) == (2, 1, 3)
        assert (outcome.prompt_tokens, outcome.completion_tokens) == (4000, 600)
        assert outcome.cost == pytest.approx(46.0)


def test_replies_without_a_token_count_have_no_known_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payloads = [completion(), completion(usage=None), completion(usage={"prompt_tokens": 5})]
    with (
        scripted(lambda one: good(payloads[int(one.question[-1])])) as server,
        questions(tmp_path / "j", 3) as journal,
    ):
        outcome = run(journal, server.url)
        assert outcome.untold == 2
        assert outcome.prompt_tokens == 1005
    print_outcome(outcome, Counts())
    said = capsys.readouterr().out
    assert "(USD 11.0500)" in said
    assert "of 2 replies without a token count" in said
    assert "perhaps paid" not in said


def test_tries_that_may_cost_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def script(one: Try) -> Answer:
        return good() if one.attempt else text("{")

    with scripted(script) as server, questions(tmp_path / "j", 3) as journal:
        journal.aside.append(Aside(MODEL, Usage(2, 0, 0)))
        print_outcome(run(journal, server.url), Counts())
    said = capsys.readouterr().out
    assert "3 tries without a readable reply" in said
    assert "after 2 on how the server takes them" in said
    assert "cost unknown" not in said


def test_a_limit_is_refused_for_every_judge_that_has_no_price() -> None:
    options = JudgeOptions(
        base_url="http://127.0.0.1:1/v1", judge_model=("gpt-4o", "mine"), max_cost=1.0
    )
    with pytest.raises(InputError, match="--max-cost: no price for model mine"):
        run_settings(options)


def test_max_cost_without_a_price_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with scripted(lambda _: good()) as server, questions(tmp_path / "j", 2) as journal:
        with pytest.raises(InputError, match="--max-cost: no price for model gpt-4o"):
            run(journal, server.url, max_cost=5.0, prices=Prices({"another": CENT}))
        assert server.tries == []
