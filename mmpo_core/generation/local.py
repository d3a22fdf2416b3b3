"""A language model loaded here, answering in batches sorted by length. A source for fill.py."""

import logging
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xxhash

from mmpo_core.encoded_pairs import Ids
from mmpo_core.engine.memory import explained_out_of_memory
from mmpo_core.errors import InputError
from mmpo_core.generation.asked import Answer, Asked, Finish, Sampling
from mmpo_core.generation.draws import drawing
from mmpo_core.generation.fill import Keep
from mmpo_core.generation.prompts import encode_prompts
from mmpo_core.models import load_policy, load_tokenizer
from mmpo_core.reference_model import reference_key

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

BATCH_SIZE = 16
_TAKES_LESS = (
    "To answer takes less with a smaller --batch-size or --max-new-tokens. Answers so far are kept"
)


class LocalModel:
    """A model and its tokenizer, as a source of answers.

    Args:
        model: a causal language model, moved to the device it shall run on.
        tokenizer: its own.
        batch_size: conversations answered at once.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"the batch size must be at least 1, got {batch_size}")
        self._model: Any = model.eval()
        self._tokenizer: Any = tokenizer
        self._batch_size = batch_size
        self._stops = stop_ids(model, tokenizer)
        self._positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.identity = _identity(model, tokenizer, self._stops)

    def answer(self, asked: Sequence[Asked], missing: Collection[int], keep: Keep) -> None:
        """Answer what is missing; see fill.AnswerSource.

        Batches are made of all questions, so that those of a run that goes on are those of the
        run that was interrupted: in another batch the last bits of logits may differ.
        """
        wanted = set(missing)
        numbers = sorted(range(len(asked)), key=lambda n: repr(asked[n].sampling))
        for sampling, alike in groupby(numbers, key=lambda n: asked[n].sampling):
            group = list(alike)
            prompts = dict(zip(group, self._encoded(asked, group, sampling), strict=True))
            # the longest first: what does not fit into memory fails at once
            group.sort(key=lambda n: (-len(prompts[n][0]), n))
            for start in range(0, len(group), self._batch_size):
                batch = group[start : start + self._batch_size]
                if wanted.isdisjoint(batch):
                    continue
                with explained_out_of_memory(lambda: _TAKES_LESS):
                    answers = self._batch([asked[n] for n in batch], [prompts[n] for n in batch])
                keep({n: one for n, one in zip(batch, answers, strict=True) if n in wanted})

    def _encoded(
        self, asked: Sequence[Asked], numbers: Sequence[int], sampling: Sampling
    ) -> list[tuple[Ids, int]]:
        room = (self._positions or 1 << 20) - sampling.max_new_tokens
        if room < 1:
            raise InputError(
                f"the model has {self._positions:,} positions; {sampling.max_new_tokens:,} new "
                "tokens leave no room for a question. Give --max-new-tokens less"
            )
        prompts = encode_prompts([asked[n].messages for n in numbers], self._tokenizer, room)
        cut = sum(number > 0 for _, number in prompts)
        if cut:
            logger.warning(
                "%d of %d conversations are longer than the %d tokens there is room for; their "
                "start is cut",
                cut,
                len(prompts),
                room,
            )
        return prompts

    @torch.inference_mode()
    def _batch(self, asked: Sequence[Asked], prompts: Sequence[tuple[Ids, int]]) -> list[Answer]:
        """Return the answers to questions of one sampling; prompts are padded on the left."""
        from transformers import GenerationConfig

        sampling, width = asked[0].sampling, max(len(ids) for ids, _ in prompts)
        pad = self._tokenizer.pad_token_id
        ids = np.full((len(prompts), width), pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, (prompt, _) in enumerate(prompts):
            ids[row, width - len(prompt) :] = prompt
            mask[row, width - len(prompt) :] = 1
        # A whole configuration in place of the repository's own, whose repetition penalty or
        # top_k would otherwise fill in what is not given.
        self._model.generation_config = config = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            eos_token_id=self._stops,
            pad_token_id=pad,
        )
        whole = self._model.generate(
            torch.tensor(ids, device=self._model.device),
            attention_mask=torch.tensor(mask, device=self._model.device),
            generation_config=config,
            logits_processor=drawing(sampling, [one.draws() for one in asked]),
        )
        new = whole[:, width:].cpu().numpy()
        return [self._answer(row, cut) for row, (_, cut) in zip(new, prompts, strict=True)]

    def _answer(self, new: Ids, cut: int) -> Answer:
        """Return the answer in new ids (T,): up to the first that ends one; the rest is padding."""
        ends = np.flatnonzero(np.isin(new, self._stops))
        tokens = int(ends[0]) + 1 if len(ends) else len(new)
        finish: Finish = "stop" if len(ends) else "length"
        text = self._tokenizer.decode(new[:tokens].tolist(), skip_special_tokens=True)
        return Answer(text.strip(), finish, tokens, cut)


def load_local(
    name: str,
    *,
    dtype: str = "float32",
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> LocalModel:
    """Load a policy by short name, hub id, folder or adapter folder, as a source of answers.

    Args:
        name: of the model.
        dtype: of its weights: float32, bfloat16, float16, or `auto` for the checkpoint's own.
        device: as torch names it; the first GPU where there is one, else the CPU, if None.
        batch_size: conversations answered at once.
        trust_remote_code: run model code from the repository.
        revision: branch, tag or commit on the hub.

    Raises:
        InputError: if it cannot be loaded, or the device is not there.
    """
    how: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision}
    tokenizer = load_tokenizer(name, **how)
    model: Any = load_policy(name, dtype=dtype, **how)
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        model = model.to(where)
    except (RuntimeError, AssertionError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{name}: cannot be put on the device {where!r} ({said})") from error
    return LocalModel(model, tokenizer, batch_size=batch_size)


def stop_ids(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end an answer: EOS, the model's own, and a special end-of-turn token."""
    from mmpo_core.chat import ChatFormat

    own = getattr(model.generation_config, "eos_token_id", None)
    found = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])}
    closing = tokenizer(ChatFormat(tokenizer).closing, add_special_tokens=False).input_ids
    if len(closing) == 1 and closing[0] in tokenizer.all_special_ids:
        found.add(closing[0])
    return sorted(found - {None})


def _identity(model: Any, tokenizer: Any, stops: Sequence[int]) -> str:
    """Return a digest of weights, configuration, tokenizer, chat template and stop tokens."""
    key, _ = reference_key(model, device=model.device.type, bf16=False)
    words = [key, tokenizer.backend_tokenizer.to_str(), tokenizer.get_chat_template(), str(stops)]
    return f"model {xxhash.xxh3_128_hexdigest(chr(0).join(words).encode())}"
