"""`tiny`: a Mistral-architecture model of 3 million parameters, made here without any download.

It runs the whole job on two CPU cores, in tests and in the demo. The tokenizer has one token per
byte, so any Unicode text goes through and comes back. Weights depend on the seed alone: the same
bits every time, and torch's global random state is left as it was. models.py loads it by name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import MistralConfig, PreTrainedModel, PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<bos>", "<eos>", "<|system|>", "<|user|>", "<|assistant|>")
CONTEXT = 2048

TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a fixed CPU seed inside, and put torch's CPU random state back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def make_tiny_tokenizer() -> "PreTrainedTokenizerFast":
    """Return the byte-level tokenizer: six special tokens (ids 0 to 5), then the 256 bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate((*SPECIAL, *alphabet))}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        additional_special_tokens=list(SPECIAL[3:]),
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_config(num_labels: int = 1) -> "MistralConfig":
    """Return the sizes: 4 layers, hidden 256, 4 query and 2 key-value heads, context 2048."""
    from transformers import MistralConfig

    return MistralConfig(
        vocab_size=len(SPECIAL) + 256,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        sliding_window=None,
        tie_word_embeddings=False,
        num_labels=num_labels,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def make_tiny_policy(seed: int = 0) -> "PreTrainedModel":
    """Return the untrained language model, float32."""
    from transformers import MistralForCausalLM

    with seeded(seed):
        return MistralForCausalLM(tiny_config())


def make_tiny_reward_model(seed: int = 0) -> "PreTrainedModel":
    """Return the untrained reward model, float32: one label, read at the last token."""
    from transformers import MistralForSequenceClassification

    with seeded(seed):
        return MistralForSequenceClassification(tiny_config())
