"""Encoding over the published template styles: masks, BOS and EOS, boundaries, text kept."""

import gzip
import json
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpo_core.chat import MARK, set_default_template
from mmpo_core.encode import encode_pairs
from mmpo_core.errors import InputError
from mmpo_core.tiny import make_tiny_tokenizer
from tests.core.chat_tokenizers import STYLES, Style, make_tokenizer, pair_table

KEEP = {"skip_special_tokens": False}
EVERY_STYLE = pytest.mark.parametrize("name", STYLES)


def decoded(tokenizer, ids):
    return tokenizer.decode(ids, **KEEP)


@EVERY_STYLE
def test_prompt_and_completion_are_split_as_the_style_says(name):
    style = STYLES[name]
    tokenizer = make_tokenizer(style)
    pair = encode_pairs(pair_table({}), tokenizer)[0]
    assert decoded(tokenizer, pair["prompt_ids"]) == style.prompt
    assert decoded(tokenizer, pair["chosen_ids"]) == style.completion
    assert decoded(tokenizer, pair["rejected_ids"]) == style.completion.replace("Yes, it is", "No")


@EVERY_STYLE
def test_ids_are_those_of_the_whole_text_tokenised_once(name):
    """The styles' texts carry their BOS: the reference is the tokenizer on the whole text."""
    tokenizer = make_tokenizer(STYLES[name])
    text = STYLES[name].prompt + STYLES[name].completion
    pair = encode_pairs(pair_table({}), tokenizer)[0]
    whole = [*pair["prompt_ids"], *pair["chosen_ids"]]
    assert whole == tokenizer(text, add_special_tokens=False).input_ids


@EVERY_STYLE
@pytest.mark.parametrize("adds_bos", [True, False])
def test_one_bos_in_front_and_one_eos_at_the_end(name, adds_bos):
    """Template and tokenizer may both add BOS (axolotl #1733, NeMo-RL #855), or neither EOS."""
    style = STYLES[name]
    tokenizer = make_tokenizer(style, adds_bos=adds_bos)
    pair = encode_pairs(pair_table({}), tokenizer)[0]
    has_bos = style.bos is not None and (adds_bos or "bos_token" in style.template)
    whole = [*pair["prompt_ids"], *pair["chosen_ids"]]
    assert whole.count(tokenizer.bos_token_id) == has_bos
    assert (whole[0] == tokenizer.bos_token_id) == has_bos
    for side in ("chosen_ids", "rejected_ids"):
        assert list(pair[side]).count(tokenizer.eos_token_id) == 1
        assert pair[side][-1] == tokenizer.eos_token_id


def test_doubled_bos_of_a_template_becomes_one():
    style = STYLES["gemma"]
    tokenizer = make_tokenizer(style)
    tokenizer.chat_template = "{{ bos_token }}" + style.template
    pair = encode_pairs(pair_table({}), tokenizer)[0]
    assert decoded(tokenizer, pair["prompt_ids"]) == style.prompt


def test_llama2_keeps_the_bos_that_its_template_puts_before_each_turn():
    tokenizer = make_tokenizer(STYLES["llama2"])
    history = [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B."}]
    pair = encode_pairs(pair_table({"history": history}), tokenizer)[0]
    text = decoded(tokenizer, pair["prompt_ids"])
    assert text == "<s>[INST] A? [/INST] B. </s><s>[INST] Hi? [/INST]"


def test_history_stands_in_the_prompt_and_only_the_last_answer_is_completion():
    tokenizer = make_tokenizer(STYLES["zephyr"])
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A?"},
        {"role": "assistant", "content": "Yes, it is."},
    ]
    pair = encode_pairs(pair_table({"history": history}), tokenizer)[0]
    assert decoded(tokenizer, pair["prompt_ids"]) == (
        "<s><|system|>\nBe brief.</s>\n<|user|>\nA?</s>\n<|assistant|>\nYes, it is.</s>\n"
        "<|user|>\nHi?</s>\n<|assistant|>\n"
    )
    assert decoded(tokenizer, pair["chosen_ids"]) == "Yes, it is.</s>"


def test_token_across_the_boundary_belongs_to_the_completion():
    """TRL #1153. The corpus makes "\\n\\n" one token: header "\\n" and answer "\\nX" merge.

    Chosen: the merged token starts the completion. Both sides must see the same prompt ids, so
    rejected, whose header "\\n" stands alone, has it in the completion too.
    """
    tokenizer = make_tokenizer(STYLES["zephyr"])
    newline, double = (tokenizer.encode(t, add_special_tokens=False) for t in ("\n", "\n\n"))
    assert len(newline) == len(double) == 1
    pair = encode_pairs(pair_table({"chosen": "\n\nYes", "rejected": "No"}), tokenizer)[0]
    assert decoded(tokenizer, pair["prompt_ids"]) == "<s><|user|>\nHi?</s>\n<|assistant|>"
    assert pair["chosen_ids"][0] in double or decoded(tokenizer, pair["chosen_ids"][:1])[0] == "\n"
    assert pair["rejected_ids"][0] == newline[0]
    assert decoded(tokenizer, pair["chosen_ids"]) == "\n\n\nYes</s>"
    assert decoded(tokenizer, pair["rejected_ids"]) == "\nNo</s>"


