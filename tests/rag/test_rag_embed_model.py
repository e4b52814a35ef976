"""Embeddings that somebody else brought: a static table, an ONNX encoder, an endpoint; and how each goes wrong."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from rag.chunks import read_runbooks
from rag.embed import BuiltinEmbedder, open_embedder
from rag.errors import EmbeddingUnavailable
from rag.library import open_library

WORDS = {"[UNK]": 0, "gpu": 1, "disk": 2, "lost": 3, "slow": 4}
TABLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]], dtype=np.float32)


def write_tokenizer(folder):
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def write_table(folder, table=TABLE):
    raw = table.astype("<f2").tobytes()
    header = json.dumps({"t": {"dtype": "F16", "shape": list(table.shape), "data_offsets": [0, len(raw)]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + raw)


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(**fields):
    """Encode a protobuf message: keys are f<number>, values bytes, text, integers, or lists of them."""
    out = b""
    for key, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            number = int(key[1:])
            if isinstance(value, int):
                out += varint(number << 3) + varint(value)
            else:
                data = value.encode() if isinstance(value, str) else value
                out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def write_onnx(folder):
    """Write the smallest encoder there is: last_hidden_state = Gather(table, input_ids)."""

    def tensor_info(name, kind, *sizes):
        shape = message(f1=[message(f2=size) for size in sizes])
        return message(f1=name, f2=message(f1=message(f1=kind, f2=shape)))

    weights = message(f1=[len(TABLE), 3], f2=1, f8="table", f9=TABLE.tobytes())
    graph = message(
        f1=message(f1=["table", "input_ids"], f2="last_hidden_state", f4="Gather"),
        f2="g",
        f5=weights,
        f11=tensor_info("input_ids", 7, "batch", "tokens"),
        f12=tensor_info("last_hidden_state", 1, "batch", "tokens", "width"),
    )
    (folder / "model.onnx").write_bytes(message(f1=8, f7=graph, f8=message(f2=13)))


def check_vectors(embedder):
    vectors = embedder.embed_passages(["gpu lost", "disk", "gpu"])
    half = 2**-0.5
    np.testing.assert_allclose(vectors, [[half, 0, half], [0, 1, 0], [1, 0, 0]], atol=1e-3)
    np.testing.assert_allclose(embedder.embed_query("disk"), [0, 1, 0], atol=1e-3)


def test_builtin_is_the_default():
    assert isinstance(open_embedder("builtin"), BuiltinEmbedder)


def test_static_table(tmp_path):
    write_tokenizer(tmp_path)
    write_table(tmp_path)
    embedder = open_embedder(str(tmp_path))
    check_vectors(embedder)
    assert not embedder.embed_query("unheard of").any()
    before = embedder.identity
    write_table(tmp_path, TABLE[:, ::-1])
    assert open_embedder(str(tmp_path)).identity != before


def test_onnx_encoder_averages_over_what_is_there(tmp_path):
    write_tokenizer(tmp_path)
    write_onnx(tmp_path)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    assert tokenizer["model"]["type"] == "WordLevel"
    check_vectors(open_embedder(str(tmp_path)))


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no tokenizer.json"),
        ({"tokenizer.json": "{}"}, "tokenizer.json cannot be read"),
        ({"tokenizer.json": "<html>"}, "tokenizer.json cannot be read"),
        ({"tokenizer.json": None}, "neither model.onnx nor"),
        ({"tokenizer.json": None, "model.onnx": "no model"}, "model.onnx cannot be loaded"),
        ({"tokenizer.json": None, "model.safetensors": "no table"}, "no table of token vectors"),
        ({"tokenizer.json": None, "model.safetensors": ""}, "no table of token vectors"),
    ],
)
def test_wrong_folder_says_what_is_wrong(tmp_path, files, why):
    for name, text in files.items():
        if text is None:
            write_tokenizer(tmp_path)
        else:
            (tmp_path / name).write_text(text)
    with pytest.raises(EmbeddingUnavailable, match=why) as caught:
        open_embedder(str(tmp_path))
    assert "DAYTWO_EMBEDDING" in caught.value.fix


@pytest.mark.parametrize("setting", ["/no/such/folder", "buildin", "http://127.0.0.1:9/v1"])
def test_setting_that_names_nothing(setting):
    with pytest.raises(EmbeddingUnavailable):
        open_embedder(setting)


@pytest.fixture
def endpoint():
    """A loopback server; set `answer` to what it says."""

    class Handler(BaseHTTPRequestHandler):
        answer = None
        seen: ClassVar[list] = []

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            Handler.seen.append((self.path, body["model"], len(body["input"])))
            status, reply = Handler.answer(body["input"])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(reply.encode())

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Handler.url = f"http://127.0.0.1:{server.server_port}/v1#tiny"
    yield Handler
    server.shutdown()
    server.server_close()


def say_vectors(texts):
    rows = [
        {"index": i, "embedding": [3.0 * len(text), float(text.count("disk")), 0.5]} for i, text in enumerate(texts)
    ]
    return 200, json.dumps({"data": rows[::-1]})


def test_endpoint_is_asked_in_batches_and_answers_in_any_order(endpoint):
    endpoint.answer = staticmethod(say_vectors)
    embedder = open_embedder(endpoint.url)
    vectors = embedder.embed_passages(["x" * i for i in range(1, 71)])
    assert vectors.shape == (70, 3)
    assert [count for _, _, count in endpoint.seen[-3:]] == [32, 32, 6]
    assert endpoint.seen[-1][:2] == ("/v1/embeddings", "tiny")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0][2] > vectors[1][2] > vectors[69][2]


def test_library_over_an_endpoint(endpoint, tmp_path):
    endpoint.answer = staticmethod(say_vectors)
    library = open_library(tmp_path, embedding=endpoint.url)
    try:
        assert library.index().added == len(read_runbooks())
        assert library.index().unchanged == len(read_runbooks())
        assert library.search("nvme controller reset failed", mode="dense")
    finally:
        library.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((500, "oops"), "500"),
        ((200, "<html>login</html>"), "holds no vectors"),
        ((200, ""), "holds no vectors"),
        ((200, '{"data": []}'), "answered"),
        ((200, '{"error": "no such model"}'), "holds no vectors"),
        ((200, '{"data": [{"index": 0, "embedding": "AAAA"}]}'), "holds no vectors"),
        ((200, '{"data": [{"index": 0, "embedding": null}]}'), "holds no vectors|answered"),
    ],
)
def test_endpoint_that_answers_nonsense(endpoint, answer, why):
    endpoint.answer = staticmethod(lambda texts: answer)
    with pytest.raises(EmbeddingUnavailable, match=why):
        open_embedder(endpoint.url).embed_query("gpu")


def test_endpoint_that_refuses(tmp_path):
    library = open_library(tmp_path, embedding="http://127.0.0.1:9/v1#tiny")
    with pytest.raises(EmbeddingUnavailable, match="gave no answer") as caught:
        library.search("gpu lost")
    assert "built-in" in caught.value.fix
    library.close()
