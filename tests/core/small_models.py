"""Models of a few thousand parameters, token-id batches and a tokenizer for the training tests."""

from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    MistralConfig,
    MistralForCausalLM,
    MistralForSequenceClassification,
    PreTrainedTokenizerFast,
)

VOCABULARY = 61
PAD, BOS, EOS = 0, 1, 2


def small_config(**more: Any) -> MistralConfig:
    return MistralConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        sliding_window=None,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.5,
        tie_word_embeddings=False,
        **more,
    )


def small_policy(seed: int) -> MistralForCausalLM:
    torch.manual_seed(seed)
    return MistralForCausalLM(small_config())


def small_reward_model(seed: int) -> MistralForSequenceClassification:
    torch.manual_seed(seed)
    return MistralForSequenceClassification(small_config(num_labels=1))


def small_tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": PAD, "<s>": BOS, "</s>": EOS}
    words |= {f"w{number}": number for number in range(3, VOCABULARY)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def id_pairs(count: int, seed: int = 0) -> list[dict[str, list[int]]]:
    """Pairs of random ids: prompts of 2 to 6 tokens, answers of 1 to 9 and EOS."""
    generator = torch.Generator().manual_seed(seed)

    def ids(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high + 1, (), generator=generator))
        return torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()

    return [
        {
            "prompt_ids": [BOS, *ids(2, 6)],
            "chosen_ids": [*ids(1, 9), EOS],
            "rejected_ids": [*ids(1, 9), EOS],
        }
        for _ in range(count)
    ]


class IdCollator:
    """Batches id pairs: chosen rows, then rejected rows, padded on the right."""

    def __call__(self, pairs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        rows = [p["prompt_ids"] + p[side] for side in ("chosen_ids", "rejected_ids") for p in pairs]
        prompts = [len(p["prompt_ids"]) for p in pairs] * 2
        width = max(map(len, rows))
        batch = {
            "input_ids": torch.tensor([row + [PAD] * (width - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows]),
            "completion_mask": torch.tensor(
                [
                    [False] * start + [True] * (len(r) - start) + [False] * (width - len(r))
                    for r, start in zip(rows, prompts, strict=True)
                ]
            ),
        }
        columns = [name for name in pairs[0] if not name.endswith("_ids")]
        return batch | {name: torch.tensor([float(p[name]) for p in pairs]) for name in columns}