def test_leading_space_token_of_llama_style_vocabularies_starts_the_completion():
    """ " Yes" is one token in SentencePiece vocabularies; its space comes from the template."""
    style = Style(STYLES["mistral"].template, "<s>", "</s>", (), "", "")
    tokenizer = make_tokenizer(style, metaspace=True)
    pair = encode_pairs(pair_table({"chosen": "the answer", "rejected": "you"}), tokenizer)[0]
    assert tokenizer.convert_ids_to_tokens(pair["chosen_ids"])[0].startswith("▁the")
    assert decoded(tokenizer, pair["prompt_ids"]).endswith("[/INST]")


def test_white_space_that_the_template_trims_does_not_shift_the_split():
    tokenizer = make_tokenizer(STYLES["llama3"])
    pairs = encode_pairs(pair_table({"chosen": "  Yes, it is.\n"}), tokenizer)
    assert decoded(tokenizer, pairs[0]["prompt_ids"]) == STYLES["llama3"].prompt
    assert decoded(tokenizer, pairs[0]["chosen_ids"]) == "Yes, it is.<|eot_id|>"
    assert pairs.report.answers_altered == 0


def test_white_space_is_kept_where_the_template_keeps_it():
    tokenizer = make_tokenizer(STYLES["chatml"])
    pair = encode_pairs(pair_table({"chosen": "  Yes \n\n "}), tokenizer)[0]
    assert decoded(tokenizer, pair["chosen_ids"]) == "  Yes \n\n <|im_end|>"


def test_answer_rewritten_by_the_template_is_counted():
    """R1's template drops everything up to </think>."""
    tokenizer = make_tokenizer(STYLES["r1"])
    pairs = encode_pairs(pair_table({"chosen": "<think>hm</think>Yes"}, {}), tokenizer)
    assert decoded(tokenizer, pairs[0]["chosen_ids"]) == "Yes</s>"
    assert pairs.report.answers_altered == 1


def test_generation_header_that_answers_do_not_have_is_warned_of(caplog):
    encode_pairs(pair_table({}), make_tokenizer(STYLES["r1"]))
    assert "<think>" in caplog.text


def test_template_that_leaves_the_answer_out_is_refused():
    tokenizer = make_tokenizer(STYLES["chatml"])
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    with pytest.raises(InputError, match="leaves out the user's message or the answer"):
        encode_pairs(pair_table({}), tokenizer)


