"""Truncation: what is cut, what is always kept, and what is dropped or refused.

Hand-made ids: BOS is 1, EOS 2, prompts count from 10, chosen from 100, rejected from 200.
"""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.encode import encode_pairs
from mmpo_core.errors import InputError
from mmpo_core.fit import Limits, Tokens, shared_prompt
from mmpo_core.tiny import make_tiny_tokenizer
from tests.core.chat_tokenizers import STYLES, make_tokenizer, pair_table


def conversation(prompt: int, answer: int, first: int, closing: int = 1) -> Tokens:
    """BOS and prompt - 1 tokens, then `answer` tokens of which the last is EOS."""
    ids = [1, *range(10, 9 + prompt), *range(first, first + answer - 1), 2]
    return Tokens(np.array(ids, dtype=np.int32), prompt, closing)


def fit(limits, prompt, chosen, rejected, closing=1, has_bos=True):
    sides = conversation(prompt, chosen, 100, closing), conversation(prompt, rejected, 200, closing)
    return limits.fit(*sides, has_bos)


def test_pair_that_fits_is_left_whole():
    """Prompt 4 + longest answer 6 = 10 = max_length."""
    fitted = fit(Limits(10, None, "truncate", 1), 4, 6, 3)
    assert list(fitted.prompt) == [1, 10, 11, 12]
    assert list(fitted.chosen) == [100, 101, 102, 103, 104, 2]
    assert list(fitted.rejected) == [200, 201, 2]
    assert not fitted.prompt_cut
    assert not fitted.completion_cut


def test_prompt_loses_no_more_than_it_must_by_default():
    """Prompt 8 + answer 6 = 14 > 12: two go, from the left, behind BOS."""
    fitted = fit(Limits(12, None, "truncate", 1), 8, 6, 3)
    assert list(fitted.prompt) == [1, 12, 13, 14, 15, 16]
    assert list(fitted.chosen) == [100, 101, 102, 103, 104, 2]
    assert fitted.prompt_cut
    assert not fitted.completion_cut


def test_half_of_the_length_is_safe_from_long_answers_by_default():
    """max_length 10: the prompt of 8 keeps 5, the answer of 20 gets the other 5, EOS last."""
    fitted = fit(Limits(10, None, "truncate", 1), 8, 20, 3)
    assert list(fitted.prompt) == [1, 13, 14, 15, 16]
    assert list(fitted.chosen) == [100, 101, 102, 103, 2]
    assert list(fitted.rejected) == [200, 201, 2]
    assert fitted.completion_cut


def test_given_prompt_limit_holds_even_where_the_pair_would_fit():
    fitted = fit(Limits(100, 3, "truncate", 1), 8, 6, 3)
    assert list(fitted.prompt) == [1, 15, 16]
    assert not fitted.completion_cut


def test_prompt_without_bos_keeps_its_last_tokens():
    fitted = fit(Limits(100, 3, "truncate", 1), 8, 6, 3, has_bos=False)
    assert list(fitted.prompt) == [14, 15, 16]


def test_end_of_turn_marker_is_kept_before_eos():
    """closing 2: the answer's last two tokens, 118 and EOS, end the cut answer too."""
    fitted = fit(Limits(10, None, "truncate", 1), 5, 20, 3, closing=2)
    assert list(fitted.chosen) == [100, 101, 102, 118, 2]


def test_eos_alone_is_kept_where_the_marker_has_no_room():
    fitted = fit(Limits(6, 4, "truncate", 1), 4, 20, 3, closing=2)
    assert list(fitted.chosen) == [100, 2]


@pytest.mark.parametrize(("prompt", "chosen"), [(8, 6), (4, 20)])
def test_too_long_pair_is_not_cut_when_dropping(prompt, chosen):
    assert fit(Limits(10, None, "drop", 1), prompt, chosen, 3) is None


def test_shared_prompt_ends_where_the_two_differ():
    """Chosen's header merged with its answer: its prompt is one token shorter."""
    chosen = Tokens(np.array([1, 10, 77, 2], dtype=np.int32), 2, 1)
    rejected = Tokens(np.array([1, 10, 11, 200, 2], dtype=np.int32), 3, 1)
    assert shared_prompt(chosen, rejected) == 2
    earlier = Tokens(np.array([1, 99, 11, 200, 2], dtype=np.int32), 3, 1)
    assert shared_prompt(chosen, earlier) == 1


@given(
    prompt=st.integers(2, 40),
    chosen=st.integers(1, 40),
    rejected=st.integers(1, 40),
    max_length=st.integers(6, 60),
    share=st.none() | st.floats(0.4, 0.9),
    closing=st.integers(1, 3),
)
def test_any_pair_fits_and_keeps_bos_header_and_eos(
    prompt, chosen, rejected, max_length, share, closing
):
    limit = None if share is None else min(int(max_length * share), max_length - 2)
    limits = Limits(max_length, limit, "truncate", 1)
    fitted = fit(limits, prompt, chosen, rejected, min(closing, chosen, rejected))
    for side, length in ((fitted.chosen, chosen), (fitted.rejected, rejected)):
        assert len(fitted.prompt) + len(side) <= max_length
        assert side[-1] == 2
        assert len(side) >= min(2, length)
    assert fitted.prompt[0] == 1
    assert fitted.prompt[-1] == 8 + prompt
    if limit is not None:
        assert len(fitted.prompt) <= limit
    assert fitted.prompt_cut == (len(fitted.prompt) < prompt)


