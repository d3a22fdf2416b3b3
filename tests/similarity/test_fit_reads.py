"""The file that says whether a fitted model of embeddings was given prompts."""

from pathlib import Path

import pytest

from margintool.similarity.form_file import FORM_FILE
from margintool.similarity.texts import check_reads, reads_prompt, write_reads
from mmpo_core.errors import InputError


def test_a_model_that_says_nothing_takes_either(tmp_path: Path) -> None:
    for name in (str(tmp_path), "sentence-transformers/all-MiniLM-L6-v2"):
        assert reads_prompt(name) is None
        for with_prompt in (False, True):
            check_reads(name, with_prompt=with_prompt)


def test_a_mismatch_is_refused_in_both_directions(tmp_path: Path) -> None:
    for with_prompt, match in (
        (False, r"was fitted to each answer alone .* Leave out --with-prompt"),
        (True, r"was fitted to prompt and answer together .* Add --with-prompt"),
    ):
        write_reads(tmp_path, with_prompt=with_prompt)
        assert reads_prompt(str(tmp_path)) == with_prompt
        check_reads(str(tmp_path), with_prompt=with_prompt)
        with pytest.raises(InputError, match=match):
            check_reads(str(tmp_path), with_prompt=not with_prompt)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", "form of input 'None'"),
        ('{"reads": "answers"}', "form of input 'answers'"),
    ],
)
def test_a_file_that_cannot_be(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / FORM_FILE).write_text(content)
    with pytest.raises(InputError, match=match):
        reads_prompt(str(tmp_path))
