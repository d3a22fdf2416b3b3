"""Where the assistant speaks in a conversation as the chat template renders it.

An answer's span is what the model has to produce after a generation prompt: the answer, the
end-of-turn marker, and EOS where the template writes one. It is found as that of a pair's answer
is (chat.py), from the conversation up to it; so the last answer of a conversation is framed here
exactly as `train` frames it. Read by tokens.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmpo_core.chat import ChatFormat, Messages, RefusedError, merge_system

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ASSISTANT = "assistant"


@dataclass(frozen=True)
class Conversation:
    """A rendered conversation that ends with an answer, without the final EOS.

    Attributes:
        text: the whole.
        spans: first character of each answer, and first one after its end of turn.
        marks: where chat.MARK was put in: its tokens are taken out again.
        system_merged: whether a system message was moved into a user turn.
        altered: whether the template rewrote an answer (more than trimming white space).
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    marks: tuple[int, ...]
    system_merged: bool
    altered: bool


def unanswered(messages: Sequence[Mapping[str, str]]) -> str | None:
    """Return why a conversation holds no answer to learn from; None if it does."""
    roles = [message["role"] for message in messages]
    if ASSISTANT not in roles:
        return "no assistant message"
    if "user" not in roles[: roles.index(ASSISTANT)]:
        return "no user message before the first answer"
    return None


class ConversationFormat(ChatFormat):
    """A tokenizer's chat template, for conversations with any number of answers."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        super().__init__(tokenizer)
        self._eos = str(tokenizer.eos_token)

    def frame_conversation(self, messages: Sequence[dict[str, str]]) -> Conversation:
        """Render a conversation up to its last answer.

        Args:
            messages: role and content of each, `unanswered` in nothing; what follows the last
                answer is left away.

        Raises:
            RefusedError: if the template cannot render an answer, or renders it differently once
                the conversation goes on.
        """
        turns: Messages = [
            {"role": m["role"], "content": self._guard(m["content"])} for m in messages
        ]
        merged = not self.takes_system and any(m["role"] == "system" for m in turns)
        if merged:
            turns = merge_system(turns)
        answers = [place for place, m in enumerate(turns) if m["role"] == ASSISTANT]
        framed = [
            self._answer(
                turns[:place],
                self._render(turns[:place], generation=True),
                turns[place]["content"],
            )
            for place in answers
        ]
        whole = framed[-1]
        spans = []
        for part in framed[:-1]:
            if not whole.text.startswith(part.text):
                raise RefusedError(
                    "the chat template renders an answer differently once the conversation goes on"
                )
            end = len(part.text)
            end += len(self._eos) if whole.text.startswith(self._eos, end) else 0
            spans.append((part.start, end))
        spans.append((whole.start, len(whole.text)))
        altered = any(part.altered for part in framed)
        return Conversation(whole.text, tuple(spans), whole.marks, merged, altered)
