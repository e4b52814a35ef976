"""Embeddings: text to vectors, by the built-in hashing, a local model folder, or an endpoint."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rag.errors import EmbeddingUnavailable
from rag.words import find_synonyms, split_terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

BUILTIN = "builtin"
DIMENSIONS = 4096
"""Of the built-in vectors: wide enough that two of the corpus' 20,000 features seldom share a cell that matters."""

BIGRAM_WEIGHT = 0.5
CHARACTER_WEIGHT = 0.4
SYNONYM_WEIGHT = 0.25
"""What counts less than a word of one's own: chosen on the development queries, see docs/decisions."""

_GRAM_LENGTHS = (3, 4)


class Embedder(Protocol):
    """Turns text into vectors of unit length.

    Attributes:
        identity: Changes whenever the vectors of the same passage would; names the collection.
    """

    @property
    def identity(self) -> str:
        """Name of what made the vectors."""
        ...

    def learn(self, texts: Sequence[str]) -> None:
        """Look at the indexed passages before questions are asked; passages' vectors do not depend on it."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed N passages; shape (N, dimensions)."""
        ...

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed one question; shape (dimensions,); all zeros where nothing in it is known."""
        ...


def open_embedder(setting: str) -> Embedder:
    """Open the embedding that a setting names: ``builtin``, ``URL#NAME``, or a folder.

    Raises:
        EmbeddingUnavailable: The setting names nothing that can be opened.
    """
    from rag import embed_model

    if setting == BUILTIN:
        return BuiltinEmbedder()
    if setting.startswith(("http://", "https://")):
        return embed_model.EndpointEmbedder(setting)
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        raise EmbeddingUnavailable(
            f"The embedding {setting!r} is neither `builtin`, nor URL#NAME, nor a folder that exists.",
            fix="unset DAYTWO_EMBEDDING, or point it at a folder with model.onnx and tokenizer.json",
        )
    return embed_model.open_model_folder(folder)


class BuiltinEmbedder:
    """Hashed words, word pairs and character n-grams; needs no model, no download, no network.

    A passage's vector depends on that passage alone, so one changed runbook is one changed runbook. What the corpus
    teaches, how rare a feature is, weighs the *question*: squared, as it would count on both sides.
    """

    def __init__(self) -> None:
        self.identity = f"builtin-{DIMENSIONS}-{_hash_own_code()}"
        self._rarity: Mapping[str, float] | None = None

    def learn(self, texts: Sequence[str]) -> None:
        """Count in how many passages each feature stands."""
        found = Counter(feature for text in texts for feature in _count_features(split_terms(text)))
        total = len(texts)
        self._rarity = {f: math.log(1 + (total - n + 0.5) / (n + 0.5)) ** 2 for f, n in found.items()}

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed passages; sublinear in how often a feature stands there."""
        import numpy as np

        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            _add_features(vector, _count_features(split_terms(text)))
        return _normalise(vectors)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a question with its synonyms; features that no passage has count nothing once `learn` was called."""
        import numpy as np

        features = _count_features(split_terms(text))
        for term in find_synonyms(text):
            features[f"w {term}"] = features.get(f"w {term}", 0.0) + SYNONYM_WEIGHT
        vector = np.zeros((1, DIMENSIONS), dtype=np.float32)
        _add_features(vector[0], features, self._rarity)
        result: NDArray[np.float32] = _normalise(vector)[0]
        return result


@cache
def _hash_own_code() -> str:
    """Hash the two files that decide what a vector is: nobody has to remember to raise a version."""
    here = Path(__file__)
    code = b"".join(path.read_bytes() for path in (here, here.with_name("words.py")))
    return hashlib.sha256(code).hexdigest()[:12]


def _count_features(terms: Sequence[str]) -> dict[str, float]:
    features: defaultdict[str, float] = defaultdict(float)
    for term in terms:
        features[f"w {term}"] += 1.0
        grams = _split_grams(term)
        for gram in grams:
            features[f"c {gram}"] += CHARACTER_WEIGHT / math.sqrt(len(grams))
    for first, second in pairwise(terms):
        features[f"b {first} {second}"] += BIGRAM_WEIGHT
    return features


@cache
def _split_grams(term: str) -> tuple[str, ...]:
    padded = f"<{term}>"
    return tuple(padded[i : i + n] for n in _GRAM_LENGTHS for i in range(len(padded) - n + 1))


def _add_features(
    vector: NDArray[np.float32], features: Mapping[str, float], rarity: Mapping[str, float] | None = None
) -> None:
    for feature, count in features.items():
        weight = 1.0 + math.log(count) if count > 1 else count
        if rarity is not None:
            weight *= rarity.get(feature, 0.0)
        code = zlib.crc32(feature.encode())
        vector[code % DIMENSIONS] += weight if code >> 16 & 1 else -weight


def _normalise(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
