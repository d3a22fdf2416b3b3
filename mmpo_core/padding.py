"""The pad token that a tokenizer lacks. models.py reads this, and the plan of a run.

Nothing heavy is imported: a tokenizer is given.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Tokens that some vocabularies have for padding or keep in reserve; text never contains them.
_PAD_NAMES = (
    "<pad>",
    "[PAD]",
    "<|pad|>",
    "<|padding|>",
    "<|finetune_right_pad_id|>",
    "<|fim_pad|>",
    "<|reserved_special_token_0|>",
)


def ensure_pad_token(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Give a tokenizer a pad token that is no other special token and stands in no text.

    One that the vocabulary holds in reserve is taken if there is one, else `<|pad|>` is added.
    With EOS as padding, the reward would be read before EOS, and beside EOS inside a text.
    """
    others = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id, None}
    if tokenizer.pad_token_id not in others:
        return
    vocabulary = tokenizer.get_vocab()
    known = [name for name in _PAD_NAMES if name in vocabulary and vocabulary[name] not in others]
    tokenizer.add_special_tokens({"pad_token": known[0] if known else "<|pad|>"})
