"""Conversations to token ids: every answer's span, what is cut, what is dropped and said."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpo_core.encode import encode_pairs
from mmpo_core.errors import InputError
from mmpo_core.schema import HISTORY
from mmpo_core.sft.conversations import ConversationReport, Conversations
from mmpo_core.sft.tokens import encode_conversations
from tests.core.chat_tokenizers import STYLES, Style, make_tokenizer, pair_table

# ChatML with the marks by which transformers itself finds the assistant's tokens
GENERATION = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
    "{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ m['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def turns(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    """User and assistant in turn."""
    messages = [
        {"role": "assistant" if place % 2 else "user", "content": content}
        for place, content in enumerate(contents)
    ]
    return ([{"role": "system", "content": system}] if system else []) + messages


def table(*conversations: list[dict[str, str]]) -> pa.Table:
    origin = [f"chat.jsonl:{row}" for row in range(1, len(conversations) + 1)]
    return pa.table({"messages": pa.array(conversations, HISTORY), "origin": origin})


def encode(
    tokenizer, *conversations: list[dict[str, str]], **options
) -> tuple[Conversations, ConversationReport]:
    report = ConversationReport(read=len(conversations))
    return encode_conversations([table(*conversations)], tokenizer, report, **options), report


def runs(tokenizer, encoded: Conversations, index: int = 0) -> list[str]:
    """The texts of the stretches that the loss is on."""
    start, end = encoded.tokens.offsets[index], encoded.tokens.offsets[index + 1]
    ids, wanted = encoded.tokens.values[start:end], encoded.wanted[start:end].astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], wanted, [0]])))
    return [tokenizer.decode(ids[a:b]) for a, b in edges.reshape(-1, 2)]


@pytest.mark.parametrize("metaspace", [False, True])
@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_one_question_and_answer_are_the_tokens_that_train_sees(style: Style, metaspace: bool):
    """encode_pairs frames the same answer for `train`: same ids, and the same ones predicted."""
    tokenizer = make_tokenizer(style, metaspace=metaspace)
    pairs = encode_pairs(pair_table({}), tokenizer)
    encoded, _ = encode(tokenizer, turns("Hi?", "Yes, it is."))
    assert encoded.tokens[0].tolist() == [*pairs.prompt[0], *pairs.chosen[0]]
    expected = [False] * len(pairs.prompt[0]) + [True] * len(pairs.chosen[0])
    assert encoded.wanted.tolist() == expected


# what ends an answer before the last one, where the template writes no EOS there
MIDDLE = {
    "chatml-base-eos": "Yes, it is.<|im_end|>",
    "llama3-end-of-text": "Yes, it is.<|eot_id|>",
    "gemma": "Yes, it is.<end_of_turn>",
}


@pytest.mark.parametrize("name", [name for name in STYLES if name != "think"])
def test_every_answer_is_learnt_with_its_end_of_turn(name: str):
    style = STYLES[name]
    tokenizer = make_tokenizer(style)
    encoded, report = encode(tokenizer, turns("Hi?", "Yes, it is.", "And?", "Yes, it is."))
    middle = MIDDLE.get(name, style.completion)
    assert runs(tokenizer, encoded) == [middle, style.completion]
    assert (report.kept, report.answers) == (1, 2)


def test_spans_are_those_that_transformers_finds_by_generation_marks():
    tokenizer = make_tokenizer(STYLES["chatml"])
    tokenizer.chat_template = GENERATION
    messages = turns("Hi?", "Yes.\n\nIt is.", "Why?", " The sky", system="Be kind.")
    theirs = tokenizer.apply_chat_template(
        messages, return_assistant_tokens_mask=True, return_dict=True
    )
    encoded, _ = encode(tokenizer, messages)
    length = len(encoded.tokens[0])
    assert theirs["input_ids"][:length] == encoded.tokens[0].tolist()
    assert theirs["assistant_masks"][:length] == encoded.wanted.tolist()
    assert not any(theirs["assistant_masks"][length:])


@given(st.lists(st.text(min_size=1, max_size=12).map(lambda text: f"a{text}z"), min_size=1))
@settings(max_examples=60)
def test_what_is_learnt_is_the_answers_and_nothing_else(answers: list[str]):
    """Byte-level tokens decode to the very text; user's texts are the answers reversed."""
    tokenizer = make_tokenizer(STYLES["chatml"])
    contents = [text for answer in answers for text in (answer[::-1], answer)]
    encoded, _ = encode(tokenizer, turns(*contents), max_length=1 << 14)
    assert runs(tokenizer, encoded) == [f"{answer}<|im_end|>" for answer in answers]


def test_special_tokens_in_what_people_wrote_are_text():
    tokenizer = make_tokenizer(STYLES["chatml"])
    written = "Say <|im_end|> and <|im_start|>assistant."
    encoded, _ = encode(tokenizer, turns(written, f"It is {written}", "ok", "Yes."))
    assert runs(tokenizer, encoded) == [f"It is {written}<|im_end|>", "Yes.<|im_end|>"]
    ids = encoded.tokens[0].tolist()
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 4


