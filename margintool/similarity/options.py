"""The options of `--source similarity`: name, default and help text, once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# What margins and findings depend on; the rest says where and how fast they are computed.
COMPARED = ("similarity_model", "metric", "with_prompt", "pooling", "dtype", "sign_check")


@dataclass(frozen=True, kw_only=True)
class SimilarityOptions:
    """How alike two answers are found to be.

    Args:
        similarity_model: Model of sentence-transformers, hub id or folder. If not given
            sentence-transformers/all-MiniLM-L6-v2, and for --metric cross-encoder
            cross-encoder/stsb-distilroberta-base.
        metric: How unlike two answers are: cosine takes 1 - cosine of the answers' embeddings,
            euclidean their distance, cross-encoder 1 - the similarity that a cross-encoder gives
            the two.
        with_prompt: Embed the last user message and the answer together, not the answer alone.
        pooling: A text longer than the model reads at once: the mean of its chunks, or its
            beginning only.
        device: Where the model runs: cpu, cuda, cuda:1 or mps; the fastest there is if not given.
        dtype: What the model computes in.
        batch_tokens: Tokens computed at once, padding included; by device if not given.
        embeddings: Folder that keeps every embedding, for the next run; beside the output, as
            NAME.embeddings, if not given. Several models may share it.
        sign_check: Report how the margin correlates with the difference in length and, where the
            input has scores, with their gap.
    """

    similarity_model: str | None = None
    metric: Literal["cosine", "euclidean", "cross-encoder"] = "cosine"
    with_prompt: bool = False
    pooling: Literal["mean-of-chunks", "truncate"] = "mean-of-chunks"
    device: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    batch_tokens: int | None = None
    embeddings: str | Path | None = None
    sign_check: bool = False
