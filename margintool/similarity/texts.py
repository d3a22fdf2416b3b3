"""The text that is embedded for an answer read together with its prompt (`--with-prompt`).

Read by scoring (likeness.py) and by fitting: a model is fitted to what it will be given, and a
file beside it says what that is.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from margintool.similarity.form_file import FORM_FILE, read_form_file, write_form_file
from mmpo_core.errors import InputError, lookup

ANSWER, PROMPT_AND_ANSWER = "answer", "prompt-and-answer"
READS: dict[str, str] = {
    ANSWER: "each answer alone",
    PROMPT_AND_ANSWER: "prompt and answer together",
}
BETWEEN = "\n\n"


def response_texts(prompts: pa.ChunkedArray, responses: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return N prompts, each with its answer after an empty line. Null where either is null.

    Args:
        prompts: (N,) last user messages.
        responses: (N,) answers.
    """
    # Long strings: a chunk of prompts and answers together may pass 2 GB.
    prompts, responses = (column.cast(pa.large_string()) for column in (prompts, responses))
    return pc.binary_join_element_wise(prompts, responses, pa.scalar(BETWEEN, pa.large_string()))


def write_reads(folder: Path, *, with_prompt: bool) -> None:
    """Write what the model of embeddings in `folder` reads beside it."""
    write_form_file(folder, {"reads": PROMPT_AND_ANSWER if with_prompt else ANSWER})


def reads_prompt(name: str) -> bool | None:
    """Return whether a model reads prompts as well; None where no file beside it says so.

    Args:
        name: hub id, or folder of a model of embeddings.

    Raises:
        InputError: if the file is damaged.
    """
    folder = Path(name).expanduser()
    content = read_form_file(folder) if folder.is_dir() else None
    if content is None:
        return None
    reads = content.get("reads")
    lookup(f"{folder / FORM_FILE}: form of input", str(reads), READS)
    return bool(reads == PROMPT_AND_ANSWER)


def check_reads(name: str, *, with_prompt: bool) -> None:
    """Refuse to give a fitted model other texts than it was fitted to.

    Args:
        name: hub id, or folder of a model of embeddings.
        with_prompt: whether it is to be given prompts as well.

    Raises:
        InputError: if it was fitted to the other; if the file that says so is damaged.
    """
    reads = reads_prompt(name)
    if reads is None or reads == with_prompt:
        return
    what = READS[PROMPT_AND_ANSWER if reads else ANSWER]
    raise InputError(
        f"{name}: was fitted to {what} ({FORM_FILE}), and its distances of other texts mean "
        f"little. {'Add' if reads else 'Leave out'} --with-prompt"
    )
