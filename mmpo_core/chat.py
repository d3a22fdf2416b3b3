"""How a chat template frames a conversation: where the completion starts and ends in its text.

encode.py reads this and turns the framed text into tokens. Nothing here tokenises.
The completion is what the model has to produce after a generation prompt: the answer and the
end-of-turn marker. Headers (`<|im_start|>assistant`, `[/INST]`, ...) belong to the prompt.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

Messages = list[dict[str, str]]

# Zephyr's form: role markers as plain text, so that no model needs a new token for them.
DEFAULT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] }}"
    "{{ eos_token + '\\n' if message['role'] == 'assistant' else '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)

# A template that prints today's date would give other tokens tomorrow. The day is Llama 3's own
# default; the macro hides the function of the same name that transformers offers to templates.
_DATE = {"%d": "26", "%b": "Jul", "%B": "July", "%m": "07", "%Y": "2024", "%A": "Friday"}
_FIXED_DATE = (
    "{%- macro strftime_now(form) -%}{{ form"
    + "".join(f".replace('{code}', '{value}')" for code, value in _DATE.items())
    + " }}{%- endmacro -%}"
)

# Stands inside a special token's name in user text while the text is tokenised; a private-use
# character, so that no merge of a tokenizer knows it.
MARK = "\U0010fffd"


class RefusedError(Exception):
    """The template cannot render a conversation; the message says why. One row's matter."""


@dataclass(frozen=True)
class Framed:
    """A whole rendered conversation, without the final EOS (encode.py adds it as a token)."""

    text: str
    start: int  # first character of the completion
    end: int  # first character after the answer: the end-of-turn marker, if the template has one
    altered: bool  # the template rewrote the answer (more than trimming white space)
    marks: tuple[int, ...]  # where MARK was put in: its tokens are taken out again
    shortened: bool = False  # text far beyond the limits was left away, see `shorten`


@dataclass(frozen=True)
class FramedPair:
    """Both conversations of a pair: the same prompt, two answers."""

    chosen: Framed
    rejected: Framed
    system_merged: bool


def set_default_template(tokenizer: "PreTrainedTokenizerBase", name: str) -> None:
    """Give a tokenizer without a chat template the default one, and warn.

    The template is an attribute of the tokenizer, so it is saved with it. It writes BOS itself
    where the tokenizer would, so that `apply_chat_template(tokenize=True)` agrees with training.
    """
    bos = "{{ bos_token }}" if adds_bos(tokenizer) else ""
    tokenizer.chat_template = bos + DEFAULT_TEMPLATE
    logger.warning(
        "%s has no chat template: using margintool's default (<|user|> and <|assistant|> as plain "
        "text, EOS after each answer). It is saved with the model",
        name,
    )


