"""Small random models made on the spot: a sentence embedder and a cross-encoder of 32 tokens."""

from pathlib import Path
from typing import Any

LIMIT = 32
WORDS = "the cat sat on a mat and dog ran far away from its home in rain while sun was up".split()


def word_tokenizer(folder: Path) -> Path:
    """Save a BERT tokenizer of whole words and single letters; return its folder."""
    from transformers import BertTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    signs = [*".,!?:=<>|-'\"()0123456789"]
    pieces = [*WORDS, *letters, *(f"##{letter}" for letter in letters), *signs]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(pieces)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt"), model_max_length=LIMIT).save_pretrained(folder)
    return folder


def _config(**more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=128,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LIMIT,
        **more,
    )


def save_plain(folder: Path) -> Path:
    """Save a plain transformers model, which says nothing of sentences."""
    import torch
    from transformers import BertModel

    torch.manual_seed(0)
    BertModel(_config()).save_pretrained(word_tokenizer(folder))
    return folder


def save_embedder(folder: Path, *, normalize: bool = False, **options: Any) -> Path:
    """Save a sentence embedder of 16 numbers, mean-pooled.

    Args:
        folder: where.
        normalize: whether vectors have length 1.
        options: of SentenceTransformer, such as prompts.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    transformer = Transformer(str(save_plain(folder / "plain")))
    modules = [transformer, Pooling(16), *([Normalize()] if normalize else [])]
    SentenceTransformer(modules=modules, device="cpu", **options).save(str(folder / "model"))
    return folder / "model"


def save_cross_encoder(folder: Path, *, labels: int = 1, **options: Any) -> Path:
    """Save a cross-encoder with `labels` scores. options: of CrossEncoder."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertForSequenceClassification

    torch.manual_seed(0)
    plain = word_tokenizer(folder / "plain")
    # Scores of a fresh head hardly differ: spread it out.
    model = BertForSequenceClassification(_config(num_labels=labels, initializer_range=0.5))
    model.save_pretrained(plain)
    CrossEncoder(str(plain), device="cpu", **options).save(str(folder / "model"))
    return folder / "model"
