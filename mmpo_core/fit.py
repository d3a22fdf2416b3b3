"""What is cut where a pair is longer than the limits. encode.py calls it with token ids.

The prompt loses tokens on its left and keeps BOS and the generation header; a completion loses
tokens on its right and keeps its end-of-turn marker and EOS, so that no model learns to stop
without saying so.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from mmpo_core.encoded_pairs import Ids
from mmpo_core.errors import InputError

Overlong = Literal["truncate", "drop", "error"]


@dataclass(frozen=True)
class Tokens:
    """A whole conversation. ids[start:] is the completion, ids[-closing:] its end of turn."""

    ids: Ids
    start: int
    closing: int  # end-of-turn marker (if any) and EOS
    shortened: bool = False  # the conversation has more tokens than ids


@dataclass(frozen=True)
class Fitted:
    """A pair that fits: ids of the shared prompt and both completions, and what was cut."""

    prompt: Ids
    chosen: Ids
    rejected: Ids
    prompt_cut: bool
    completion_cut: bool


def shared_prompt(chosen: Tokens, rejected: Tokens) -> int:
    """Return how many leading tokens are prompt in both conversations and equal."""
    limit = min(chosen.start, rejected.start)
    differ = chosen.ids[:limit] != rejected.ids[:limit]
    return int(differ.argmax()) if differ.any() else limit


@dataclass(frozen=True)
class Limits:
    """The lengths in tokens that a pair must fit into; `encode_pairs` documents the first three.

    Raises:
        InputError: if they leave no room for a header, or none for an answer.
    """

    max_length: int
    max_prompt_length: int | None
    overlong: Overlong
    header: int  # tokens of BOS and the generation header, which are always kept

    def __post_init__(self) -> None:
        if self.overlong not in get_args(Overlong):
            raise InputError(
                f"overlong is {self.overlong!r}. Known: {', '.join(get_args(Overlong))}"
            )
        prompt = self.max_length // 2 if self.max_prompt_length is None else self.max_prompt_length
        if prompt <= self.header:
            raise InputError(
                f"prompts of {prompt} tokens are too short: the chat template's own header takes "
                f"{self.header}. Raise max_prompt_length or max_length"
            )
        if prompt > self.max_length - 2:
            raise InputError(
                f"max_prompt_length {prompt} leaves no room for an answer in max_length "
                f"{self.max_length}"
            )

    def prompt_limit(self, longest_completion: int) -> int:
        """Return how many prompt tokens may stay beside a completion of that length."""
        if self.max_prompt_length is not None:
            return self.max_prompt_length
        return max(self.max_length // 2, self.max_length - longest_completion)

    def fit(self, chosen: Tokens, rejected: Tokens, has_bos: bool) -> Fitted | None:
        """Cut the prompt from the left and completions from the right; None if it may not be cut.

        BOS, the generation header, the end-of-turn marker and EOS are kept.
        """
        split = shared_prompt(chosen, rejected)
        longest = max(len(chosen.ids), len(rejected.ids)) - split
        limit = min(split, self.prompt_limit(longest))
        prompt_cut, completion_cut = limit < split, limit + longest > self.max_length
        if (prompt_cut or completion_cut) and self.overlong != "truncate":
            return None
        prompt = chosen.ids[:split]
        if prompt_cut:
            bos = int(has_bos)
            prompt = np.concatenate([prompt[:bos], prompt[split - limit + bos :]])
        room = self.max_length - limit
        return Fitted(
            prompt,
            _cut(chosen.ids[split:], room, chosen.closing),
            _cut(rejected.ids[split:], room, rejected.closing),
            prompt_cut,
            completion_cut,
        )


def _cut(completion: Ids, room: int, closing: int) -> Ids:
    """Cut a completion to `room` tokens; its last `closing` tokens stay (EOS alone if tight)."""
    if len(completion) <= room:
        return completion
    closing = closing if closing < room else 1
    return np.concatenate([completion[: room - closing], completion[-closing:]])
