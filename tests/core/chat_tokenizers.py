"""Tokenizers and chat templates in the published styles, made here from a few lines of text.

Each style is written from its published format: ChatML (Qwen2.5), Llama 3 headers, Mistral's
[INST], Gemma's turns, Zephyr's role lines, Llama 2 (a space before EOS), Qwen 3 (a think block
before the last answer), DeepSeek-R1 (a generation header that differs from the answer's), and
one that prints today's date.
"""

from dataclasses import dataclass
from functools import cache

import pyarrow as pa
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from mmpo_core.schema import HISTORY

CORPUS = [
    "Hello there, how are you doing today? I am fine, thank you.\n\nWhat is the answer?\n\n",
    "user\nassistant\nsystem\nmodel\n\nThe answer is that the sky is blue.\n\n\n",
    "<|user|>\nWhy is the sky blue?\n<|assistant|>\nBecause the light scatters.\n\nYes.",
] * 4
PLAIN_TURN = "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"


def _turns(turn: str, generation: str, before: str = "") -> str:
    return (
        f"{before}{{% for m in messages %}}{turn}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ '{generation}' }}}}{{% endif %}}"
    )


CHATML = _turns(PLAIN_TURN, "<|im_start|>assistant\\n")
LLAMA3 = _turns(
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim"
    " + '<|eot_id|>' }}",
    "<|start_header_id|>assistant<|end_header_id|>\\n\\n",
    before="{{ bos_token }}",
)
_ROLES = (
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
)
MISTRAL = _turns(
    _ROLES + "{{ '[INST] ' + m['content'] + ' [/INST]' if m['role'] == 'user'"
    " else ' ' + m['content'] + eos_token }}",
    "",
    before="{{ bos_token }}",
)
LLAMA2 = _turns(
    _ROLES + "{{ bos_token + '[INST] ' + m['content'] | trim + ' [/INST]' if m['role'] == 'user'"
    " else ' ' + m['content'] | trim + ' ' + eos_token }}",
    "",
)
GEMMA = _turns(
    "{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n'"
    " + m['content'] | trim + '<end_of_turn>\\n' }}",
    "<start_of_turn>model\\n",
    before="{{ bos_token }}",
)
ZEPHYR = _turns(
    "{{ '<|' + m['role'] + '|>\\n' + m['content'] + eos_token + '\\n' }}", "<|assistant|>\\n"
)
THINK = _turns(
    "{% if m['role'] == 'assistant' and loop.last %}"
    "{{ '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% else %}" + PLAIN_TURN + "{% endif %}",
    "<|im_start|>assistant\\n",
)
R1 = _turns(
    "{{ '<|user|>' + m['content'] if m['role'] == 'user'"
    " else '<|assistant|>' + m['content'].split('</think>')[-1] + eos_token"
    " if m['role'] == 'assistant' else '' }}",
    "<|assistant|><think>\\n",
)
DATED = _turns(
    PLAIN_TURN,
    "<|im_start|>assistant\\n",
    before="{{ 'Today is ' + strftime_now('%d %b %Y') + '. ' }}",
)


@dataclass(frozen=True)
class Style:
    """A template with the tokenizer's special tokens, and what encoding must give.

    prompt and completion are those of user "Hi?" and answer "Yes, it is.", EOS included.
    """

    template: str
    bos: str | None
    eos: str
    others: tuple[str, ...]
    prompt: str
    completion: str
    takes_system: bool = True