def test_template_that_renders_the_prompt_otherwise_once_answered_drops_the_row():
    """The probe has one user turn and passes; a row with history shows the difference."""
    tokenizer = make_tokenizer(STYLES["zephyr"])
    tokenizer.chat_template = (
        "{% if messages[-1]['role'] == 'assistant' and messages|length > 2 %}Late: {% endif %}"
        + STYLES["zephyr"].template
    )
    history = [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B."}]
    pairs = encode_pairs(pair_table({}, {"history": history}), tokenizer)
    assert [(d.row, d.pair_id, d.reason) for d in pairs.report.dropped] == [(1, "id-1", "template")]
    assert "renders the conversation differently" in pairs.report.dropped[0].detail


def test_row_that_the_template_refuses_is_dropped_with_its_reason():
    tokenizer = make_tokenizer(STYLES["mistral"])
    history = [{"role": "user", "content": "And this?"}]
    pairs = encode_pairs(pair_table({"history": history}, {}), tokenizer)
    assert list(pairs.row) == [1]
    assert "Roles must alternate" in pairs.report.dropped[0].detail
    assert any("1 dropped (template), first row 0" in line for line in pairs.report.lines())


def test_every_row_refused_is_an_error_with_the_templates_words():
    history = [{"role": "user", "content": "And this?"}]
    with pytest.raises(InputError, match=r"(?s)no pair can be trained on.*Roles must alternate"):
        encode_pairs(pair_table({"history": history}), make_tokenizer(STYLES["mistral"]))


@pytest.mark.parametrize("name", [n for n, s in STYLES.items() if not s.takes_system])
def test_refused_or_ignored_system_message_goes_into_the_first_user_turn(name):
    """Gemma and Mistral raise; the R1 style leaves it out without a word."""
    tokenizer = make_tokenizer(STYLES[name])
    history = [{"role": "system", "content": "Be brief."}]
    pairs = encode_pairs(pair_table({"history": history}, {}), tokenizer)
    merged = decoded(tokenizer, pairs[0]["prompt_ids"])
    assert merged == STYLES[name].prompt.replace("Hi?", "Be brief.\n\nHi?")
    assert pairs.report.system_merged == 1


def test_system_message_is_its_own_turn_where_the_template_has_one():
    tokenizer = make_tokenizer(STYLES["chatml"])
    history = [{"role": "system", "content": "Be brief."}]
    pairs = encode_pairs(pair_table({"history": history}), tokenizer)
    text = decoded(tokenizer, pairs[0]["prompt_ids"])
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi?")
    assert pairs.report.system_merged == 0


@EVERY_STYLE
def test_special_tokens_in_peoples_text_stay_text(name):
    """A person may write "</s>": it is not the end, and it is read back as it was written."""
    style = STYLES[name]
    tokenizer = make_tokenizer(style)
    specials = [s for s in (style.bos, style.eos, *style.others) if s]
    evil = "x".join(["", *specials, "".join(specials)]) + "x"
    row = {"prompt": f"a{evil}b", "chosen": f"c{evil}d", "rejected": evil}
    pair = encode_pairs(pair_table(row), tokenizer)[0]
    assert decoded(tokenizer, pair["prompt_ids"]) == style.prompt.replace("Hi?", f"a{evil}b")
    expected = style.completion.replace("Yes, it is.", f"c{evil}d")
    assert decoded(tokenizer, pair["chosen_ids"]) == expected
    assert list(pair["chosen_ids"]).count(tokenizer.eos_token_id) == 1
    assert MARK not in decoded(tokenizer, pair["prompt_ids"])


def test_special_tokens_in_text_stay_text_with_byte_fallback():
    style = Style(STYLES["zephyr"].template, "<s>", "</s>", (), "", "")
    tokenizer = make_tokenizer(style, metaspace=True)
    pair = encode_pairs(pair_table({"chosen": "a </s> b<s>"}), tokenizer)[0]
    assert list(pair["chosen_ids"]).count(tokenizer.eos_token_id) == 1
    assert decoded(tokenizer, pair["chosen_ids"]).endswith("a </s> b<s></s>")


def test_the_private_character_that_marks_special_text_may_stand_in_text():
    tokenizer = make_tokenizer(STYLES["zephyr"])
    pair = encode_pairs(pair_table({"chosen": f"{MARK}a</s>{MARK}"}), tokenizer)[0]
    assert decoded(tokenizer, pair["chosen_ids"]) == f"{MARK}a</s>{MARK}</s>"


def test_date_in_a_template_is_a_fixed_one():
    """Else tokens, and with them cached reference log-probs, would change at midnight."""
    style = STYLES["chatml"]
    tokenizer = make_tokenizer(style)
    from tests.core.chat_tokenizers import DATED

    tokenizer.chat_template = DATED
    pair = encode_pairs(pair_table({}), tokenizer)[0]
    text = decoded(tokenizer, pair["prompt_ids"])
    assert text == "Today is 26 Jul 2024. " + style.prompt


@pytest.mark.parametrize("adds_bos", [True, False])
def test_default_template_agrees_with_generation_through_transformers(adds_bos, caplog):
    """Training and apply_chat_template(tokenize=True) must give the same prompt ids."""
    tokenizer = make_tokenizer(STYLES["zephyr"], adds_bos=adds_bos)
    tokenizer.chat_template = None
    set_default_template(tokenizer, "some-base-model")
    assert "some-base-model has no chat template" in caplog.text
    pair = encode_pairs(pair_table({}), tokenizer)[0]
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi?"}], add_generation_prompt=True, return_dict=False
    )
    assert list(pair["prompt_ids"]) == asked
    bos = "<s>" if adds_bos else ""
    assert decoded(tokenizer, asked) == f"{bos}<|user|>\nHi?\n<|assistant|>\n"
    assert decoded(tokenizer, pair["chosen_ids"]) == "Yes, it is.</s>"


def test_tokenizer_without_template_eos_or_offsets_is_refused():
    tokenizer = make_tokenizer(STYLES["zephyr"])
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        encode_pairs(pair_table({}), tokenizer)
    tokenizer = make_tokenizer(STYLES["zephyr"])
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="no EOS token"):
        encode_pairs(pair_table({}), tokenizer)


def test_missing_column_is_named():
    with pytest.raises(InputError, match="column 'margin' is missing"):
        encode_pairs(pair_table({}).drop_columns(["margin"]), make_tiny_tokenizer())


