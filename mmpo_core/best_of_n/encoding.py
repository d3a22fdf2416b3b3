"""Candidates to token ids, laid two by two beside their prompt as the engine takes pairs.

Read by scoring.py. What stands beside a candidate does not enter its reward: limits are applied to
each one alone, so that a candidate is worth the same whatever others there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmpo_core.chat import ChatFormat, Framed, RefusedError, adds_bos
from mmpo_core.encode import Tokenizer
from mmpo_core.encoded_pairs import EncodedPairs, EncodeReport, Floats, Ids, Ints, Ragged
from mmpo_core.errors import InputError
from mmpo_core.fit import Fitted, Limits, Overlong, Tokens, shared_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Conversation = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class EncodedCandidates:
    """The candidates of P prompts.

    Attributes:
        pairs: every different candidate of a prompt once, two in a pair; where their number is odd,
            the last stands beside an answer of EOS alone.
        place: of each prompt (N, 2): which pair a candidate is in, and on which side (0 chosen).
    """

    pairs: EncodedPairs
    place: Sequence[Ints]

    def rewards(self, chosen: Floats, rejected: Floats) -> list[Floats]:
        """Return the rewards of each prompt's candidates, (N,), from those of the pairs."""
        sides = np.stack([chosen, rejected])
        return [sides[place[:, 1], place[:, 0]] for place in self.place]


def encode_candidates(
    prompts: Sequence[Conversation],
    candidates: Sequence[Sequence[str]],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    max_prompt_length: int | None = None,
    overlong: Overlong = "truncate",
) -> EncodedCandidates:
    """Encode candidates through the tokenizer's chat template.

    Args:
        prompts: P conversations that end with the user.
        candidates: of each prompt, N >= 1 texts; N may differ. A text may be empty.
        tokenizer: a fast tokenizer with a chat template and an EOS token.
        max_length: most tokens of prompt and candidate.
        max_prompt_length: most tokens of a prompt; see encode_pairs.
        overlong: `truncate` cuts the prompt's start and the candidate's end; else an error.

    Raises:
        InputError: on an unfit tokenizer, a conversation that the template refuses, one over the
            limits where these are not cut, limits that leave no room.
    """
    chat, tokens = ChatFormat(tokenizer), Tokenizer(tokenizer, max_length)
    header = tokens.count(chat.header) + int(adds_bos(tokenizer))
    limits = Limits(max_length, max_prompt_length, overlong, header)
    builder = _Builder(limits, tokenizer.bos_token_id, tokenizer.eos_token_id)
    place = []
    for number, (messages, texts) in enumerate(zip(prompts, candidates, strict=True)):
        only = list(dict.fromkeys(texts))
        try:
            framed = _framed(chat, messages, only)
        except RefusedError as error:
            raise InputError(f"prompt {number}: {error}") from error
        found = dict(zip(only, builder.add(number, tokens.encode(framed)), strict=True))
        place.append(np.array([found[text] for text in texts], dtype=np.int64))
    return EncodedCandidates(builder.build(), place)


def _framed(chat: ChatFormat, messages: Conversation, texts: Sequence[str]) -> list[Framed]:
    """Return the conversation with each of the texts as its answer."""
    row = {"history": messages[:-1], "prompt": messages[-1]["content"]}
    framed: list[Framed] = []
    for first in range(0, len(texts), 2):
        both = {"chosen": texts[first], "rejected": texts[min(first + 1, len(texts) - 1)]}
        pair = chat.frame({**row, **both})
        framed += [pair.chosen, pair.rejected]
    return framed[: len(texts)]


class _Builder:
    """Collects pairs of candidates and counts what was cut."""

    def __init__(self, limits: Limits, bos: int | None, eos: int) -> None:
        self._limits, self._bos = limits, bos
        self._beside = np.array([eos], dtype=np.int32)
        self._pairs: list[list[Ids]] = []
        self._prompts: list[tuple[int, Ids]] = []
        self._read = self._prompts_cut = self._completions_cut = 0

    def add(self, prompt: int, candidates: Sequence[Tokens]) -> list[tuple[int, int]]:
        """Add a prompt's different candidates and return where each stands: pair and side."""
        # where answers merge differently with the header, all are read after the same ids
        split = min(shared_prompt(candidates[0], one) for one in candidates)
        found: dict[tuple[bytes, bytes], tuple[int, int]] = {}
        half_full: dict[bytes, int] = {}
        places = []
        for candidate in candidates:
            fitted = self._fitted(prompt, replace(candidate, start=split))
            key = (fitted.prompt.tobytes(), fitted.chosen.tobytes())
            if key not in found:
                found[key] = self._place(prompt, fitted, half_full)
            places.append(found[key])
        return places

    def _fitted(self, prompt: int, candidate: Tokens) -> Fitted:
        self._read += 1
        fitted = self._limits.fit(candidate, candidate, int(candidate.ids[0]) == self._bos)
        if fitted is None:
            raise InputError(
                f"prompt {prompt}: with a candidate it is {len(candidate.ids)} tokens, over the "
                f"limit: max_length is {self._limits.max_length}, max_prompt_length "
                f"{self._limits.max_prompt_length}. Raise them, or cut with overlong truncate"
            )
        if not len(fitted.prompt):
            raise InputError(
                f"prompt {prompt}: the chat template puts nothing before the answer, so that no "
                "reward can be computed"
            )
        self._prompts_cut += fitted.prompt_cut
        self._completions_cut += fitted.completion_cut
        return fitted

    def _place(self, prompt: int, fitted: Fitted, half_full: dict[bytes, int]) -> tuple[int, int]:
        """Put a candidate beside another one of the same prompt ids, or begin a pair."""
        ids = fitted.prompt.tobytes()
        if ids in half_full:
            pair = half_full.pop(ids)
            self._pairs[pair].append(fitted.chosen)
            return pair, 1
        half_full[ids] = len(self._pairs)
        self._pairs.append([fitted.chosen])
        self._prompts.append((prompt, fitted.prompt))
        return half_full[ids], 0

    def build(self) -> EncodedPairs:
        numbers = [number for number, _ in self._prompts]
        zeros = np.zeros(len(numbers))
        return EncodedPairs(
            prompt=Ragged.of([ids for _, ids in self._prompts]),
            chosen=Ragged.of([pair[0] for pair in self._pairs]),
            rejected=Ragged.of([pair[1] if pair[1:] else self._beside for pair in self._pairs]),
            row=np.array(numbers, dtype=np.int64),
            pair_id=[f"of candidates to prompt {number}" for number in numbers],
            report=EncodeReport(
                read=self._read,
                kept=self._read,
                prompts_cut=self._prompts_cut,
                completions_cut=self._completions_cut,
                system_merged=0,
                answers_altered=0,
            ),
            columns={"margin": zeros, "weight": zeros + 1},
        )


def facts(encoded: EncodedCandidates) -> dict[str, Any]:
    """Return what encoding did to the candidates, for JSON."""
    report = encoded.pairs.report
    return {
        "different": report.read,
        "prompts_cut": report.prompts_cut,
        "cut": report.completions_cut,
    }
