"""The records of generation: how answers are drawn, one question, one answer, and its key."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import xxhash

from mmpo_core.errors import InputError

Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn from a model.

    Args:
        temperature: logits are divided by it; 0 takes the likeliest token at every step.
        top_p: share of the probability, from the likeliest token down, that is drawn from.
        max_new_tokens: most tokens of an answer.
        seed: of the draws.

    Raises:
        InputError: for a value out of its range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"the temperature must be a number >= 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")


@dataclass(frozen=True)
class Asked:
    """One question: a conversation that ends with the user, and which draw of its answer.

    Args:
        messages: system message and turns, oldest first: {"role": ..., "content": ...}.
        sampling: how the answer is drawn.
        sample: 0, 1, ... for several answers to one conversation.
    """

    messages: tuple[Mapping[str, str], ...]
    sampling: Sampling
    sample: int = 0

    def key(self, source: str) -> str:
        """Return 32 hex digits: equal for the same question to the same source, else different.

        Args:
            source: what answers, such as a digest of a model's weights and chat template.
        """
        return xxhash.xxh3_128_hexdigest(f"{source}\n{self._text}".encode())

    def draws(self) -> np.random.Generator:
        """Return the random numbers of this answer.

        They depend on the question and the seed alone: whatever else is asked, before or in the
        same batch, the answer is the same. Different models share them, as paired samples.
        """
        return np.random.Generator(np.random.Philox(xxhash.xxh3_64_intdigest(self._text.encode())))

    @cached_property
    def _text(self) -> str:
        messages = [[message["role"], message["content"]] for message in self.messages]
        return json.dumps([messages, asdict(self.sampling), self.sample])


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        text: the answer without special tokens and without white space around it.
        finish: `stop` where the model ended it, `length` where max_new_tokens did.
        tokens: how many were produced, with the one that ends the answer; None where unknown.
        prompt_cut: tokens of the conversation's start that the model had no room for.
        own_temperature: whether a server drew it at its own temperature, as it takes no other.
    """

    text: str
    finish: Finish
    tokens: int | None = None
    prompt_cut: int = 0
    own_temperature: bool = False
