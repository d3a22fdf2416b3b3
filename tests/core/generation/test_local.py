"""Answers of a model loaded here: those of `generate`, alone and in any batch, and resumed."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from mmpo_core.errors import InputError
from mmpo_core.generation.answer_file import open_answers
from mmpo_core.generation.asked import Answer, Asked, Sampling
from mmpo_core.generation.fill import Keep, answered
from mmpo_core.generation.local import LocalModel, load_local
from mmpo_core.generation.prompts import encode_prompts
from mmpo_core.models import load_policy, load_tokenizer

LIKELIEST = Sampling(max_new_tokens=6)
DRAWN = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=6)


def ask(text: str, sampling: Sampling = LIKELIEST, sample: int = 0) -> Asked:
    return Asked(({"role": "user", "content": text},), sampling, sample)


QUESTIONS = [
    *(ask("Why? " * (n + 1), DRAWN, sample) for n in range(3) for sample in range(2)),
    *(ask("How? " * (3 - n)) for n in range(3)),
]


class Counting:
    """A model that remembers what it was asked, and may be interrupted after some batches."""

    def __init__(self, model: LocalModel, batches: int = 1000) -> None:
        self._model, self._left = model, batches
        self.identity = model.identity
        self.missing: list[int] = []

    def answer(self, asked: Sequence[Asked], missing: Collection[int], keep: Keep) -> None:
        self.missing += missing

        def interrupted(answers: Any) -> None:
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
            keep(answers)

        self._model.answer(asked, missing, interrupted)


def answers(model: Any, asked: Sequence[Asked], path: Path) -> list[Answer]:
    with open_answers(path) as file:
        return answered(model, asked, file)


def test_the_likeliest_answers_are_those_of_generate(tmp_path: Path) -> None:
    """Each prompt alone, through transformers' own template, tokenizer and greedy search."""
    model, tokenizer = load_policy("tiny"), load_tokenizer("tiny")
    asked = [ask("Why? " * n) for n in (1, 7, 3)]
    found = answers(load_local("tiny"), asked, tmp_path / "a.jsonl")
    for one, answer in zip(asked, found, strict=True):
        ids = tokenizer.apply_chat_template(
            [dict(m) for m in one.messages],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        whole = model.generate(**ids, max_new_tokens=6, do_sample=False)
        new = whole[0, ids["input_ids"].shape[1] :]
        assert answer.text == tokenizer.decode(new, skip_special_tokens=True).strip()
        assert (answer.finish, answer.tokens, answer.prompt_cut) == ("length", 6, 0)


def test_an_answer_is_the_same_in_every_batch(tmp_path: Path) -> None:
    whole = answers(load_local("tiny", batch_size=4), QUESTIONS, tmp_path / "whole.jsonl")
    alone = load_local("tiny", batch_size=1)
    for n in reversed(range(len(QUESTIONS))):
        assert answers(alone, [QUESTIONS[n]], tmp_path / "alone.jsonl") == [whole[n]]
    texts = [answer.text for answer in whole[:6]]
    assert len(set(texts)) == 6  # draws of one question differ


def test_interrupted_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Batches of the 3 likeliest answers, 2 and 1, then of 6 drawn ones: the first two batches
    are kept and the last line is cut off, so that 2 of 9 answers are there."""
    model, path = load_local("tiny", batch_size=2), tmp_path / "part.jsonl"
    whole = answers(model, QUESTIONS, tmp_path / "whole.jsonl")
    first = Counting(model, batches=2)
    with pytest.raises(KeyboardInterrupt):
        answers(first, QUESTIONS, path)
    path.write_bytes(path.read_bytes()[:-10])  # killed while it wrote
    again, done = Counting(model), [0]
    with open_answers(path) as file:
        found = answered(again, QUESTIONS, file, lambda number: done.append(number))
    assert (len(first.missing), len(again.missing)) == (9, 7)
    assert found == whole
    assert (done[1], sum(done)) == (2, 9)
    third = Counting(model)
    assert answers(third, QUESTIONS, path) == whole
    assert third.missing == []


def test_the_same_question_twice_is_asked_once(tmp_path: Path) -> None:
    model = Counting(load_local("tiny"))
    first, second = answers(model, [ask("a"), ask("a")], tmp_path / "a.jsonl")
    assert first == second
    assert model.missing == [0]


def test_other_weights_answer_anew(tmp_path: Path) -> None:
    model = load_policy("tiny")
    before = LocalModel(model, load_tokenizer("tiny"))
    answers(before, [ask("a")], tmp_path / "a.jsonl")
    with torch.no_grad():
        model.lm_head.weight[7] += 1
    after = Counting(LocalModel(model, load_tokenizer("tiny")))
    assert after.identity != before.identity
    answers(after, [ask("a")], tmp_path / "a.jsonl")
    assert after.missing == [0]


def test_it_stops_at_the_ids_that_its_repository_names(tmp_path: Path) -> None:
    """The third likeliest token of an answer is declared an end: two tokens are left of it.

    What else the repository's generation_config.json says, here a penalty, is not used.
    """
    tokenizer = load_tokenizer("tiny")
    (free,) = answers(load_local("tiny"), [ask("a")], tmp_path / "a.jsonl")
    model = load_policy("tiny")
    ((ids, _),) = encode_prompts([ask("a").messages], tokenizer, 100)
    new = model.generate(torch.tensor([ids.tolist()]), max_new_tokens=6, do_sample=False)[0]
    third = int(new[len(ids) + 2])
    assert third not in new[len(ids) : len(ids) + 2].tolist()
    model.generation_config.eos_token_id = [2, third]
    model.generation_config.repetition_penalty = 50.0
    (answer,) = answers(LocalModel(model, tokenizer), [ask("a")], tmp_path / "a.jsonl")
    assert (answer.finish, answer.tokens) == ("stop", 3)
    rest = tokenizer.decode(new[len(ids) : len(ids) + 3], skip_special_tokens=True)
    assert answer.text == rest.strip()
    assert free.finish == "length"


def test_of_a_long_conversation_the_start_is_cut_but_for_bos() -> None:
    """13 bytes of header and text make 15 tokens: <bos> <|user|> 10 bytes <eos> <|assistant|>."""
    tokenizer = load_tokenizer("tiny")
    messages = ({"role": "user", "content": "0123456789"},)
    ((whole, none), *_) = encode_prompts([messages], tokenizer, 14)
    ((cut, number), *_) = encode_prompts([messages], tokenizer, 6)
    assert (len(whole), none, len(cut), number) == (14, 0, 6, 8)
    assert cut[0] == whole[0] == tokenizer.bos_token_id
    assert cut[1:].tolist() == whole[-5:].tolist()


def test_no_special_token_is_made_of_what_people_wrote() -> None:
    tokenizer = load_tokenizer("tiny")
    ((ids, _),) = encode_prompts([({"role": "user", "content": "a <eos> b"},)], tokenizer, 100)
    assert ids.tolist().count(tokenizer.eos_token_id) == 1  # the template's own


def test_no_room_for_a_question(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave no room"):
        answers(load_local("tiny"), [ask("a", Sampling(max_new_tokens=2048))], tmp_path / "a.jsonl")


def test_too_little_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(LocalModel, "_batch", full)
    with pytest.raises(InputError, match="smaller --batch-size or"):
        answers(load_local("tiny"), [ask("a")], tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("how", "said"), [({"batch_size": 0}, "batch size"), ({"device": "nowhere"}, "device")]
)
def test_bad_settings(how: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_local("tiny", **how)
