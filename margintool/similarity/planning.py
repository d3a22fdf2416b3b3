"""From options to a checked plan of how answers are compared. Nothing is loaded yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_type_hints

from margintool.given import given
from margintool.similarity.likeness import CROSS_ENCODER
from margintool.similarity.options import SimilarityOptions
from mmpo_core.errors import InputError
from mmpo_core.typed_values import typed


@dataclass(frozen=True)
class Embedding:
    """How answers are compared, checked.

    Args:
        options: in their types.
        folder: where stores of embeddings are kept.
    """

    options: SimilarityOptions
    folder: Path


def make_embedding(options: SimilarityOptions, folder: Path) -> Embedding:
    """Check the options.

    Args:
        options: as given.
        folder: where embeddings are kept if the options do not say.

    Raises:
        InputError: for a wrong type or value, options that the metric does not read, or a folder
            that is a file.
    """
    hints = get_type_hints(SimilarityOptions)
    options = SimilarityOptions(
        **{
            name: typed(getattr(options, name), hint, f"--{name.replace('_', '-')}")
            for name, hint in hints.items()
        }
    )
    if options.batch_tokens is not None and options.batch_tokens < 1:
        raise InputError(f"--batch-tokens must be >= 1, got {options.batch_tokens}")
    wrong = given(options, ("with_prompt", "pooling"))
    if options.metric == CROSS_ENCODER and wrong:
        raise InputError(
            f"{', '.join(wrong)}: no meaning for --metric cross-encoder, which reads both answers "
            "at once as its model was trained to"
        )
    if options.similarity_model is not None and not options.similarity_model.strip():
        raise InputError("--similarity-model: name a model, a hub id or a folder")
    folder = folder if options.embeddings is None else Path(options.embeddings)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; --embeddings names a folder")
    return Embedding(options, folder)
