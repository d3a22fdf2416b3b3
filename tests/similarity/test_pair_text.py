"""What a cross-encoder is given to read, and the file that says so."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.similarity.pair_text import (
    BETWEEN_ANSWERS,
    FORM_FILE,
    PROMPT_AND_ANSWERS,
    PairForm,
    fair_share,
    pair_texts,
    read_form,
    write_form,
)
from mmpo_core.errors import InputError


def test_forms() -> None:
    assert PairForm().texts("p", "a", "b") == ("a", "b")
    both = f"a{BETWEEN_ANSWERS}b"
    assert PairForm(PROMPT_AND_ANSWERS).texts("p", "a", "b") == ("p", both)
    assert pair_texts("p", "a", "b") == ("p", both)


def test_what_is_too_long_is_cut_fairly() -> None:
    """9 of 2 + 8 + 4: the short one is whole, 7 are left for two, so 3 and 4."""
    assert fair_share(("xx", "12345678", "abcd"), 9) == ("xx", "1234", "abc")
    assert PairForm(characters=4).texts("not read", "12345", "abc") == ("12", "ab")


@given(st.lists(st.text(max_size=12), min_size=1, max_size=4), st.integers(0, 40))
def test_fair_share_is_fair(texts: list[str], characters: int) -> None:
    cut = fair_share(tuple(texts), characters)
    assert all(text.startswith(kept) for text, kept in zip(texts, cut, strict=True))
    assert sum(map(len, cut)) == min(characters, sum(map(len, texts)))
    shares = [len(kept) for text, kept in zip(texts, cut, strict=True) if kept != text]
    # Those that were cut are as long as any, to one character.
    assert all(share >= max(map(len, cut)) - 1 for share in shares)


def test_the_file_says_it(tmp_path: Path) -> None:
    assert read_form(tmp_path) == PairForm()
    for form in (PairForm(PROMPT_AND_ANSWERS, 1800), PairForm()):
        write_form(tmp_path, form)
        assert read_form(tmp_path) == form


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"read": 1}', "is damaged"),
        ('{"reads": "prompt"}', "unknown .* 'prompt'"),
        ('{"reads": "answers", "characters": 0}', "characters must be"),
        ('{"reads": "answers", "characters": "many"}', "characters must be"),
        ('{"reads": "answers", "characters": -3}', "characters must be"),
    ],
)
def test_a_file_that_cannot_be(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / FORM_FILE).write_text(content)
    with pytest.raises(InputError, match=match):
        read_form(tmp_path)
