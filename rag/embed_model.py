"""Embeddings by a model that somebody else brought: a folder on this machine, or an OpenAI-compatible endpoint."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from rag.errors import EmbeddingUnavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_TOKENS = 256
"""What small sentence encoders were trained on; a section is seldom longer."""

BATCH_PASSAGES = 32
BATCH_ENCODER = 8
"""Passages at once through an encoder on this machine: memory grows with it, speed on few cores does not."""

ENDPOINT_TIMEOUT_SECONDS = 30.0
_DTYPES = {"F32": "<f4", "F16": "<f2"}


class Encoding(Protocol):
    """One text as the tokenizer cut it."""

    ids: list[int]
    attention_mask: list[int]
    type_ids: list[int]


class Tokenizer(Protocol):
    """What is used of `tokenizers.Tokenizer`."""

    def encode_batch(self, texts: list[str], /, *, add_special_tokens: bool = True) -> list[Encoding]:
        """Cut texts."""
        ...

    def enable_truncation(self, max_length: int) -> None:
        """Cut off what is longer."""
        ...

    def enable_padding(self) -> None:
        """Fill up what is shorter."""
        ...


def open_model_folder(folder: Path) -> OnnxEmbedder | StaticEmbedder:
    """Open a folder with `tokenizer.json` and either `model.onnx` (encoder) or `model.safetensors` (static table).

    Raises:
        EmbeddingUnavailable: A file is missing or is not what its name says.
    """
    tokenizer = _open_tokenizer(folder)
    if (folder / "model.onnx").is_file():
        return OnnxEmbedder(folder / "model.onnx", tokenizer)
    if (folder / "model.safetensors").is_file():
        return StaticEmbedder(folder / "model.safetensors", tokenizer)
    raise _no_model(folder, "it holds neither model.onnx nor model.safetensors")


class OnnxEmbedder:
    """A sentence encoder: token vectors of the last layer, averaged over the tokens that are there."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        runtime = _import("onnxruntime", path.parent)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 2
        options.enable_cpu_mem_arena = False
        errors = _find_runtime_errors(path.parent)
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except errors as error:
            raise _no_model(path.parent, f"model.onnx cannot be loaded: {error}") from None
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        self.identity = f"onnx-{_hash_file(path)}"

    def learn(self, texts: Sequence[str]) -> None:
        """Do nothing: the model is finished."""

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed passages in batches."""
        import numpy as np

        parts = [self._embed(texts[i : i + BATCH_ENCODER]) for i in range(0, len(texts), BATCH_ENCODER)]
        return np.concatenate(parts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed one question."""
        vector: NDArray[np.float32] = self._embed([text])[0]
        return vector

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        rows = self._tokenizer.encode_batch(list(texts))
        fields = {
            "input_ids": np.array([row.ids for row in rows], dtype=np.int64),
            "attention_mask": np.array([row.attention_mask for row in rows], dtype=np.int64),
            "token_type_ids": np.array([row.type_ids for row in rows], dtype=np.int64),
        }
        wanted = {node.name for node in self._session.get_inputs()}
        output = np.asarray(self._session.run(None, {k: v for k, v in fields.items() if k in wanted})[0])
        if output.ndim == 3:
            mask = fields["attention_mask"][:, :, None]
            output = (output * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)
        return _unit_rows(output)