def adds_bos(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the tokenizer, left to itself, puts BOS in front of a text."""
    return tokenizer.bos_token_id is not None and tokenizer("a").input_ids[:1] == [
        tokenizer.bos_token_id
    ]


class ChatFormat:
    """A tokenizer's chat template, with what two probe conversations show about it."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Probe the template.

        Raises:
            InputError: if there is no template or no EOS token, or the template cannot render
                a question and its answer.
        """
        if tokenizer.chat_template is None:
            raise InputError(
                "the tokenizer has no chat template; mmpo_core.load_tokenizer sets one"
            )
        if tokenizer.eos_token is None:
            raise InputError("the tokenizer has no EOS token, so a completion could not end")
        self._tokenizer = tokenizer
        template: str = tokenizer.get_chat_template()
        self._template = _FIXED_DATE + template if "strftime_now" in template else template
        self._guard, self._marks = _guard(_special_texts(tokenizer))
        self.takes_system = self._probe_system()
        self.header, self._opening, self._tail = self._probe_answer()
        self.closing = _closing(self._tail, str(tokenizer.eos_token))

    def frame(self, row: Mapping[str, Any]) -> FramedPair:
        """Render a pair's two conversations. row: history, prompt, chosen, rejected.

        Raises:
            RefusedError: if the template cannot render it, or not in a form in which the
                prompt can be told from the answer.
        """
        turns = [*row["history"], {"role": "user", "content": row["prompt"]}]
        messages = [{"role": m["role"], "content": self._guard(m["content"])} for m in turns]
        merged = not self.takes_system and any(m["role"] == "system" for m in messages)
        if merged:
            messages = merge_system(messages)
        prompt = self._render(messages, generation=True)
        chosen, rejected = (
            self._answer(messages, prompt, self._guard(row[side]))
            for side in ("chosen", "rejected")
        )
        return FramedPair(chosen, rejected, merged)

    def _answer(self, messages: Messages, prompt: str, answer: str) -> Framed:
        whole = self._render([*messages, {"role": "assistant", "content": answer}])
        before = prompt
        if self._opening != self.header:
            before = prompt.removesuffix(self.header) + self._opening
        if not whole.startswith(before):
            at = _shared(whole, before)
            raise RefusedError(
                "the chat template renders the conversation differently once it has an answer: "
                f"{before[at : at + 40]!r} becomes {whole[at : at + 40]!r}"
            )
        start, end = len(before), len(whole) - len(self._tail)
        if start > end or not whole.endswith(self._tail):
            raise RefusedError(f"the conversation does not end in {self._tail!r} as others do")
        shown = whole[start:end].strip()
        if answer.strip() and not shown:
            raise RefusedError("the chat template leaves the answer out")
        altered = not shown.endswith(answer.strip())
        marks = self._marks(whole) if MARK in whole else ()
        return Framed(whole[:end] + self.closing, start, end, altered, marks)

    def _render(self, messages: Messages, *, generation: bool = False) -> str:
        from jinja2 import TemplateError

        try:
            text: str = self._tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=generation,
                chat_template=self._template,
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise RefusedError(f"the chat template refuses it: {error}") from error
        return text

    def _probe_system(self) -> bool:
        """Whether the template renders a system message (Gemma raises, others leave it out)."""
        turns = [{"role": "system", "content": "Probe-S"}, {"role": "user", "content": "Probe-U"}]
        try:
            return "Probe-S" in self._render(turns, generation=True)
        except RefusedError:
            logger.info("the chat template takes no system message: it goes into the user turn")
            return False

    def _probe_answer(self) -> tuple[str, str, str]:
        """Return the texts from a question to its answer when the answer is asked for, and when
        it is given, and the text after an answer.

        The first two are the same, and then the generation prompt is a prefix of the whole, but
        for templates that open a generation with more than an answer (some with `<think>`).
        """
        turns = [{"role": "user", "content": "Probe-U"}]
        answered = [*turns, {"role": "assistant", "content": "Probe-A"}]
        try:
            prompt, whole = self._render(turns, generation=True), self._render(answered)
        except RefusedError as error:
            raise InputError(f"{error}. It must render a user message and an answer") from error
        if "Probe-A" not in whole or "Probe-U" not in whole:
            raise InputError("the chat template leaves out the user's message or the answer")
        before, _, tail = whole.rpartition("Probe-A")
        header, opening = (text.rpartition("Probe-U")[2] for text in (prompt, before))
        if whole.startswith(prompt):
            return header, header, tail
        logger.warning(
            "the chat template asks for an answer with %r but gives one with %r; training uses "
            "the latter",
            header,
            opening,
        )
        return header, opening, tail


def shorten(framed: Framed, most: int, bos: str | None) -> Framed:
    """Leave away what lies further than `most` characters from the start of the completion.

    A prompt of 10 MB is millions of tokens of which a thousand are kept. `most` characters must
    be more tokens than the limits allow, so that the rest is cut anyway. BOS in front stays.
    """
    head, answer = framed.text[: framed.start], framed.text[framed.start : framed.end]
    if len(head) <= most and len(answer) <= most:
        return framed
    front = bos if bos and len(head) > most and head.startswith(bos) else ""
    head, answer = front + head[-most:], answer[:most]
    shift = len(head) - framed.start
    return replace(
        framed,
        text=head + answer + framed.text[framed.end :],
        start=len(head),
        end=len(head) + len(answer),
        marks=tuple(
            at + shift for at in framed.marks if framed.start - most <= at < framed.start + most
        ),
        shortened=True,
    )


def _shared(a: str, b: str) -> int:
    """Return the length of the common prefix."""
    limit = min(len(a), len(b))
    if a[:limit] == b[:limit]:
        return limit
    return next(i for i in range(limit) if a[i] != b[i])


def _closing(tail: str, eos: str) -> str:
    """Return the part of the tail that the model must produce before EOS.

    What follows EOS is cut. Without an EOS in the tail, the white space after the end-of-turn
    marker is cut, for a model stops at the marker.
    """
    before, found, _ = tail.partition(eos)
    return before if found else tail.rstrip()


def _special_texts(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Return the texts that the tokenizer would read as one special token, e.g. `</s>`."""
    added = tokenizer.added_tokens_decoder.values()
    return sorted({t.content for t in added if t.special and len(t.content) > 1})


def _guard(
    specials: Sequence[str],
) -> tuple[Callable[[str], str], Callable[[str], tuple[int, ...]]]:
    """Return a function that puts MARK inside each special token's text in what people wrote,
    and one that finds the places of these marks in a rendered conversation.
    """
    if not specials:
        return lambda text: text, lambda text: ()
    found = re.compile("|".join(re.escape(s) for s in specials))
    halves = [(re.escape(s[0]), re.escape(s[1:])) for s in specials]
    inside = re.compile("|".join(f"(?<={first})(?={rest})" for first, rest in halves))
    marked = re.compile("|".join(f"(?<={first}){MARK}(?={rest})" for first, rest in halves))
    return (
        lambda text: inside.sub(MARK, text) if found.search(text) else text,
        lambda text: tuple(match.start() for match in marked.finditer(text)),
    )


def merge_system(messages: Messages) -> Messages:
    """Move each system message to the front of the next user turn, an empty line between."""
    merged: Messages = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "system":
            waiting.append(message["content"])
        elif message["role"] == "user" and waiting:
            merged.append({"role": "user", "content": "\n\n".join([*waiting, message["content"]])})
            waiting = []
        else:
            merged.append(message)
    return merged
