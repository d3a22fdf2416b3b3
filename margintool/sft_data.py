"""Any input to conversations, for the supervised step. margintool/sft.py calls it.

Three forms of rows are read, told apart by their columns: `messages`, `prompt` and `completion`,
and Alpaca's `instruction`, `input` and `output`. Rows that cannot be used are counted by reason,
and the first of each is named.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical_stream import origins
from margintool.layouts.mapping import apply_map, parse_map
from margintool.layouts.messages import Messages, no_messages, read_messages
from margintool.layouts.raw import Raw
from margintool.layouts.rows import Problems, as_array, as_mask
from margintool.layouts.texts import mark_malformed, read_answer, read_prompt
from margintool.progress import Bars
from margintool.storage import RawBatch, open_input
from margintool.storage.option_names import own_option_names
from mmpo_core.errors import InputError
from mmpo_core.sft.conversations import ConversationReport, refuse
from mmpo_core.sft.options import SftOptions
from mmpo_core.sft.source import ConversationSource, RunSources

logger = logging.getLogger("mmpo_core.train")

ALIASES = {"prompt": ("instruction",), "completion": ("output", "response")}
# what storage calls the options, for score -> what sft calls them
_OPTION_NAMES = {"--input": "--data", "--config": "--data-config", "--revision": "--data-revision"}
_EVAL_OPTION_NAMES = {"--input": "--eval-data"}


class Form(NamedTuple):
    """One form of rows.

    Args:
        required: columns, under their own name or an alias, that tell it.
        optional: columns that are read if they are there.
        read: (raw batch, problems to mark) -> conversations.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Raw, Problems], Messages]


def conversation_sources(options: SftOptions, bars: Bars) -> RunSources:
    """Find the inputs and say how their conversations are read; read are their first rows only.

    Args:
        options: data, eval_data, map, split, data_config, data_revision and limit are read.
        bars: gives what is told how far reading has come, while it goes on.

    Raises:
        InputError: if there is no such input, or no known form of rows in it.
    """
    mapping = parse_map(options.map, _KNOWN)
    where = {
        "split": options.data_split,
        "config": options.data_config,
        "revision": options.data_revision,
    }
    train = _source(options.data, where, _OPTION_NAMES, mapping, bars, options.limit)
    if options.eval_data is None:
        return RunSources(train)
    return RunSources(train, _source(options.eval_data, {}, _EVAL_OPTION_NAMES, mapping, bars))


def _source(
    data: str,
    where: Mapping[str, str | None],
    names: Mapping[str, str],
    mapping: dict[str, str],
    bars: Bars,
    limit: int | None = None,
) -> ConversationSource:
    """Return where conversations come from.

    Args:
        data: as in SftOptions.
        where: further keywords of open_input.
        names: what storage calls an option -> what it is called here.
        mapping: as parse_map gives it.
        bars: as in conversation_sources.
        limit: most rows read.
    """
    with own_option_names(names):
        raw = open_input(data, **where)
        sample = apply_map(raw.schema_sample(), mapping)
    form = _form_of(sample, raw.description)
    report = ConversationReport()

    def tables() -> Iterator[pa.Table]:
        with bars() as progress, own_option_names(names):
            progress.start("reading conversations", raw.total_bytes)
            batches = raw.batches(limit=limit, on_bytes=progress.advance)
            yield from _conversations(batches, mapping, form, report)

    def fingerprint() -> str:
        with own_option_names(names):
            return raw.fingerprint()

    return ConversationSource(raw.description, fingerprint, tables, report)


def _form_of(sample: pa.Table, description: str) -> Form:
    """Return the first form whose columns are all there, and say what is not read."""
    raw = Raw(sample, ALIASES)
    for name, form in FORMS.items():
        if all(raw.has(column) for column in form.required):
            used = {raw.name(column) for column in (*form.required, *form.optional)}
            if raw.name("prompt") != "instruction" and raw.mapped_from("input") is None:
                used -= {"input"}  # see read_prompt
            rest = [column for column in sample.column_names if column not in used]
            unread = f"; not read: {', '.join(rest)}" if rest else ""
            logger.info("%s: rows are %s%s", description, name, unread)
            return form
    raise InputError(
        f"{description}: no conversations found in the columns {', '.join(sample.column_names)}. "
        "Expected messages, or prompt and completion, or instruction and output; --map "
        "prompt=COLUMN,completion=COLUMN says which are which"
    )


def _conversations(
    batches: Generator[RawBatch, None, None],
    mapping: dict[str, str],
    form: Form,
    report: ConversationReport,
) -> Iterator[pa.Table]:
    with closing(batches):
        for batch in batches:
            raw = Raw(apply_map(batch.table, mapping, strict=False), ALIASES)
            problems = Problems(raw.rows)
            messages = form.read(raw, problems)
            origin = origins(batch.name, batch.rows)
            report.read += raw.rows
            _count(problems, origin, report)
            usable = np.flatnonzero(pc.is_null(problems.reason).to_numpy(zero_copy_only=False))
            yield pa.table(
                {
                    "messages": messages.take(usable).history(),
                    "origin": origin.take(pa.array(usable)),
                }
            )


def _count(problems: Problems, origin: pa.Array, report: ConversationReport) -> None:
    found = pc.value_counts(problems.reason.drop_null()).to_pylist()
    for reason, count in ((one["values"], one["counts"]) for one in found):
        first = pc.index(problems.reason, reason).as_py()
        where = f"{origin[first].as_py()}: {problems.detail[first].as_py()}"
        refuse(report.refused, reason, where, count)


def _read_messages(raw: Raw, problems: Problems) -> Messages:
    column, name = raw.column("messages"), raw.name("messages")
    messages = read_messages(column)
    if messages is None:
        words = f"{name} has type {column.type}, expected a list of role and content"
        problems.mark(pc.is_valid(column), "bad_conversation", words)
        messages = no_messages(raw.rows)
    problems.mark(messages.lengths == 0, "empty_conversation", f"{name} has no messages")
    mark_malformed(messages, problems, name)
    blank = pc.or_(pc.equal(messages.content, ""), pc.utf8_is_space(messages.content))
    empty = as_mask(pc.and_(pc.equal(messages.role, "assistant"), blank))
    rows = np.zeros(raw.rows, dtype=bool)
    rows[messages.parents[empty.to_numpy(zero_copy_only=False)]] = True
    problems.mark(rows, "empty_response", f"{name}: an assistant message is empty")
    return messages


def _read_prompt_and_completion(raw: Raw, problems: Problems) -> Messages:
    prompt = read_prompt(raw, problems)
    completion = read_answer(raw, problems, "completion")
    rows = raw.rows
    texts = pa.concat_arrays([as_array(prompt.text), as_array(completion)])
    by_row = texts.take(pa.array(np.arange(2 * rows).reshape(2, rows).T.ravel()))
    roles = pa.array(["user", "assistant"] * rows, pa.string())
    turns = Messages(np.arange(0, 2 * rows + 1, 2), roles, by_row)
    return (prompt.earlier or no_messages(rows)).followed_by(turns)


# name -> form; the first whose columns are there is used
FORMS: dict[str, Form] = {
    "messages": Form(("messages",), (), _read_messages),
    "prompt and completion": Form(
        ("prompt", "completion"), ("input", "history"), _read_prompt_and_completion
    ),
}
_KNOWN = ("messages", "prompt", "completion", "instruction", "input", "output", "history")