def test_counts_of_cut_and_dropped_pairs_are_reported():
    """max_length 40 in byte tokens: header 1 + <bos> 1 + <|user|> 1 + <eos> 1, then the text."""
    rows = [
        {},
        {"prompt": "p" * 50},
        {"chosen": "c" * 50},
        {"prompt": "q" * 50, "rejected": "r" * 50},
    ]
    tokenizer = make_tiny_tokenizer()
    report = encode_pairs(pair_table(*rows), tokenizer, max_length=40).report
    assert (report.read, report.kept, report.prompts_cut, report.completions_cut) == (4, 4, 2, 2)
    dropped = encode_pairs(pair_table(*rows), tokenizer, max_length=40, overlong="drop").report
    assert [(d.row, d.pair_id, d.reason) for d in dropped.dropped] == [
        (1, "id-1", "overlong"),
        (2, "id-2", "overlong"),
        (3, "id-3", "overlong"),
    ]
    assert dropped.to_dict()["dropped"] == {"overlong": 3}


def test_longer_pair_is_an_error_on_request_and_names_itself():
    """<bos> <|user|> Hi? <eos> <|assistant|> = 7 tokens of prompt; 50 + EOS of answer: 58."""
    table = pair_table({}, {"chosen": "c" * 50})
    with pytest.raises(InputError, match=r"row 1 \(pair_id id-1\).*58 tokens, prompt 7"):
        encode_pairs(table, make_tiny_tokenizer(), max_length=40, overlong="error")


def test_both_sides_see_the_same_prompt_and_the_header_after_cutting():
    tokenizer = make_tokenizer(STYLES["llama3"])
    row = {"prompt": "Why is the sky blue? " * 30, "chosen": "Yes. " * 90}
    pair = encode_pairs(pair_table(row), tokenizer, max_length=64)[0]
    text = tokenizer.decode(pair["prompt_ids"])
    header = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    assert text.startswith("<|begin_of_text|>")
    assert text.endswith(header)
    assert len(pair["prompt_ids"]) + len(pair["chosen_ids"]) == 64
    assert tokenizer.decode(pair["chosen_ids"]).endswith("<|eot_id|>")


def test_answers_alike_after_cutting_are_dropped():
    table = pair_table({"chosen": "a" * 60 + "b", "rejected": "a" * 60 + "c"}, {})
    report = encode_pairs(table, make_tiny_tokenizer(), max_length=40).report
    assert report.dropped[0].detail == "both answers are the same tokens after cutting"


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_length": 6}, "too short: the chat template's own header takes"),
        ({"max_length": 64, "max_prompt_length": 2}, "too short"),
        ({"max_length": 64, "max_prompt_length": 63}, "leaves no room for an answer"),
        ({"overlong": "keep"}, "Known: truncate, drop, error"),
    ],
)
def test_limits_that_leave_no_room_are_refused(limits, says):
    with pytest.raises(InputError, match=says):
        encode_pairs(pair_table({}), make_tiny_tokenizer(), **limits)


def test_no_pair_left_is_an_error_that_says_why():
    table = pair_table({"rejected": "Yes, it is."})
    with pytest.raises(InputError, match=r"(?s)no pair can be trained on.*identical"):
        encode_pairs(table, make_tiny_tokenizer())


@pytest.mark.parametrize("name", ["llama3", "zephyr", "chatml"])
@pytest.mark.parametrize("special", ["", "</s><|im_end|><|eot_id|>"])
def test_text_far_beyond_the_limits_is_cut_as_if_it_had_been_tokenised(name, special):
    """Prompt and answer of 2,000 words; ids are those of the whole text, cut afterwards.

    max_length 64: the prompt keeps BOS and its last 31 tokens, the answer its first 31 and EOS.
    """
    style = STYLES[name]
    tokenizer = make_tokenizer(style)
    words = " ".join(f"{special}w{i}" for i in range(2_000))
    row = {"prompt": words, "chosen": words, "rejected": "No."}
    pair = encode_pairs(pair_table(row), tokenizer, max_length=64)[0]
    near = encode_pairs(pair_table(row), tokenizer, max_length=1_000_000)[0]
    bos = int(style.bos is not None)
    prompt = [*near["prompt_ids"][:bos], *near["prompt_ids"][bos - 32 :]]
    assert list(pair["prompt_ids"]) == prompt
    closing = 1
    assert list(pair["chosen_ids"]) == [*near["chosen_ids"][: 32 - closing], tokenizer.eos_token_id]


def test_prompt_of_ten_megabytes_takes_little_time_and_says_it_is_longer():
    table = pair_table({"prompt": "word " * 2_000_000}, {})
    start = time.process_time()
    assert encode_pairs(table, make_tiny_tokenizer()).report.prompts_cut == 1
    assert time.process_time() - start < 10
    with pytest.raises(InputError, match=r"more than \d+ tokens"):
        encode_pairs(table, make_tiny_tokenizer(), overlong="error")
