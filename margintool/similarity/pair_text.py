"""What a cross-encoder is given to read for a pair of answers, and the file that says so.

Read by fitting, which writes the file, and by cross_encoder.py, which scores with the model.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from margintool.similarity.form_file import FORM_FILE, damaged, read_form_file, write_form_file
from mmpo_core.errors import InputError, lookup

BETWEEN_ANSWERS = "\n\n=== the other answer ===\n\n"
ANSWERS, PROMPT_AND_ANSWERS = "answers", "prompt-and-answers"
READS: dict[str, str] = {
    ANSWERS: "the two answers",
    PROMPT_AND_ANSWERS: "the prompt, and the two answers as one text",
}


@dataclass(frozen=True)
class PairForm:
    """How a cross-encoder reads a pair.

    Args:
        reads: a key of READS.
        characters: how much text of prompt and answers together the model is given; None for all
            of it. A model cuts its input at the end, where the second answer is: with a limit of
            about what it can read, all three are cut fairly instead.
    """

    reads: str = ANSWERS
    characters: int | None = None

    def texts(self, prompt: str, a: str, b: str) -> tuple[str, str]:
        """Return the two texts that the model is given for the answers a and b, in this order."""
        if self.reads == PROMPT_AND_ANSWERS:
            return pair_texts(prompt, a, b, characters=self.characters)
        a, b = fair_share((a, b), self.characters)
        return a, b


def pair_texts(prompt: str, a: str, b: str, *, characters: int | None = None) -> tuple[str, str]:
    """Return (prompt, both answers) as a cross-encoder reads them.

    Args:
        prompt: the last user message.
        a, b: the two answers.
        characters: see PairForm.
    """
    prompt, a, b = fair_share((prompt, a, b), characters)
    return prompt, f"{a}{BETWEEN_ANSWERS}{b}"


def fair_share(texts: tuple[str, ...], characters: int | None) -> tuple[str, ...]:
    """Cut texts at their ends so that together they have at most `characters`.

    Only texts longer than an equal share are cut, and what short ones leave goes to the long ones.
    """
    if characters is None or sum(map(len, texts)) <= characters:
        return texts
    left, limits = characters, [0] * len(texts)
    for rank, place in enumerate(sorted(range(len(texts)), key=lambda i: len(texts[i]))):
        limits[place] = min(len(texts[place]), left // (len(texts) - rank))
        left -= limits[place]
    return tuple(text[:limit] for text, limit in zip(texts, limits, strict=True))


def write_form(folder: Path, form: PairForm) -> None:
    """Write what the model in `folder` reads beside it."""
    write_form_file(folder, asdict(form))


def read_form(folder: Path) -> PairForm:
    """Return what the model in `folder` reads: the two answers, where no file says otherwise.

    Raises:
        InputError: if the file is damaged.
    """
    path, content = folder / FORM_FILE, read_form_file(folder)
    if content is None:
        return PairForm()
    try:
        form = PairForm(**content)
    except TypeError as error:
        raise damaged(path, error) from error
    lookup(f"{path}: form of input", form.reads, READS)
    size = form.characters
    if size is not None and (type(size) is not int or size < 1):
        raise InputError(f"{path}: characters must be a whole number > 0, not {size!r}")
    return form
