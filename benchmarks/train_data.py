"""What benchmarks/train.py trains on: pairs as token ids, and a model and tokenizer that take them.

Every token is a word, `w` and its id, of a tokenizer that splits at blanks. So a pair file's texts
are token ids written out: TRL and we read the same texts through the same chat template, each with
its own code, and train on the same ids.
"""

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("MARGINTOOL_REAL_DATA", ROOT.parent / "shared" / "data"))
ELI5 = DATA / "votes" / "eli5_shp_layout.jsonl.gz"

SPECIAL = ("<pad>", "<s>", "</s>")
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ bos_token + message['content'] }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)

Ids = npt.NDArray[np.int64]
Pair = tuple[Ids, Ids, Ids]


@dataclass(frozen=True)
class Shape:
    """Medians of tokens, log-normal around them, BOS and EOS included."""

    prompt: int
    chosen: int
    rejected: int
    most: int = 1024  # of a conversation
    sigma: float = 0.6


SHAPES = {
    "shp": Shape(200, 80, 60),
    "ultrafeedback": Shape(75, 200, 165),
    # for a GPU
    "long-1024": Shape(500, 200, 150),
    "long-4096": Shape(2000, 800, 600, most=4096),
}


def drawn_pairs(shape: Shape, count: int, vocabulary: int) -> Iterator[Pair]:
    """Yield pairs of random ids."""
    rng = np.random.default_rng(0)
    medians = (shape.prompt, shape.chosen, shape.rejected)
    for _ in range(count):
        sizes = [int(m * np.exp(shape.sigma * rng.standard_normal())) for m in medians]
        answer = max(4, shape.most // 3)
        sizes = [min(sizes[0], shape.most - answer), *(min(size, answer) for size in sizes[1:])]
        # BOS and EOS are put there by the template
        prompt, chosen, rejected = (
            rng.integers(len(SPECIAL), vocabulary, max(2, size - 1)) for size in sizes
        )
        yield prompt, chosen, rejected


def eli5_pairs(count: int, vocabulary: int, most: int = 1024) -> Iterator[Pair]:
    """Yield ids of real pairs, by a byte-level BPE of that vocabulary trained on the file itself.

    Prompts are cut from the left and answers from the right, so that TRL has nothing to cut.
    """
    from tokenizers import ByteLevelBPETokenizer

    with gzip.open(ELI5, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    tokenizer = ByteLevelBPETokenizer()
    texts = (row[name] for row in rows for name in ("history", "human_ref_A", "human_ref_B"))
    tokenizer.train_from_iterator(texts, vocab_size=vocabulary - len(SPECIAL), show_progress=False)
    for row in rows[:count]:
        a, b = "AB" if row["score_A"] >= row["score_B"] else "BA"
        names = ("history", f"human_ref_{a}", f"human_ref_{b}")
        prompt, chosen, rejected = (
            np.array(tokenizer.encode(row[name]).ids) + len(SPECIAL) for name in names
        )
        yield prompt[-(most // 2 - 1) :], chosen[: most // 2 - 1], rejected[: most // 2 - 1]


def make(settings: dict[str, Any]) -> dict[str, Any]:
    """Write model, tokenizer and pair file into settings["folder"]; return what they hold."""
    folder, vocabulary = Path(settings["folder"]), settings["vocabulary"]
    if settings["shape"] == "eli5":
        pairs = list(eli5_pairs(settings["pairs"], vocabulary))
    else:
        pairs = list(drawn_pairs(SHAPES[settings["shape"]], settings["pairs"], vocabulary))
    write_pair_file(pairs, folder / "pairs.parquet")
    parameters = write_model(folder / "model", vocabulary, settings["size"])
    # with BOS, and EOS after each answer
    lengths = [[len(part) + 1 for part in pair] for pair in pairs]
    return {"lengths": lengths, "parameters": parameters}


def write_pair_file(pairs: list[Pair], path: Path) -> None:
    import pyarrow as pa

    from mmpo_core.bradley_terry import probability
    from mmpo_core.pair_file import write_pairs
    from mmpo_core.schema import PAIR_SCHEMA, SCHEMA_VERSION

    margins = np.random.default_rng(1).gamma(1.0, 1.0, len(pairs))
    targets = probability(margins, 1.0)
    rows = [
        dict(zip(("prompt", "chosen", "rejected"), map(in_words, pair), strict=True))
        | {"pair_id": f"pair-{i}", "history": [], "source": "benchmark", "origin": f"row {i}"}
        | {"margin_raw": margin, "margin": margin, "p_chosen": target, "weight": 1.0}
        for i, (pair, margin, target) in enumerate(zip(pairs, margins, targets, strict=True))
    ]
    table = pa.Table.from_pylist(rows, schema=PAIR_SCHEMA)
    write_pairs(table, path, {"schema_version": SCHEMA_VERSION, "gamma": 1.0})


def in_words(ids: Ids) -> str:
    return " ".join(f"w{number}" for number in ids)


def write_model(folder: Path, vocabulary: int, size: str) -> int:
    """Save an untrained model with its tokenizer; return its parameters."""
    import torch
    from transformers import MistralForCausalLM

    from mmpo_core.tiny import seeded, tiny_config

    config = tiny_config()
    config.vocab_size = vocabulary
    for name, value in SIZES[size].items():
        setattr(config, name, value)
    device = "cuda" if torch.cuda.is_available() else "cpu"  # to draw the weights
    with seeded(0), torch.device(device):
        model = MistralForCausalLM(config)
    model.save_pretrained(folder)
    word_tokenizer(vocabulary, config.max_position_embeddings).save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


# over mmpo_core.tiny's configuration, which has 3 million parameters without embeddings
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "max_position_embeddings": 4096,
    },
}


def word_tokenizer(vocabulary: int, most: int) -> Any:
    """Return the tokenizer whose words are `w3`, `w4`, ..."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL, *(f"w{number}" for number in range(len(SPECIAL), vocabulary))]
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=most,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