class StaticEmbedder:
    """A table of token vectors, averaged: small and fast, no network of layers."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        self._table = _read_table(path)
        self._tokenizer = tokenizer
        self.identity = f"static-{_hash_file(path)}"

    def learn(self, texts: Sequence[str]) -> None:
        """Do nothing: the table is finished."""

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed passages; a text without known tokens is all zeros."""
        import numpy as np

        vectors = np.zeros((len(texts), self._table.shape[1]), dtype=np.float32)
        for i, encoded in enumerate(self._tokenizer.encode_batch(list(texts), add_special_tokens=False)):
            ids = [token for token in encoded.ids if token < len(self._table)]
            if ids:
                vectors[i] = self._table[ids].astype(np.float32).mean(axis=0)
        return _unit_rows(vectors)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed one question."""
        vector: NDArray[np.float32] = self.embed_passages([text])[0]
        return vector


class EndpointEmbedder:
    """An OpenAI-compatible ``/v1/embeddings``, named as ``URL#NAME``; the URL ends before ``/embeddings``."""

    def __init__(self, setting: str) -> None:
        url, _, name = setting.partition("#")
        if not name:
            raise EmbeddingUnavailable(
                f"The embedding {setting!r} names no model.", fix=f"export DAYTWO_EMBEDDING={url}#<model name>"
            )
        self._url = url.rstrip("/") + "/embeddings"
        self._name = name
        self.identity = f"endpoint-{setting}"

    def learn(self, texts: Sequence[str]) -> None:
        """Do nothing: the model is finished."""

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed passages in batches, one request each.

        Raises:
            EmbeddingUnavailable: The endpoint refuses, hangs, or answers with something that holds no vectors.
        """
        import numpy as np

        parts = [self._ask(texts[i : i + BATCH_PASSAGES]) for i in range(0, len(texts), BATCH_PASSAGES)]
        return np.concatenate(parts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed one question."""
        vector: NDArray[np.float32] = self._ask([text])[0]
        return vector

    def _ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import httpx
        import numpy as np

        try:
            reply = httpx.post(
                self._url, json={"model": self._name, "input": list(texts)}, timeout=ENDPOINT_TIMEOUT_SECONDS
            )
            reply.raise_for_status()
            rows = sorted(reply.json()["data"], key=lambda row: int(row["index"]))
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unavailable(f"gave no answer: {str(error) or type(error).__name__}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise self._unavailable(f"answered with something that holds no vectors ({error})") from None
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise self._unavailable(f"answered {vectors.shape} for {len(texts)} texts")
        return _unit_rows(vectors)

    def _unavailable(self, why: str) -> EmbeddingUnavailable:
        return EmbeddingUnavailable(
            f"The embedding endpoint {self._url} {why}.",
            fix="start the endpoint, or unset DAYTWO_EMBEDDING to use the built-in embedding",
        )


def _unit_rows(vectors: NDArray[Any]) -> NDArray[np.float32]:
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _read_table(path: Path) -> NDArray[Any]:
    """Read the only two-dimensional tensor of a safetensors file: length of the header, header as JSON, raw numbers."""
    import numpy as np

    raw = path.read_bytes()
    try:
        start = 8 + int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8:start])
        entries = [entry for name, entry in header.items() if name != "__metadata__" and len(entry["shape"]) == 2]
        (entry,) = entries
        begin, end = entry["data_offsets"]
        table = np.frombuffer(raw[start + begin : start + end], dtype=_DTYPES[entry["dtype"]])
        return table.reshape(entry["shape"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_model(path.parent, f"model.safetensors is no table of token vectors ({error})") from None


def _open_tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise _no_model(folder, "it holds no tokenizer.json")
    tokenizers = _import("tokenizers", folder)
    try:
        text = path.read_text(encoding="utf-8")
        # The library answers a wrong file with a bare Exception; what can be wrong is looked for here instead.
        if "type" not in json.loads(text)["model"]:
            raise KeyError("model.type")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _no_model(folder, f"tokenizer.json cannot be read ({error})") from None
    tokenizer: Tokenizer = tokenizers.Tokenizer.from_str(text)
    return tokenizer


def _find_runtime_errors(folder: Path) -> tuple[type[Exception], ...]:
    """Find what onnxruntime raises for a file that it cannot load; its classes have no base of their own."""
    state = _import("onnxruntime.capi.onnxruntime_pybind11_state", folder)
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    own: list[type[Exception]] = [getattr(state, name) for name in names if hasattr(state, name)]
    return (RuntimeError, ValueError, OSError, *own)


def _import(name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise _no_model(folder, f"the package {name} is not installed") from None


def _hash_file(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:24]


def _no_model(folder: Path, why: str) -> EmbeddingUnavailable:
    return EmbeddingUnavailable(
        f"The embedding folder {folder} cannot be used: {why}.",
        fix="unset DAYTWO_EMBEDDING, or put tokenizer.json and model.onnx (or model.safetensors) there",
    )