_IM = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_IM_PROMPT = "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n"
_HEADERS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>")
_LLAMA3_PROMPT = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
STYLES = {
    "chatml": Style(CHATML, None, "<|im_end|>", _IM, _IM_PROMPT, "Yes, it is.<|im_end|>"),
    "chatml-base-eos": Style(
        CHATML, None, "<|endoftext|>", _IM, _IM_PROMPT, "Yes, it is.<|im_end|><|endoftext|>"
    ),
    "llama3": Style(
        LLAMA3, "<|begin_of_text|>", "<|eot_id|>", _HEADERS, _LLAMA3_PROMPT, "Yes, it is.<|eot_id|>"
    ),
    "llama3-end-of-text": Style(
        LLAMA3,
        "<|begin_of_text|>",
        "<|end_of_text|>",
        _HEADERS,
        _LLAMA3_PROMPT,
        "Yes, it is.<|eot_id|><|end_of_text|>",
    ),
    "mistral": Style(
        MISTRAL,
        "<s>",
        "</s>",
        ("[INST]", "[/INST]"),
        "<s>[INST] Hi? [/INST]",
        " Yes, it is.</s>",
        takes_system=False,
    ),
    "llama2": Style(
        LLAMA2, "<s>", "</s>", (), "<s>[INST] Hi? [/INST]", " Yes, it is. </s>", takes_system=False
    ),
    "gemma": Style(
        GEMMA,
        "<bos>",
        "<eos>",
        ("<start_of_turn>", "<end_of_turn>"),
        "<bos><start_of_turn>user\nHi?<end_of_turn>\n<start_of_turn>model\n",
        "Yes, it is.<end_of_turn><eos>",
        takes_system=False,
    ),
    "zephyr": Style(
        ZEPHYR, "<s>", "</s>", (), "<s><|user|>\nHi?</s>\n<|assistant|>\n", "Yes, it is.</s>"
    ),
    "think": Style(
        THINK,
        None,
        "<|im_end|>",
        _IM,
        _IM_PROMPT,
        "<think>\n\n</think>\n\nYes, it is.<|im_end|>",
    ),
    "r1": Style(
        R1,
        "<s>",
        "</s>",
        ("<|user|>", "<|assistant|>"),
        "<s><|user|>Hi?<|assistant|>",
        "Yes, it is.</s>",
        takes_system=False,
    ),
}


@cache
def _trained(specials: tuple[str, ...], metaspace: bool) -> str:
    """Train a BPE of about 400 tokens: GPT style on bytes, or Llama style with byte fallback."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>" if metaspace else None))
    tokens = list(dict.fromkeys(specials))
    if metaspace:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", *tokens])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=tokens, initial_alphabet=alphabet
        )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if not metaspace:
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer.to_str()
    return _with_byte_fallback(tokenizer).to_str()


def _with_byte_fallback(tokenizer: Tokenizer) -> Tokenizer:
    import json

    state = json.loads(tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    state["model"] |= {"byte_fallback": True, "fuse_unk": True}
    rebuilt = Tokenizer.from_str(json.dumps(state))
    rebuilt.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return rebuilt


def make_tokenizer(
    style: Style, *, adds_bos: bool = True, metaspace: bool = False
) -> PreTrainedTokenizerFast:
    """Return a fast tokenizer of that style; adds_bos: it puts BOS in front by itself, as Llama."""
    specials = tuple(s for s in (style.bos, style.eos, *style.others) if s)
    backend = Tokenizer.from_str(_trained(specials, metaspace))
    if style.bos and adds_bos:
        # Llama 3's order: trimmed offsets, then BOS. Trimming hides white space from offsets.
        backend.post_processor = processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=True),
                processors.TemplateProcessing(
                    single=f"{style.bos} $A",
                    special_tokens=[(style.bos, backend.token_to_id(style.bos))],
                ),
            ]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=style.bos,
        eos_token=style.eos,
        additional_special_tokens=list(style.others),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = style.template
    return tokenizer


def pair_table(*rows: dict[str, object]) -> pa.Table:
    """Return a pair table; each row gives what differs from "Hi?", "Yes, it is.", "No."."""
    full = [
        {"pair_id": f"id-{i}", "history": [], "prompt": "Hi?", "chosen": "Yes, it is."}
        | {"rejected": "No.", "margin": 1.0, "weight": 1.0}
        | row
        for i, row in enumerate(rows)
    ]
    columns = {name: [row[name] for row in full] for name in full[0]}
    return pa.table({**columns, "history": pa.array(columns["history"], type=HISTORY)})