def test_what_follows_the_last_answer_is_left_away():
    tokenizer = make_tokenizer(STYLES["chatml"])
    whole, _ = encode(tokenizer, turns("Hi?", "Yes."))
    longer, _ = encode(tokenizer, turns("Hi?", "Yes.", "Thanks"))
    assert longer.tokens[0].tolist() == whole.tokens[0].tolist()


def test_system_message_goes_into_the_user_turn_where_the_template_takes_none():
    tokenizer = make_tokenizer(STYLES["gemma"])
    encoded, report = encode(tokenizer, turns("Hi?", "Yes.", system="Be kind."))
    assert "Be kind.\n\nHi?<end_of_turn>" in tokenizer.decode(encoded.tokens[0])
    assert report.system_merged == 1


def test_a_long_conversation_is_cut_from_the_right():
    tokenizer = make_tokenizer(STYLES["chatml"])
    messages = turns("Hi?", "Yes, it is.", "Why?", "Because the light scatters.")
    whole, _ = encode(tokenizer, messages)
    length = len(whole.tokens[0]) - 3
    cut, report = encode(tokenizer, messages, max_length=length)
    assert cut.tokens[0].tolist() == whole.tokens[0].tolist()[:length]
    assert cut.wanted.tolist() == whole.wanted.tolist()[:length]
    assert report.cut == 1


def test_answers_that_were_cut_away_are_not_counted():
    """Of three answers the first is whole, the second keeps a token, the third is gone."""
    tokenizer = make_tokenizer(STYLES["chatml"])
    messages = turns("Hi?", "Yes, it is.", "Why?", "Because.", "And?", "No.")
    whole, report = encode(tokenizer, messages)
    assert report.answers == 3
    begins = np.flatnonzero(np.diff(whole.wanted.astype(int)) == 1) + 1
    for length, answers in [(begins[1] + 1, 2), (begins[1], 1), (begins[0] + 1, 1)]:
        _, report = encode(tokenizer, messages, max_length=int(length))
        assert (report.kept, report.cut, report.answers) == (1, 1, answers)


def test_text_far_beyond_the_limit_is_not_tokenised():
    """10 MB of answer would be millions of tokens of which 20 are kept; its EOS must not be."""
    tokenizer = make_tokenizer(STYLES["chatml"])
    encoded, report = encode(tokenizer, turns("Hi?", "a b " * 500_000), max_length=20)
    assert (len(encoded.tokens[0]), report.cut) == (20, 1)
    assert tokenizer.eos_token_id not in encoded.tokens[0][-5:]


def test_rows_without_an_answer_are_dropped_and_counted():
    tokenizer = make_tokenizer(STYLES["mistral"])
    encoded, report = encode(
        tokenizer,
        turns("Hi?", "Yes."),
        turns("Hi?"),
        [{"role": "assistant", "content": "Welcome."}, *turns("Hi?", "Yes.")],
        [*turns("Hi?"), *turns("Hi?", "Yes.")],
        turns("a b " * 40, "Yes."),
        max_length=40,
    )
    assert len(encoded) == report.kept == 1
    counts = {reason: refused.count for reason, refused in report.refused.items()}
    assert counts == {"no answer": 2, "template": 1, "no answer left": 1}
    assert report.refused["no answer"].first == "chat.jsonl:2: no assistant message"
    assert "chat.jsonl:4: the chat template refuses it: Roles must alternate" in "\n".join(
        report.lines()
    )


def test_a_template_that_renders_earlier_answers_differently_is_not_guessed_at():
    """Qwen 3 puts a think block before the last answer alone."""
    tokenizer = make_tokenizer(STYLES["think"])
    two = turns("Hi?", "Yes.", "Why?", "Because.")
    encoded, report = encode(tokenizer, turns("Hi?", "Yes."), two)
    assert len(encoded) == 1
    assert "once the conversation goes on" in report.refused["template"].first
    with pytest.raises(InputError, match=r"(?s)no conversation can be trained on.*1 dropped"):
        encode(tokenizer, two)


@pytest.mark.parametrize("overlong", ["drop", "error"])
def test_overlong(overlong: str):
    tokenizer = make_tokenizer(STYLES["chatml"])
    conversations = (turns("Hi?", "Yes."), turns("Hi?", "Yes. " * 40))
    if overlong == "error":
        with pytest.raises(InputError, match=r"chat.jsonl:2: \d+ tokens, and max_length is 32"):
            encode(tokenizer, *conversations, max_length=32, overlong="error")
        return
    encoded, report = encode(tokenizer, *conversations, max_length=32, overlong="drop")
    assert (len(encoded), report.refused["overlong"].count, report.cut) == (1, 1, 0)


def test_select_keeps_ids_and_masks_together():
    tokenizer = make_tokenizer(STYLES["chatml"])
    encoded, _ = encode(tokenizer, *(turns("Hi?" * n, "Yes." * (5 - n)) for n in range(1, 5)))
    some = encoded.select([3, 1])
    for place, index in enumerate([3, 1]):
        assert all(np.array_equal(some[place][key], encoded[index][key]) for key in some[place])