def test_empty_answer_is_a_completion_of_eos_alone():
    tokenizer = make_tokenizer(STYLES["zephyr"])
    pair = encode_pairs(pair_table({"rejected": ""}), tokenizer)[0]
    assert list(pair["rejected_ids"]) == [tokenizer.eos_token_id]


def test_identical_completions_are_dropped_and_counted():
    pairs = encode_pairs(pair_table({"rejected": "Yes, it is."}, {}), make_tiny_tokenizer())
    assert (len(pairs), pairs.report.dropped_by_reason) == (1, {"identical": 1})


def test_padding_and_truncation_saved_with_a_tokenizer_do_not_matter():
    tokenizer = make_tiny_tokenizer()
    plain = encode_pairs(pair_table({}, {"chosen": "Much longer than the other."}), tokenizer)
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=64)
    again = encode_pairs(pair_table({}, {"chosen": "Much longer than the other."}), tokenizer)
    assert plain.digests().tolist() == again.digests().tolist()


PIECES = [
    "</s>",
    "<s>",
    "<|im_end|>",
    "[INST]",
    "<eos>",
    "<",
    "\n",
    "\n\n",
    " ",
    "the",
    "|>",
    "/s>",
]
TEXT = st.text(max_size=60) | st.lists(
    st.sampled_from(PIECES) | st.text(max_size=3), max_size=12
).map("".join)


@settings(max_examples=100)
@given(name=st.sampled_from(sorted(STYLES)), prompt=TEXT, chosen=TEXT, rejected=TEXT)
def test_any_text_comes_back_with_one_bos_and_eos_last(name, prompt, chosen, rejected):
    style = STYLES[name]
    if name == "r1":  # its template cuts answers at </think>
        chosen, rejected = (t.replace("</think>", "") for t in (chosen, rejected))
    tokenizer = make_tokenizer(style)
    table = pair_table({"prompt": prompt, "chosen": chosen, "rejected": rejected}, {})
    pairs = encode_pairs(table, tokenizer)
    if list(pairs.row) == [1]:
        assert chosen.strip() == rejected.strip()
        assert pairs.report.dropped_by_reason == {"identical": 1}
        return
    pair = pairs[0]
    for side, answer in (("chosen_ids", chosen), ("rejected_ids", rejected)):
        text = decoded(tokenizer, [*pair["prompt_ids"], *pair[side]])
        written = {(prompt.strip(), answer.strip()), (prompt, answer)}
        assert text in {
            style.prompt.replace("Hi?", p) + style.completion.replace("Yes, it is.", a)
            for p, a in written
        }
        assert answer.strip() in decoded(tokenizer, pair[side])
        ids = list(pair[side])
        assert ids[-1] == tokenizer.eos_token_id
        assert ids.count(tokenizer.eos_token_id) == 1
        if style.bos:
            assert [*pair["prompt_ids"], *ids].count(tokenizer.bos_token_id) == 1


def test_rows_do_not_depend_on_their_neighbours():
    """Encoded in one table or one by one (batches differ), the ids are the same."""
    rows = [{"prompt": f"Why {i}?", "chosen": "A" * i, "rejected": "B\n" * i} for i in range(1, 30)]
    tokenizer = make_tiny_tokenizer()
    together = encode_pairs(pair_table(*rows), tokenizer)
    for i, row in enumerate(rows):
        alone = encode_pairs(pair_table(row), tokenizer)[0]
        for part in ("prompt_ids", "chosen_ids", "rejected_ids"):
            assert np.array_equal(together[i][part], alone[part])


@pytest.mark.real_data
def test_real_pairs_are_encoded_faithfully_and_quickly(real_data: Path):
    """r/explainlikeimfive; all 4.4 million byte tokens of 3,200 pairs took 4.5 s on one core."""
    path = real_data / "votes" / "eli5_shp_layout.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, 800)]
    table = pair_table(
        *(
            {"prompt": r["history"], "chosen": r["human_ref_A"], "rejected": r["human_ref_B"]}
            for r in rows
        )
    )
    tokenizer = make_tiny_tokenizer()
    start = time.process_time()
    pairs = encode_pairs(table, tokenizer, max_length=100_000)
    seconds = time.process_time() - start
    assert pairs.report.kept == 800
    tokens = (
        2 * pairs.prompt.lengths.sum() + pairs.chosen.lengths.sum() + pairs.rejected.lengths.sum()
    )
    assert tokens / seconds > 100_000
    for i in range(0, 800, 23):
        assert decoded(tokenizer, pairs[i]["chosen_ids"]) == rows[i]["human_ref_A"] + "<eos>"
        assert decoded(tokenizer, pairs[i]["rejected_ids"]) == rows[i]["human_ref_B"] + "<eos>"
