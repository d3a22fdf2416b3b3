"""Any input to prompts, or to prompts with the answers to each. Read by run.py.

A row that cannot be used stops the command: a table over fewer prompts would look like one over
all.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.best_of_n.options import BestOfNOptions
from margintool.canonical_stream import origins
from margintool.layouts.mapping import apply_map, parse_map
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, as_array, is_text
from margintool.layouts.texts import read_optional_text, read_prompt
from margintool.progress import Bars
from margintool.storage import RawBatch, open_input
from margintool.storage.option_names import own_option_names
from mmpo_core.errors import InputError

logger = logging.getLogger("mmpo_core.best_of_n")

Conversation = tuple[dict[str, str], ...]

ONE, SEVERAL = "response", "responses"
ALIASES = {
    "prompt": ("instruction",),
    ONE: ("completion", "answer", "output", "candidate", "text"),
    SEVERAL: ("completions", "answers", "outputs", "candidates"),
}
_KNOWN = ("prompt", "messages", "history", ONE, SEVERAL)


@dataclass(frozen=True)
class Candidate:
    """One answer.

    Attributes:
        text: the answer.
        tokens: how many the policy made; None where not known.
        finish: `stop` where the policy ended it, `length` where max_new_tokens did; None as well.
    """

    text: str
    tokens: int | None = None
    finish: str | None = None


@dataclass
class Prompts:
    """Different prompts in the order in which they came.

    Attributes:
        rows: that were read.
        conversations: of each prompt; they end with the user.
        answers: to each prompt, where the input has them.
    """

    rows: int = 0
    conversations: list[Conversation] = field(default_factory=list)
    answers: list[list[Candidate]] = field(default_factory=list)


def read_prompts(options: BestOfNOptions, bars: Bars) -> Prompts:
    """Return the different prompts of --prompts.

    Raises:
        InputError: if there is no such input, or no prompt in it, or a row cannot be used.
    """
    assert options.prompts is not None
    return _read(options.prompts, "--prompts", options, bars, answers=False)


def read_candidates(options: BestOfNOptions, bars: Bars) -> Prompts:
    """Return the prompts of --candidates with their answers; rows of one prompt are taken together.

    Raises:
        InputError: if there is no such input, no answer in it, or a row cannot be used.
    """
    assert options.candidates is not None
    found = _read(options.candidates, "--candidates", options, bars, answers=True)
    counts = sorted({len(one) for one in found.answers})
    if counts[-1] == 1:
        raise InputError(
            f"{options.candidates}: every prompt has one answer, so that there is nothing to pick"
        )
    if len(counts) > 1:
        fewest = next(n for n, one in enumerate(found.answers) if len(one) == counts[0])
        logger.warning(
            "prompts have %d to %d answers: the table goes up to the %d of %r",
            counts[0],
            counts[-1],
            counts[0],
            found.conversations[fewest][-1]["content"][:60],
        )
    return found


def _read(data: str, option: str, options: BestOfNOptions, bars: Bars, *, answers: bool) -> Prompts:
    mapping = parse_map(options.map, _KNOWN)
    found, at = Prompts(), dict[str, int]()
    with own_option_names({"--input": option}), bars() as progress:
        raw = open_input(data, split=options.split)
        sample = Raw(apply_map(raw.schema_sample(), mapping), ALIASES)
        _check_columns(sample, raw.description, option, answers=answers)
        progress.start(f"reading {raw.description}", raw.total_bytes)
        with closing(raw.batches(on_bytes=progress.advance)) as batches:
            for messages, texts in _rows(batches, mapping, answers=answers):
                found.rows += 1
                key = json.dumps(messages)
                if key not in at:
                    if options.limit is not None and len(at) == options.limit:
                        if answers:  # further rows may hold more answers to the first prompts
                            continue
                        break
                    at[key] = len(at)
                    found.conversations.append(messages)
                    found.answers.append([])
                found.answers[at[key]] += [Candidate(text) for text in texts]
    if not found.conversations:
        raise InputError(f"{raw.description}: there is no row in it")
    logger.info("%s: %d rows read, %d different prompts", raw.description, found.rows, len(at))
    return found


def _check_columns(sample: Raw, description: str, option: str, *, answers: bool) -> None:
    if not sample.has("prompt") and not sample.has("messages"):
        raise InputError(
            f"{description}: there is no column prompt or messages. {option} needs one; --map "
            "prompt=COLUMN says which it is"
        )
    if answers and not sample.has(ONE) and not sample.has(SEVERAL):
        raise InputError(
            f"{description}: there are no answers. {option} needs a column {ONE} (one a row) or "
            f"{SEVERAL} (a list a row); --map {ONE}=COLUMN says which it is"
        )


def _rows(
    batches: Iterator[RawBatch], mapping: dict[str, str], *, answers: bool
) -> Iterator[tuple[Conversation, Sequence[str]]]:
    """Yield the conversation of each row, and its answers."""
    for batch in batches:
        raw = Raw(apply_map(batch.table, mapping, strict=False), ALIASES)
        problems = Problems(raw.rows)
        prompt = read_prompt(raw, problems, "prompt" if raw.has("prompt") else "messages")
        texts = _answers(raw, problems) if answers else [()] * raw.rows
        _refuse(problems, batch)
        earlier = prompt.history().to_pylist()
        for before, last, given in zip(earlier, prompt.text.to_pylist(), texts, strict=True):
            turns = [*before, {"role": "user", "content": last}]
            yield tuple({"role": m["role"], "content": m["content"]} for m in turns), given


def _answers(raw: Raw, problems: Problems) -> list[Sequence[str]]:
    """Return the answers of each row; those of a marked row are none."""
    if raw.has(ONE):
        text = read_optional_text(raw, problems, ONE)
        problems.mark(pc.is_null(text), "no_answer", f"{raw.name(ONE)} is null")
        return [() if one is None else (one,) for one in text.to_pylist()]
    name, column = raw.name(SEVERAL), as_array(raw.column(SEVERAL))
    kind = column.type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not listed or not (is_text(kind.value_type) or pa.types.is_null(kind.value_type)):
        words = f"{name} has type {kind}, expected a list of texts"
        problems.mark(np.ones(raw.rows, dtype=bool), "no_answers", words)
        return [()] * raw.rows
    lists = column.to_pylist()
    problems.mark(np.array([not one for one in lists], bool), "no_answers", f"{name} is empty")
    marks = raw.marked_items(SEVERAL)
    marked = [None] * raw.rows if marks is None else marks.to_pylist()
    hollow = np.array(
        [None in (one or ()) or any(mark or ()) for one, mark in zip(lists, marked, strict=True)],
        bool,
    )
    problems.mark(hollow, "no_answer", f"{name} has an item that is null or not text")
    return [one or () for one in lists]


def _refuse(problems: Problems, batch: RawBatch) -> None:
    bad = pc.is_valid(problems.detail)
    if (pc.sum(bad).as_py() or 0) == 0:
        return
    row = pc.index(bad, True).as_py()
    where = origins(batch.name, batch.rows)[row].as_py()
    raise InputError(f"{where}: {problems.detail[row].as_py()}. Mend or remove such rows")
