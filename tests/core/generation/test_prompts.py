"""Prompts of known chat templates, token by token, and the ids that end an answer."""

from types import SimpleNamespace

import pytest

from mmpo_core.errors import InputError
from mmpo_core.generation.local import stop_ids
from mmpo_core.generation.prompts import encode_prompts
from tests.core.chat_tokenizers import STYLES, make_tokenizer

HI = ({"role": "user", "content": "Hi?"},)


# The template opens a generation with more than an answer; so does whoever serves the model.
ASKED = {"r1": "<s><|user|>Hi?<|assistant|><think>\n"}


@pytest.mark.parametrize("name", STYLES)
def test_a_prompt_is_the_templates_with_one_bos(name: str) -> None:
    """The text is known by hand for each style; a tokenizer that adds BOS adds no second one."""
    style = STYLES[name]
    tokenizer = make_tokenizer(style)
    ((ids, cut),) = encode_prompts([HI], tokenizer, 1000)
    assert (tokenizer.decode(ids), cut) == (ASKED.get(name, style.prompt), 0)
    if style.bos is not None:
        assert ids.tolist().count(tokenizer.bos_token_id) == 1


def test_a_later_turn_holds_the_earlier_ones() -> None:
    style = STYLES["chatml"]
    turns = (*HI, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "So?"})
    ((ids, _),) = encode_prompts([turns], make_tokenizer(style), 1000)
    assert make_tokenizer(style).decode(ids) == (
        "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
        "<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_system_message_goes_where_the_template_has_room() -> None:
    """Gemma's template refuses one: it stands before the user's words."""
    tokenizer = make_tokenizer(STYLES["gemma"])
    ((ids, _),) = encode_prompts([({"role": "system", "content": "Be brief."}, *HI)], tokenizer, 99)
    assert "user\nBe brief.\n\nHi?<end_of_turn>" in tokenizer.decode(ids)


def test_what_a_template_refuses_is_named() -> None:
    """Mistral's template wants user and assistant in turn."""
    tokenizer = make_tokenizer(STYLES["mistral"])
    with pytest.raises(InputError, match="conversation 2: the chat template refuses it"):
        encode_prompts([HI, (*HI, *HI)], tokenizer, 1000)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("chatml", {"<|im_end|>"}),
        ("chatml-base-eos", {"<|endoftext|>", "<|im_end|>"}),
        ("llama3-end-of-text", {"<|end_of_text|>", "<|eot_id|>"}),
        ("gemma", {"<eos>", "<end_of_turn>"}),
        ("llama2", {"</s>"}),
    ],
)
def test_an_answer_ends_at_eos_and_at_the_templates_end_of_turn(name: str, ends: set[str]) -> None:
    tokenizer = make_tokenizer(STYLES[name])
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=None))
    assert set(tokenizer.convert_ids_to_tokens(stop_ids(model, tokenizer))) == ends
    model.generation_config.eos_token_id = [7, tokenizer.eos_token_id]
    assert 7 in stop_ids(model, tokenizer)
