"""Conversations that wait for an answer, to token ids. Read by local.py.

Rendered with the generation prompt by the chat template and tokenised as training does it
(chat.py, encode.py): one BOS, and no special token made of what people wrote.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mmpo_core.chat import ChatFormat, Framed, RefusedError, merge_system
from mmpo_core.encode import Tokenizer
from mmpo_core.encoded_pairs import Ids
from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class PromptFormat(ChatFormat):
    """A tokenizer's chat template, for conversations that end with the user."""

    def frame_prompt(self, messages: Sequence[Mapping[str, str]]) -> Framed:
        """Render a conversation up to where the answer starts.

        Raises:
            RefusedError: if the template cannot render it.
        """
        guarded = [{"role": m["role"], "content": self._guard(m["content"])} for m in messages]
        if not self.takes_system:
            guarded = merge_system(guarded)
        text = self._render(guarded, generation=True)
        return Framed(text, len(text), len(text), altered=False, marks=self._marks(text))


def encode_prompts(
    conversations: Sequence[Sequence[Mapping[str, str]]],
    tokenizer: "PreTrainedTokenizerBase",
    most: int,
) -> list[tuple[Ids, int]]:
    """Return each conversation's ids (T,), T <= most, and how many tokens were cut.

    The start of a conversation that is too long is cut, BOS kept: its end is the question.

    Args:
        conversations: lists of role and content that end with the user.
        tokenizer: a fast one with a chat template and an EOS token.
        most: tokens that there is room for.

    Raises:
        InputError: on an unfit tokenizer, or a conversation that the template refuses.
    """
    chat, tokens = PromptFormat(tokenizer), Tokenizer(tokenizer, most)
    framed = []
    for number, messages in enumerate(conversations, start=1):
        try:
            framed.append(chat.frame_prompt(messages))
        except RefusedError as error:
            raise InputError(f"conversation {number}: {error}") from error
    # the last id is EOS, which ends answers
    whole = [encoded.ids[:-1] for encoded in tokens.encode(framed)]
    return [_cut(ids, most, tokenizer.bos_token_id) for ids in whole]


def _cut(ids: Ids, most: int, bos: int | None) -> tuple[Ids, int]:
    if len(ids) <= most:
        return ids, 0
    front = int(bos is not None and ids[0] == bos)
    kept = ids[len(ids) - most :].copy()
    kept[:front] = ids[:front]
    return kept, len(ids) - most
